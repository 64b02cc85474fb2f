"""int8: each part of the quantized graph against TensorFlow's own operations, and whole exports."""

import dataclasses
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from kerasrun_export import (
    calibration,
    exporter,
    goldens,
    manifest,
    node_names,
    quantization,
    quantized_graph,
    rewrite,
    saved_model,
    serving,
)
from kerasrun_export.backend import keras, tf
from kerasrun_export.cli import export
from kerasrun_export.errors import ChoiceError, GoldenError, QuantizationError
from kerasrun_export.freeze import from_graph_def
from kerasrun_export.graph import Graph
from kerasrun_export.integers import Integers, nudged, sums, whole
from kerasrun_export.running import Running

layers = keras.layers
PLAIN = {"pipeline": "load_img"}


def images_in(directory: Path, count: int, side: int = 12) -> Path:
    """Images of drawn colours, the same in every run, in a folder."""
    random = np.random.default_rng(5)
    directory.mkdir()
    for i in range(count):
        low, high = np.sort(random.integers(0, 256, (2, 3)), axis=0)
        pixels = random.integers(low, high + 1, (side, side, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(directory / f"{i:02}.png")
    return directory


def network() -> keras.Model:
    """Every kind of layer that is quantized: grouped, depthwise, strided, dilated; a residual."""
    inputs = keras.Input((12, 12, 3))
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="first")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = layers.Conv2D(8, 1, name="linear")(layers.ReLU(6.0)(y))
    x = layers.Add()([x, y])
    x = layers.ReLU()(layers.Conv2D(16, 3, groups=2, name="grouped")(x))
    x = layers.ReLU()(layers.Conv2D(16, 3, dilation_rate=2, padding="same", name="dilated")(x))
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="bare")(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="head")(x), name="small")


def rewritten(model: keras.Model) -> tuple[Graph, serving.Served]:
    served = serving.trace(model)
    graph = serving.frozen(served)
    rewrite.optimize(graph)
    node_names.rename(graph, model.name, served.layers)
    return graph, served


