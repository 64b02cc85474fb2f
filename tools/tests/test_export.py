"""Exported directories against Keras, and keras_applications on tf_keras, in the same run."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import keras_applications
import keras_applications.resnext
import numpy as np
import pytest
import tf_keras

import published
from kerasrun_export import class_names, exporter, manifest, sample_images, saved_model
from kerasrun_export.backend import keras, tf
from kerasrun_export.cli import export
from kerasrun_export.graph import Graph
from kerasrun_export.images import preprocess

SIDE = 64
TF = ("--pipeline", "load_img", "--mode", "tf")
CAFFE = ("--pipeline", "load_img", "--mode", "caffe")
NONE = ("--pipeline", "load_img", "--mode", "none")
KINDS = {
    "probs": {"name": "probs", "kind": "probabilities", "labels": ""},
    "logits": {"name": "logits", "kind": "logits", "activation": "softmax", "labels": ""},
    "features": {"name": "features", "kind": "embedding", "normalized": False, "labels": ""},
}


def torch_style() -> np.ndarray:
    """The sample photographs as keras_applications' own preprocessing for ResNeXt makes them."""
    images = resized().astype(np.float32)
    return keras_applications.resnext.preprocess_input(
        images, data_format="channels_last", **published.MODULES
    )


def resized(side: int = SIDE) -> np.ndarray:
    return np.stack(
        [
            np.asarray(keras.utils.load_img(path, target_size=(side, side)))
            for path in sample_images.paths()
        ]
    )


def resized_to(height: int, width: int) -> np.ndarray:
    return np.stack(
        [
            np.asarray(keras.utils.load_img(path, target_size=(height, width)))
            for path in sample_images.paths()
        ]
    )


def errors(text: str) -> list[str]:
    """The lines but for warnings: most of these models have no training."""
    return [line for line in text.splitlines() if "kerasrun-export: warning: " not in line]


def assert_same(got: dict, probs: np.ndarray) -> None:
    assert np.abs(got["probs"] - probs).max() <= 1e-5
    np.testing.assert_array_equal(got["probs"].argsort()[:, -5:], probs.argsort()[:, -5:])


def files(directory: Path) -> set[str]:
    return {
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def h5(tmp_path_factory) -> tuple[Path, "tf_keras.Model"]:
    """A weights file of the official layout with seven classes, and the published model that wrote
    it.
    """
    model = published.build("resnext50", input_shape=(SIDE, SIDE, 3), classes=7)
    published.draw(model, 11)
    published.calibrate(model, torch_style())
    path = tmp_path_factory.mktemp("h5") / "resnext50.h5"
    model.save_weights(path)
    return path, model


@pytest.mark.parametrize("graph", ["optimized", "reference"])
def test_resnext50_from_a_file_of_the_official_layout(tmp_path, h5, graph):
    weights, model = h5
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"class {i}\n" for i in range(7)))
    out = tmp_path / "out"
    arguments = [
        "resnext50",
        "--weights",
        str(weights),
        "--mode",
        "torch",
        "--classes",
        "7",
        "--image-size",
        "64x64",
    ]
    assert (
        export.main([*arguments, "--graph", graph, "--class-names", str(labels), "--out", str(out)])
        == 0
    )

    # keras_applications' whole chain, its own torch-style preprocessing included, against
    # caffe-style tensors.
    want = model.predict(torch_style(), verbose=0)
    caffe = preprocess(resized(), "caffe")
    got = saved_model.run(out, caffe)
    assert_same(got, want)
    features = tf_keras.Model(model.input, model.layers[-2].output).predict(
        torch_style(), verbose=0
    )
    logits = features @ model.layers[-1].kernel.numpy() + model.layers[-1].bias.numpy()
    assert np.abs(got["logits"] - logits).max() <= 1e-4 * np.abs(logits).max()
    pooled = saved_model.run(out, caffe, "features")["features"]
    assert np.abs(pooled - features).max() <= 1e-5 * np.abs(features).max()
    # Loaded as TensorFlow 2 loads it, one image at a time.
    function = tf.saved_model.load(str(out)).signatures["serving_default"]
    alone = function(images=tf.constant(caffe[:1]))
    assert np.abs(alone["probs"].numpy() - want[:1]).max() <= 1e-5

    stored = manifest.read(out)
    assert stored["graph"] == graph
    assert stored["recipe"]["mode"] == "torch"
    assert "torch" in stored["conversion"]
    (taken,) = stored["inputs"]
    assert (taken["name"], taken["decode"]["color"]) == ("images", "bgr")
    assert taken["normalize"]["steps"] == [{"op": "subtract", "values": [103.939, 116.779, 123.68]}]
    assert stored["parameters"] == model.count_params()
    assert stored["weights"] == {"source": "resnext50.h5", "sha256": manifest.sha256(weights)}
    labelled = {"labels": manifest.LABELS.as_posix()}
    assert stored["outputs"] == {
        "serving_default": [KINDS["logits"] | labelled, KINDS["probs"] | labelled],
        "features": [KINDS["features"]],
    }
    assert stored["answer"] == "probs"
    assert json.loads((out / manifest.LABELS).read_text())["6"] == ["class 6", "class 6"]
    assert stored["files"].keys() == files(out) - {manifest.PATH.as_posix()}
    for name, file in stored["files"].items():
        data = (out / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"]), (
            name
        )
    assert (
        sum(file["bytes"] for file in stored["files"].values()) <= 1.02 * 4 * stored["parameters"]
    )
    # The kernels are in the variables alone: what stands in the graph is copied again and again in
    # loading.
    assert (out / "saved_model.pb").stat().st_size < 1 << 20
    assert {path.name for path in tmp_path.iterdir()} == {"labels.txt", "out"}