def minmax(graph: Graph, tensors: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    seen = calibration.samples(
        graph, quantized_graph.layers(graph), [calibration.Batch(tensors, {})]
    )
    return {name: calibration.span("minmax", values) for name, values in seen.items()}


def written(directory: Path) -> Graph:
    """The graph of a directory as it was written."""
    data = (directory / "saved_model.pb").read_bytes()
    (meta,) = saved_model_pb2.SavedModel.FromString(data).meta_graphs
    outputs = meta.signature_def["serving_default"].outputs
    return from_graph_def(meta.graph_def, {key: info.name for key, info in outputs.items()})


def test_whole_numbers_are_those_of_fake_quant():
    random = np.random.default_rng(0)
    for row in range(60):
        low, high = random.random(2) * 10.0 ** random.integers(-3, 4, 2)
        low = -low if row % 3 else 0.0
        scale = nudged(low, high)
        x = random.uniform(1.2 * low - 1e-3, 1.2 * high, 2000).astype(np.float32)
        ties = ((np.arange(-2, 258) - scale.zero + np.float32(0.5)) * scale.scale).astype("float32")
        x = np.concatenate([x, ties, np.nextafter(ties, np.inf), np.nextafter(ties, -np.inf)])
        x = x.astype(np.float32)
        want = tf.raw_ops.FakeQuantWithMinMaxArgs(
            inputs=x, min=low, max=high, num_bits=8, narrow_range=False
        )
        got = whole(x, scale)
        np.testing.assert_array_equal(got * scale.scale, want.numpy())
        assert (got + scale.zero).min() >= 0 and (got + scale.zero).max() <= 255


CONVOLUTIONS = {
    "1x1": ("Conv2D", (1, 1, 6, 5), 1, 1, "SAME", []),
    "3x3": ("Conv2D", (3, 3, 6, 5), 1, 1, "SAME", []),
    "strided, same": ("Conv2D", (3, 3, 6, 5), 2, 1, "SAME", []),
    "strided, valid": ("Conv2D", (3, 2, 6, 5), 2, 1, "VALID", []),
    "padded by itself": ("Conv2D", (5, 5, 6, 4), 2, 1, "EXPLICIT", [0, 0, 1, 2, 3, 0, 0, 0]),
    "grouped": ("Conv2D", (3, 3, 2, 9), 1, 1, "SAME", []),
    "dilated": ("Conv2D", (3, 3, 6, 4), 1, 2, "SAME", []),
    "depthwise": ("DepthwiseConv2dNative", (3, 3, 6, 1), 1, 1, "SAME", []),
    "depthwise, strided": ("DepthwiseConv2dNative", (3, 3, 6, 1), 2, 1, "SAME", []),
    "long sums": ("Conv2D", (3, 3, 600, 4), 1, 1, "SAME", []),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_sums_are_those_of_tensorflow_in_float64(case):
    op, shape, stride, dilation, padding, explicit = CONVOLUTIONS[case]
    random = np.random.default_rng(1)
    channels = 600 if case == "long sums" else 6
    x = random.integers(0, 256, (2, 9, 7, channels)).astype(np.float32)
    weights = random.integers(-127, 128, shape).astype(np.int8)
    if case == "long sums":  # beyond what float32 holds
        x[0], weights[..., 0] = 255, 127
    attributes = {
        "strides": [1, stride, stride, 1],
        "dilations": [1, dilation, dilation, 1],
        "padding": padding,
        "explicit_paddings": explicit,
    }
    # TensorFlow has no grouped convolution in float64: it is one of each group.
    groups = channels // shape[2] if op == "Conv2D" else 1
    parts = zip(np.split(x, groups, 3), np.split(weights, groups, 3), strict=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tensors = [
            getattr(tf.raw_ops, op)(
                input=tf.constant(a, tf.float64), filter=tf.constant(b, tf.float64), **attributes
            )
            for a, b in parts
        ]
        want = np.concatenate(session.run(tensors), axis=3)
        node = tensors[0].op.node_def
    np.testing.assert_array_equal(sums(node, x, weights), want)


def test_a_dense_layer_is_rounded_where_the_format_says():
    model = keras.Sequential([keras.Input((40,)), layers.Dense(7, name="dense")])
    graph, _ = rewritten(model)
    random = np.random.default_rng(2)
    x = random.normal(0, 3, (5, 40)).astype(np.float32)
    name = next(n for n, node in graph.nodes.items() if node.op == "Placeholder")
    new = quantized_graph.quantize(graph, minmax(graph, {name: x}))
    (got,) = Integers(new).predict({name: x}).values()
    fake = next(n for n in new.nodes.values() if n.op == quantized_graph.FAKE_QUANT)
    scale = nudged(fake.attr["min"].f, fake.attr["max"].f)
    kernel = model.layers[0].kernel.numpy()
    weights, scales = quantized_graph.weights("MatMul", kernel)
    assert np.abs(weights * scales - kernel).max() <= scales.max() / 2 * (1 + 1e-6)
    q = whole(x, scale).astype(np.int64)
    for row in range(5):
        for channel in range(7):
            total = int(q[row] @ weights[:, channel].astype(np.int64))
            once = np.float32(np.float32(total) * np.float32(scale.scale * scales[channel]))
            assert got[row, channel] == np.float32(once + np.float32(0))


def test_a_channel_of_zeros_stays_zero():
    weights, scales = quantized_graph.weights("Conv2D", np.zeros((1, 1, 4, 2)))
    assert not weights.any() and (scales == 1).all()


@pytest.mark.parametrize("low, high", [(0, 6), (-1, 1), (-0.3, 17.0), (2, 5), (-4, -1), (0, 0)])
def test_ranges_have_a_step_at_zero(low, high):
    low, high = quantized_graph.aligned(low, high)
    scale = nudged(low, high)
    assert low <= 0 <= high and whole(np.float32([0]), scale)[0] == 0
    assert abs(scale.low - low) <= 1e-6 * (high - low)


def test_mse_cuts_an_outlier_off_and_keeps_the_rest():
    values = np.append(np.random.default_rng(3).random(100_000), 30.0)
    _, high = calibration.span("mse", values)
    assert 1 <= high < 29
    assert calibration.span("minmax", values)[1] == pytest.approx(30, rel=1e-6)
    assert calibration.span("percentile", values)[1] < 1.01


def test_whole_numbers_are_near_tensorflows_simulation():
    graph, served = rewritten(network())
    x = {"images": np.random.default_rng(4).uniform(0, 255, (20, 12, 12, 3)).astype(np.float32)}
    new = quantized_graph.quantize(graph, minmax(graph, x))
    assert len(quantized_graph.quantized(new)) == 7
    keys = served.signatures["serving_default"]
    integers = Integers(new, keys)
    got, want = integers.predict(x), Running(new).predict(x, keys)
    step = np.abs(Running(graph).predict(x, keys)["logits"] - want["logits"]).max()
    assert step > 0  # what quantization moves the logits by
    for key in keys:
        assert got[key].dtype == np.float32
        # A rounding in float32 may move a number to the next step, seldom.
        assert np.abs(got[key] - want[key]).mean() <= 0.05 * step
    # Alone and among others the very same.
    alone = [integers.predict({"images": x["images"][i : i + 1]}) for i in range(20)]
    assert len({tuple(one) for one in alone}) == 1
    logits = np.concatenate([one["logits"] for one in alone])
    np.testing.assert_array_equal(logits, got["logits"])


def test_layers_that_are_named_stay_as_they_are():
    graph, _ = rewritten(network())
    x = {"images": np.random.default_rng(4).uniform(0, 255, (2, 12, 12, 3)).astype(np.float32)}
    names = [layer.name for layer in quantized_graph.layers(graph)]
    new = quantized_graph.quantize(graph, minmax(graph, x), frozenset(names[:2]))
    assert quantized_graph.quantized(new) == names[2:]
    for name in names[:2]:
        assert new.nodes[name] == graph.nodes[name]
    for name in names[2:]:
        assert new.only_consumer(name).op == "BiasAdd"


def test_biases_take_up_what_rounding_shifts():
    graph, _ = rewritten(network())
    x = {"images": np.random.default_rng(6).uniform(0, 255, (16, 12, 12, 3)).astype(np.float32)}
    ranges = {name: (low / 2, high / 2) for name, (low, high) in minmax(graph, x).items()}
    new = quantized_graph.quantize(graph, ranges)  # cuts off a half: means shift
    corrected = calibration.correct_biases(graph, new, x)
    names = [n for n in quantized_graph.quantized(new) if new.nodes[n].op != "MatMul"]
    biased = [quantized_graph.bias_of(new, name) for name in names]

    def means(some: Graph, of: list[str]) -> np.ndarray:
        return np.concatenate([v.mean(axis=(0, 1, 2)) for v in Running(some).run(of, x)])

    last = [name for name in names if name == "bare"]
    want = means(graph, last)  # it has no bias
    before = np.abs(means(new, biased[-1:]) - want).max()
    after = np.abs(means(corrected, biased[-1:]) - want).max()
    assert after < 0.02 * before


@pytest.fixture(scope="module")
def quantized(tmp_path_factory) -> tuple[keras.Model, Path, Path, dict]:
    keras.utils.set_random_seed(1)
    base = tmp_path_factory.mktemp("quantized")
    model, images = network(), images_in(base / "images", 24)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fields = exporter.export(
            model,
            base / "out",
            **PLAIN,
            images=images,
            quantize="int8",
            min_top1=0.5,
            class_names=list("abcde"),
        )
    return model, images, base / "out", fields


def test_a_directory_has_a_second_one_inside(quantized):
    _, _, out, fields = quantized
    inside = out / "int8"
    outer, inner = manifest.read(out), manifest.read(inside)
    assert "quantization" not in outer and outer["precision"] == "float32"
    listed = {p.relative_to(out).as_posix() for p in inside.rglob("*") if p.is_file()}
    assert listed <= outer["files"].keys()
    assert inner["files"].keys() == {name[len("int8/") :] for name in listed} - {
        manifest.PATH.as_posix()
    }
    assert inner["precision"] == "int8" and fields["precision"] == "float32"
    for key in ("inputs", "outputs", "answer", "weights", "recipe", "architecture"):
        assert inner[key] == outer[key]
    assert not (inside / "variables").exists()
    assert not any("Variable" in node.op for node in written(inside).nodes.values())
    assert (inside / manifest.LABELS).read_bytes() == (out / manifest.LABELS).read_bytes()


def test_the_manifest_says_how_it_was_quantized_and_what_was_measured(quantized):
    model, images, out, _ = quantized
    stored = manifest.read(out / "int8")
    said = stored["quantization"]
    assert set(said) == {
        *("calibration", "calibration_images", "images_sha256", "float_layers", "parity")
    }
    assert said["calibration"].split()[0] in calibration.METHODS
    assert (said["calibration_images"], said["parity"]["images"]) == (12, 12)
    assert said["parity"]["held_out"] is True
    # Measured again: Keras, and TensorFlow on the graph that was written.
    held = list(quantization.by_digest(sorted(images.iterdir())).values())[12:]
    tensors = np.stack([np.asarray(keras.utils.load_img(p), np.float32) for p in held])
    want = model.predict(tensors, verbose=0)
    got = saved_model.run(out / "int8", tensors)["probs"]
    off = np.abs(got - want).max(axis=1)
    parity = said["parity"]
    assert parity["max"] == pytest.approx(off.max(), abs=2e-3) == stored["reference_difference"]
    assert parity["mean"] == pytest.approx(off.mean(), abs=1e-3)
    assert parity["mean"] <= parity["p99"] <= parity["max"]
    assert parity["top1"] == pytest.approx((got.argmax(1) == want.argmax(1)).mean(), abs=0.1)
    assert parity["top5"] == 1  # of five classes
    classes = parity["classes"]
    assert {int(key): one["images"] for key, one in classes.items()} == {
        int(key): int((want.argmax(1) == key).sum()) for key in np.unique(want.argmax(1))
    }
    kept = sum(one["images"] * one["top1"] for one in classes.values())
    assert kept / 12 == pytest.approx(parity["top1"])


def test_the_goldens_are_those_of_whole_numbers(quantized):
    _, _, out, _ = quantized
    pack = out / "int8" / manifest.GOLDENS
    index = json.loads((pack / "goldens.json").read_text())
    assert index["reference"].startswith("int8 in numpy")
    assert len(index["cases"]) == exporter.EMBEDDED_INT8
    integers = Integers(written(out / "int8"))
    for case in index["cases"]:
        held = np.load(pack / case["arrays"])
        got = integers.predict({"images": held["tensor"][np.newaxis]})
        for key in ("logits", "probs"):
            np.testing.assert_array_equal(got[key][0], held[key])
            assert index["tolerance"][key] >= index["measured"][key]


def test_keras_makes_no_pack_of_the_quantized_directory(quantized, tmp_path):
    _, images, out, _ = quantized
    with pytest.raises(GoldenError, match="expected a model in float32"):
        goldens.golden(out / "int8", images, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


def dull(extra: int) -> keras.Model:
    """A model whose class hangs on a number a hundredth of a step of its layer: the layer reads
    one that is 30,000 times as large beside it, with a weight of 0. extra: units of another layer.
    """
    inputs = keras.Input((12, 12, 3))
    pooled = layers.GlobalAveragePooling2D()(inputs)
    both = layers.Concatenate()([layers.Rescaling(1e4)(pooled), layers.Rescaling(0.01)(pooled)])
    dense = layers.Dense(2, name="fine")
    answer = dense(both)
    other = layers.Dense(2, name="last", kernel_initializer="zeros")(
        layers.Dense(extra, name="wide")(pooled)
    )
    model = keras.Model(inputs, layers.Softmax()(layers.Add()([answer, other])), name="dull")
    kernel = np.zeros((6, 2))
    kernel[3:] = [[5, -5], [-5, 5], [0, 0]]
    dense.set_weights([kernel, np.zeros(2)])
    return model


def test_too_few_images_that_keep_their_class_are_refused(tmp_path):
    images, out = images_in(tmp_path / "images", 24), tmp_path / "out"
    with pytest.raises(QuantizationError) as caught:
        exporter.export(dull(2), out, **PLAIN, mode="none", images=images, quantize="int8")
    text = str(caught.value)
    assert re.search(r"(\d+) of 12 images keep Keras's class \(0\.\d+\), expected 0\.99", text)
    assert re.search(r"worst classes: [01] \d of \d", text) and "Try more images" in text
    assert not out.exists()


def test_the_layer_that_costs_most_stays_float32(tmp_path):
    images, out = images_in(tmp_path / "images", 24), tmp_path / "out"
    exporter.export(dull(200), out, **PLAIN, mode="none", images=images, quantize="int8")
    said = manifest.read(out / "int8")["quantization"]
    assert said["float_layers"] == ["fine/MatMul"]
    assert said["parity"]["top1"] == 1
    ops = written(out / "int8").op_counts()
    assert ops["MatMul"] == 3 and ops[quantized_graph.FAKE_QUANT] == 2


def test_few_images_are_a_warning(tmp_path):
    images, out = images_in(tmp_path / "images", 3), tmp_path / "out"
    with pytest.warns(exporter.ExportWarning, match="3 images are too few"):
        exporter.export(network(), out, **PLAIN, images=images, quantize="int8", min_top1=0)
    parity = manifest.read(out / "int8")["quantization"]["parity"]
    assert (parity["images"], parity["held_out"]) == (3, False)


def test_the_same_image_counts_once(tmp_path):
    images = images_in(tmp_path / "images", 3)
    (images / "copy.png").write_bytes((images / "00.png").read_bytes())
    found = quantization.by_digest(sorted(images.iterdir()))
    assert len(found) == 3
    assert list(found) == sorted(found)


def test_what_cannot_be_quantized_is_said_before_anything_is_written(tmp_path, capsys):
    images, out = images_in(tmp_path / "images", 1), tmp_path / "out"
    with pytest.raises(ChoiceError, match="expected --images too"):
        exporter.export(network(), out, **PLAIN, quantize="int8")
    inputs = keras.Input((12, 12, 3))
    embedding = keras.Model(inputs, layers.Flatten()(layers.Conv2D(2, 3)(inputs)))
    kinds = {serving.trace(embedding).outputs[0].name: "embedding"}
    with pytest.raises(ChoiceError, match=r"classifies images .*, got embedding"):
        exporter.export(
            embedding, out, **PLAIN, mode="none", kinds=kinds, images=images, quantize="int8"
        )
    with pytest.raises(SystemExit):
        export.main(["--saved-model", "x", "--quantize", "int8", "--out", str(out)])
    assert "--quantize goes with a MODEL of Keras" in capsys.readouterr().err
    assert not out.exists()


def test_the_command_says_what_was_measured(quantized):
    _, _, out, _ = quantized
    said = export.quantized(out)
    parity = manifest.read(out / "int8")["quantization"]["parity"]
    assert f"{parity['top1']:.2%} of 12 images held out of calibration" in said
    assert export.quantized(out / "int8") == ""


def test_logits_are_measured_as_probabilities():
    values = np.random.default_rng(8).normal(0, 3, (4, 5)).astype(np.float32)
    logits = quantization.Output("out", "logits", activation="softmax")
    np.testing.assert_allclose(
        quantization.probabilities(values, logits), tf.nn.softmax(values), atol=1e-6
    )
    single = dataclasses.replace(logits, activation="sigmoid")
    np.testing.assert_allclose(
        quantization.probabilities(values, single), tf.sigmoid(values), atol=1e-6
    )