def test_the_labels_are_those_of_keras():
    assert (
        hashlib.md5(class_names.IMAGENET.read_bytes()).hexdigest()
        == "c2c37ea517e94d9795004a39431a14cb"
    )


def own_model(last: str | None = "softmax", data_format: str = "channels_last") -> keras.Model:
    """A small model of a user's own, with what a rewriting could get wrong."""
    keras.utils.set_random_seed(3)
    shape = (3, 40, 48) if data_format == "channels_first" else (40, 48, 3)
    axis = 1 if data_format == "channels_first" else -1
    inputs = x = keras.Input(shape)
    for filters in (8, 16):
        x = keras.layers.Conv2D(filters, 3, strides=2, padding="same", data_format=data_format)(x)
        x = keras.layers.BatchNormalization(axis=axis, momentum=0.5)(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D(data_format=data_format)(x)
    model = keras.Model(
        inputs, keras.layers.Dense(4, activation=last, name="score")(keras.layers.Dropout(0.5)(x))
    )
    batch = np.random.default_rng(3).normal(0, 60, (4, *shape)).astype(np.float32)
    model(batch, training=True)  # moves the statistics
    return model


SIGMOID = {"name": "logits", "kind": "logits", "activation": "sigmoid", "labels": ""}
MULTILABEL = {"name": "probs", "kind": "multilabel", "thresholds": [0.5], "labels": ""}
SCORE = {"name": "score", "kind": "logits", "activation": "softmax", "labels": ""}


@pytest.mark.parametrize(
    ("last", "data_format", "suffix", "outputs"),
    [
        ("softmax", "channels_last", ".keras", [KINDS["logits"], KINDS["probs"]]),
        ("softmax", "channels_first", ".keras", [KINDS["logits"], KINDS["probs"]]),
        ("sigmoid", "channels_last", ".h5", [SIGMOID, MULTILABEL]),
        (None, "channels_last", ".keras", [SCORE]),
    ],
)
def test_model_files(tmp_path, last, data_format, suffix, outputs):
    model = own_model(last, data_format)
    path = tmp_path / f"own{suffix}"
    model.save(path)
    said = () if last else ("--activation", "softmax")
    assert export.main([str(path), *TF, *said, "--out", str(tmp_path / "out")]) == 0
    stored = manifest.read(tmp_path / "out")
    assert stored["outputs"]["serving_default"] == outputs
    assert stored["answer"] == ("probs" if last else "score")
    assert stored["conversion"] == ""
    assert not (tmp_path / "out" / manifest.LABELS).exists()
    assert stored["weights"]["sha256"] == manifest.sha256(path)
    photographs = np.stack(
        [
            np.asarray(keras.utils.load_img(path, target_size=(40, 48)))
            for path in sample_images.paths()
        ]
    )
    ready = preprocess(photographs, "tf")
    first = ready.transpose(0, 3, 1, 2)
    want = model.predict(first if data_format == "channels_first" else ready, verbose=0)
    taken = first if stored["inputs"][0]["layout"] == "NCHW" else ready
    assert stored["inputs"][0]["shape"] == [-1, *taken.shape[1:]]
    got = saved_model.run(tmp_path / "out", taken)
    np.testing.assert_allclose(got["probs" if last else "score"], want, atol=1e-5)


def sequential() -> keras.Sequential:
    """What Keras's tutorials end with: augmentation, which does nothing here, scaling,
    convolutions, dropout.
    """
    keras.utils.set_random_seed(4)
    kinds = keras.layers
    return keras.Sequential(
        [
            keras.Input((40, 48, 3)),
            kinds.RandomFlip("horizontal"),
            kinds.RandomRotation(0.2),
            kinds.RandomZoom(0.2),
            kinds.Rescaling(1 / 255),
            kinds.Conv2D(8, 3, padding="same", activation="relu"),
            kinds.MaxPooling2D(),
            kinds.Flatten(),
            kinds.Dropout(0.5),
            kinds.Dense(4, activation="softmax"),
        ]
    )


@pytest.mark.parametrize("graph", ["optimized", "reference"])
def test_a_sequential_model(tmp_path, graph):
    model = sequential()
    model.save(tmp_path / "own.keras")
    arguments = [str(tmp_path / "own.keras"), *NONE, "--graph", graph]
    assert export.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    photographs = np.stack(
        [
            np.asarray(keras.utils.load_img(path, target_size=(40, 48)))
            for path in sample_images.paths()
        ]
    )
    want = model.predict(photographs.astype(np.float32), verbose=0)
    assert_same(saved_model.run(tmp_path / "out", photographs.astype(np.float32)), want)


@pytest.fixture
def own(tmp_path) -> Path:
    own_model().save(tmp_path / "own.keras")
    return tmp_path / "own.keras"


def test_the_same_model_gives_the_same_bytes(tmp_path, own):
    assert export.main([str(own), *CAFFE, "--out", str(tmp_path / "a")]) == 0
    arguments = [str(own), *CAFFE]
    command = [
        sys.executable,
        "-m",
        "kerasrun_export.cli.export",
        *arguments,
        "--out",
        str(tmp_path / "b"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, errors(done.stderr)) == (0, [])
    assert "probs" in done.stdout
    first, second = (manifest.read(tmp_path / name) for name in "ab")
    assert first == second


def test_an_export_is_replaced_and_nothing_else(tmp_path, own, capsys):
    out = tmp_path / "out"
    out.mkdir()
    arguments = [str(own), *CAFFE, "--out", str(out)]
    assert export.main(arguments) == 0  # into an empty directory
    (out / "saved_model.pb").write_bytes(b"old")
    assert export.main(arguments) == 0
    assert (out / "saved_model.pb").stat().st_size > 1000

    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("the only copy")
    for target in (other, other / "thesis.txt"):
        assert export.main([str(own), *CAFFE, "--out", str(target)]) == 1
    assert files(other) == {"thesis.txt"}
    first, second = errors(capsys.readouterr().err)
    assert (
        first
        == f"kerasrun-export: {other}: has other files in it; it is replaced only where it is "
        f"an export ({manifest.PATH})"
    )
    assert second == f"kerasrun-export: {other}/thesis.txt: is there and not a directory"


def test_a_graph_that_differs_is_not_written(tmp_path, own, capsys, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(exporter.rewrite, "optimize", spoil)
    assert export.main([str(own), *TF, "--out", str(out)]) == 0
    warnings = capsys.readouterr().err
    assert re.search(
        r"kerasrun-export: warning: the optimized graph is out of tolerance \(\w+: differ by \S+ "
        r"from keras .*, more than 1e-0[45]\): the reference graph is written",
        warnings,
    )
    assert manifest.read(out)["graph"] == "reference"
    ready = preprocess(resized_to(40, 48), "tf")
    want = keras.models.load_model(own).predict(ready, verbose=0)
    np.testing.assert_allclose(saved_model.run(out, ready)["probs"], want, atol=1e-5)


@keras.saving.register_keras_serializable("kerasrun-tests")
class MeanOfBatch(keras.layers.Layer):
    """Answers each image with what the others in its batch say too."""

    def call(self, scores: tf.Tensor) -> tf.Tensor:
        return scores + tf.reduce_mean(scores, axis=0, keepdims=True)


def test_a_model_whose_rows_depend_on_each_other_is_refused(tmp_path, capsys):
    model = own_model(last=None)
    keras.Model(model.input, MeanOfBatch(name="mixed")(model.output)).save(tmp_path / "mixed.keras")
    arguments = [str(tmp_path / "mixed.keras"), *CAFFE, "--kind", "mixed=regression"]
    assert export.main([*arguments, "--out", str(tmp_path / "out")]) == 1
    assert re.fullmatch(
        r"kerasrun-export: mixed: expected the same answer for an image whatever else is in the "
        r"batch, got one that differs by .*\n",
        capsys.readouterr().err,
    )
    assert not (tmp_path / "out").exists()


def spoil(graph: Graph) -> None:
    """A rewriting with a mistake in it."""
    for name, value in graph.constants.items():
        if value.ndim == 4:
            graph.constants[name] = value * 1.01


def test_the_fallback_is_said_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arguments = [
        "resnext50",
        "--weights",
        "imagenet",
        "--mirror",
        "http://127.0.0.1:9/",
        "--image-size",
        "32x32",
    ]
    assert export.main([*arguments, "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert (
        export.main(
            [*arguments, "--fallback-weights", "synthetic:5", "--out", str(tmp_path / "out")]
        )
        == 0
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert "127.0.0.1:9" in line
    assert line.endswith("going on with synthetic:5 weights, whose classes mean nothing")
    stored = manifest.read(tmp_path / "out")
    assert stored["weights"]["source"] == "synthetic:5"
    assert "mode" not in stored["recipe"]
    assert (tmp_path / "out" / manifest.LABELS).read_bytes() == class_names.IMAGENET.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnext51"], "unknown architecture 'resnext51'"),
        (["none.keras", *TF], "none.keras: no such file"),
        (["DIRECTORY", *TF], "got a directory; --saved-model takes one"),
        (["THREE", *TF], "THREE: expected a .keras or .h5 file that Keras saved, got a file of an"),
        (["OWN", *TF, "--fit", "pad", "--fill", "300"], "images: fill: expected a whole number"),
        (
            ["OWN", *TF, "--exif", "--decoder", "tensorflow", "--resample", "bilinear"],
            "does not re",
        ),
        (
            ["OWN", *TF, "--weights", "synthetic"],
            "--weights: OWN comes with its own",
        ),
        (
            ["OWN", *TF, "--image-size", "64x64"],
            "takes 40x48, got 64x64",
        ),
        (
            ["OWN", *TF, "--class-names", "none.txt"],
            "No such file or directory: 'none.txt'",
        ),
        (
            ["OWN", *TF, "--class-names", "THREE"],
            "class names: expected 4, one for each class, got 3",
        ),
        (
            ["OWN", *TF, "--class-names", "BROKEN"],
            "BROKEN: expected the numbers 0 to 1, got 2 after 0",
        ),
        (["resnext50", "--weights", "none.h5"], "unknown weights 'none.h5'"),
        (
            ["resnext50", "--weights", "imagenet", "--classes", "7"],
            "the imagenet weights have a top of 1000 classes, not 7",
        ),
        (["resnext50", "--image-size", "16x16"], "at least 32"),
    ],
)
def test_what_cannot_be_exported(tmp_path, own, capsys, arguments, message):
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    (tmp_path / "broken.json").write_text('{"0": ["n01", "tench"], "2": 3}')
    places = {"OWN": own, "THREE": tmp_path / "three.txt", "BROKEN": tmp_path / "broken.json"}
    places["DIRECTORY"] = tmp_path
    arguments = [str(places.get(argument, argument)) for argument in arguments]
    for key, place in places.items():
        message = message.replace(key, str(place))
    assert export.main([*arguments, "--out", str(tmp_path / "out")]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kerasrun-export: ")
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--out", "x"],
        ["resnext50"],
        ["resnext50", "--out"],
        ["resnext50", "--out", "x", "--colour"],
        ["resnext50", "--out", "x", "--graph", "fast"],
        ["resnext50", "--out", "x", "--mode", "rgb"],
        ["resnext50", "--out", "x", "--scale", "1/0"],
        ["resnext50", "--out", "x", "--kind", "probs=class"],
        ["resnext50", "--out", "x", "--trained-with", "tf"],
        ["resnext50", "--out", "x", "--pooling", "avg"],
        ["resnext50", "--out", "x", "--image-size", "224"],
        ["resnext50", "--out", "x", "--classes", "0"],
    ],
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as exit_status:
        export.main(arguments)
    assert exit_status.value.code == 2
    assert capsys.readouterr().err.startswith("usage: kerasrun-export")
