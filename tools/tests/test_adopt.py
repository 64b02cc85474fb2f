"""SavedModels that something else wrote: adopted byte for byte, with answers of Python's."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tf_keras

from kerasrun_export import images, manifest, sample_images, saved_model
from kerasrun_export.backend import keras, tf
from kerasrun_export.cli import export, golden
from kerasrun_export.contract import input_from_json

SHAPE = (12, 16, 3)
SAID = ["--pipeline", "load_img", "--scale", "1/255"]


def classifier(library=keras, *first: object) -> keras.Model:
    library.utils.set_random_seed(3)
    kinds = library.layers
    model = library.Sequential(
        [
            library.Input(SHAPE, name="photo"),
            *first,
            kinds.Conv2D(6, 3),
            kinds.BatchNormalization(),
            kinds.ReLU(),
            kinds.GlobalAveragePooling2D(),
            kinds.Dense(3, activation="softmax", name="species"),
        ]
    )
    model(np.random.default_rng(3).normal(size=(4, *SHAPE)).astype(np.float32), training=True)
    return model


def by_keras_3(directory: Path) -> Callable:
    model = classifier()
    model.export(directory, verbose=False)
    return lambda x: model.predict(x, verbose=0)


def by_keras_2(directory: Path) -> Callable:
    model = classifier(tf_keras)
    model.save(directory, save_format="tf")
    return lambda x: model.predict(x, verbose=0)


def by_module(directory: Path) -> Callable:
    weights = tf.Variable(np.random.default_rng(3).normal(size=(3, 4)).astype(np.float32))

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = weights

        @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE), tf.float32, name="pixels")])
        def __call__(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"classes": tf.nn.softmax(tf.reduce_mean(pixels, (1, 2)) @ self.weights)}

    module = Module()
    tf.saved_model.save(module, str(directory), signatures=module.__call__)
    return lambda x: module(tf.constant(x))["classes"].numpy()


def by_tensorflow_1(directory: Path, tags: tuple = ("serve",), key: str = "serving_default"):
    compat = tf.compat.v1
    values = np.random.default_rng(3).normal(size=(3, 4)).astype(np.float32)
    with tf.Graph().as_default(), compat.Session() as session:
        x = compat.placeholder(tf.float32, (None, *SHAPE), "x")
        weights = compat.get_variable("weights", initializer=values, use_resource=False)
        y = tf.nn.softmax(tf.linalg.matmul(tf.reduce_mean(x, (1, 2)), weights), name="y")
        session.run(compat.global_variables_initializer())
        builder = compat.saved_model.Builder(str(directory))
        signature = compat.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(session, list(tags), {key: signature})
        builder.save()
    return lambda x: tf.nn.softmax(x.mean((1, 2)) @ values).numpy()


def by_strings(directory: Path) -> Callable:
    """The serving function of a tutorial: it decodes, resizes and scales itself."""
    model = classifier()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        def one(data: tf.Tensor) -> tf.Tensor:
            image = tf.io.decode_image(data, 3, expand_animations=False)
            return tf.image.resize(image, SHAPE[:2]) / 255.0

        x = tf.map_fn(one, image_bytes, tf.TensorSpec(SHAPE, tf.float32))
        return {"species": model(x, training=False)}

    module = tf.Module()
    module.held, module.serve = [variable.value for variable in model.variables], serve
    tf.saved_model.save(module, str(directory), signatures=serve)

    def want(encoded: np.ndarray) -> np.ndarray:
        made = [
            tf.image.resize(tf.io.decode_image(data, 3, expand_animations=False), SHAPE[:2]) / 255.0
            for data in encoded
        ]
        return model.predict(np.stack(made), verbose=0)

    return want


def originals(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): manifest.sha256(path)
        for path in directory.rglob("*")
        if path.is_file()
    }


KINDS = {
    "Keras 3": (by_keras_3, "photo", "output_0", "probabilities"),
    "Keras 2": (by_keras_2, "photo", "species", "probabilities"),
    "tf.Module": (by_module, "pixels", "classes", "probabilities"),
    "TensorFlow 1": (by_tensorflow_1, "x", "y", "probabilities"),
    "strings": (by_strings, "image_bytes", "species", "probabilities"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_others_saved(tmp_path, kind):
    build, name, answer, said = KINDS[kind]
    predict = build(tmp_path / "saved")
    before = originals(tmp_path / "saved")
    names = [f"class {i}" for i in range(4 if kind in ("tf.Module", "TensorFlow 1") else 3)]
    (tmp_path / "names.json").write_text(json.dumps(names))
    arguments = ["--saved-model", str(tmp_path / "saved"), "--out", str(tmp_path / "out")]
    arguments += ["--class-names", str(tmp_path / "names.json")]
    assert export.main([*arguments, *([] if kind == "strings" else SAID)]) == 0

    after = originals(tmp_path / "out")
    assert {path: after[path] for path in before} == before
    assert all(path.startswith("assets.extra/") for path in after.keys() - before.keys())
    stored = manifest.read(tmp_path / "out")
    assert stored["graph"] == "adopted"
    assert "flops" not in stored  # nothing counted them
    assert stored["answer"] == answer
    (output,) = stored["outputs"]["serving_default"]
    assert (output["name"], output["kind"]) == (answer, said)
    assert json.loads((tmp_path / "out" / output["labels"]).read_text())["2"] == ["class 2"] * 2
    (taken,) = stored["inputs"]
    assert (taken["name"], taken["kind"]) == (name, "encoded" if kind == "strings" else "image")
    assert stored["parameters"] == (12 if len(names) == 4 else 168 + 24 + 21)  # once each

    paths = sample_images.paths()
    if kind == "strings":
        tensors = np.array([path.read_bytes() for path in paths], object)
    else:
        made = input_from_json(taken)
        tensors = np.stack([images.stages(made, path).tensor for path in paths])
    got = saved_model.run(tmp_path / "out", tensors)[answer]
    np.testing.assert_allclose(got, predict(tensors), rtol=0, atol=1e-5)
    assert stored["reference_difference"] <= 1e-5


def adopted(directory: Path, out: Path, *more: str) -> int:
    return export.main(["--saved-model", str(directory), "--out", str(out), *SAID, *more])


def test_rows_of_numbers(tmp_path, capsys):
    """An input that may be of grey images or of a sequence has to be named."""
    steps = keras.Input((None, 4), name="steps")
    model = keras.Model(steps, keras.layers.Dense(2)(keras.layers.LSTM(3)(steps)))
    model.export(tmp_path / "saved", verbose=False)
    line = ["--saved-model", str(tmp_path / "saved"), "--out", str(tmp_path / "out")]
    assert export.main(line) == 2
    assert "--input steps=tensor (it is served as it is" in capsys.readouterr().err
    said = ["--input", "steps=tensor", "--kind", "output_0=regression"]
    assert export.main([*line, *said]) == 0
    stored = manifest.read(tmp_path / "out")
    assert [one["kind"] for one in stored["inputs"]] == ["tensor"]
    rows = np.random.default_rng(2).normal(0, 1, (3, 9, 4)).astype(np.float32)
    got = saved_model.run(tmp_path / "out", {"steps": rows})["output_0"]
    np.testing.assert_allclose(got, model.predict(rows, verbose=0), atol=1e-6)


def test_another_signature_and_tags(tmp_path, capsys):
    by_tensorflow_1(tmp_path / "saved", ("serve", "gpu"), "classify_images")
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\n")
    more = ("--class-names", str(tmp_path / "names.txt"))
    assert adopted(tmp_path / "saved", tmp_path / "out", *more) == 0
    stored = manifest.read(tmp_path / "out")
    assert list(stored["outputs"]) == ["classify_images"]
    assert (stored["signature"], stored["answer"]) == ("classify_images", "y")
    assert stored["goldens"]
    assert adopted(tmp_path / "saved", tmp_path / "none", "--signature", "other") == 1
    assert "expected a signature 'other', got classify_images; --sig" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [None, (None, None, None, None)])
def test_an_input_of_unknown_rank_or_channels(tmp_path, capsys, shape):
    """How many channels it takes is asked for: a grey graph would run on colours too."""

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="x")])
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.nn.softmax(tf.reduce_mean(x, (1, 2, 3))[:, None] * [[1.0, -1.0]])}

    module = tf.Module()
    module.serve = serve
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=serve)
    size = ("--image-size", "12x16")
    assert adopted(tmp_path / "saved", tmp_path / "out", *size) == 2
    (line,) = capsys.readouterr().err.splitlines()
    free = "height, width and channels" if shape else "rank"
    assert f"for the graph leaves its {free} free: --color rgb|bgr|grayscale|" in line
    assert ("or --input x=tensor" in line) == bool(shape)
    for color, channels in (("grayscale", 1), ("rgb", 3)):
        assert adopted(tmp_path / "saved", tmp_path / color, *size, "--color", color) == 0
        (taken,) = manifest.read(tmp_path / color)["inputs"]
        assert (taken["kind"], taken["shape"]) == ("image", [-1, 12, 16, channels])
    line = ["--saved-model", str(tmp_path / "saved"), "--out", str(tmp_path / "tensor")]
    assert export.main([*line, "--input", "x=tensor"]) == (0 if shape else 2)


def test_a_graph_that_does_not_take_what_was_said(tmp_path, capsys):
    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="x")])
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.nn.softmax(tf.reduce_mean(x, (1, 2)) @ [[1.0, -1.0]])}

    module = tf.Module()
    module.serve = serve
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=serve)
    line = (tmp_path / "saved", tmp_path / "out", "--image-size", "12x16", "--color")
    assert adopted(*line, "rgb") == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "expected a graph that answers x float32 (-1, 12, 16, 3), which it was said to" in said
    assert adopted(*line, "grayscale") == 0


def test_a_graph_in_training_mode(tmp_path, capsys):
    """What a Keras 3 export of RandomFlip and BatchNormalization called with training=True is."""
    model = classifier(keras, keras.layers.RandomFlip())
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda x: model(x, training=True),
        input_signature=[keras.InputSpec(shape=(None, *SHAPE), dtype="float32")],
    )
    archive.write_out(tmp_path / "saved", verbose=False)
    assert adopted(tmp_path / "saved", tmp_path / "out") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "got one in training mode: signature 'serving_default' changes its variables" in line
    assert "Give kerasrun-export the .keras file itself: Keras's model.export() leaves" in line
    assert "allow" not in line


def test_random_answers(tmp_path, capsys):
    class Noise(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE), tf.float32, name="x")])
        def __call__(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": tf.nn.softmax(tf.reduce_mean(x, (1, 2)) + tf.random.normal([3]))}

    module = Noise()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.__call__)
    assert adopted(tmp_path / "saved", tmp_path / "out") == 1
    assert "got another y when asked again" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_random_flip(tmp_path, capsys):
    """Of Keras 2, with training=True fixed: it leaves an image as it is half of the time."""
    inputs = tf_keras.Input(SHAPE)
    x = tf_keras.layers.RandomFlip("horizontal")(inputs, training=True)
    x = tf_keras.layers.Dense(3, activation="softmax")(tf_keras.layers.Flatten()(x))
    tf_keras.Model(inputs, x).save(tmp_path / "saved", save_format="tf")
    assert adopted(tmp_path / "saved", tmp_path / "out") == 1
    assert "when asked again: the graph draws random numbers" in capsys.readouterr().err


def test_samples_that_a_graph_does_not_decode(tmp_path, capsys):
    """decode_jpeg gives an animated GIF one dimension more, which the resize after it refuses."""

    def saved(method: str, directory: Path) -> Path:
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serve(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            def one(data: tf.Tensor) -> tf.Tensor:
                pixels = tf.io.decode_jpeg(data, 3)
                if method == "none":
                    pixels = tf.ensure_shape(pixels, (1, 1, 3))
                return tf.reduce_mean(tf.image.resize(pixels, (8, 8)), (0, 1))

            return {"y": tf.nn.softmax(tf.map_fn(one, image_bytes, tf.TensorSpec(3, tf.float32)))}

        module = tf.Module()
        module.serve = serve
        tf.saved_model.save(module, str(directory), signatures=serve)
        return directory

    line = ["--saved-model", str(saved("some", tmp_path / "some")), "--out", str(tmp_path / "out")]
    assert export.main(line) == 0
    line = [
        "--saved-model",
        str(saved("none", tmp_path / "none")),
        "--out",
        str(tmp_path / "other"),
    ]
    assert export.main(line) == 1
    assert "answers the bytes of an image file, got none" in capsys.readouterr().err


def test_a_pack_of_an_adopted_directory(tmp_path, capsys):
    """Its reference is the SavedModel as TensorFlow in Python runs it, by the adopted signature."""
    predict = by_tensorflow_1(tmp_path / "saved", ("serve", "gpu"), "classify_images")
    assert adopted(tmp_path / "saved", tmp_path / "out") == 0
    arguments = [str(tmp_path / "out"), "--images", str(sample_images.DIRECTORY), "--out"]
    assert golden.main([*arguments, str(tmp_path / "pack")]) == 0
    index = json.loads((tmp_path / "pack" / "goldens.json").read_text())
    assert (index["signature"], index["outputs"]) == ("classify_images", ["y"])
    assert index["reference"] == f"tensorflow {tf.version.VERSION} out classify_images"
    assert len(index["cases"]) == len(sample_images.paths())
    for case in index["cases"]:
        image = keras.utils.load_img(tmp_path / "pack" / case["image"], target_size=SHAPE[:2])
        arrays = np.load(tmp_path / "pack" / case["arrays"])
        want = predict(np.asarray(image, np.float32)[None] * np.float32(1 / 255))[0]
        np.testing.assert_allclose(arrays["y"], want, rtol=0, atol=1e-6)

    capsys.readouterr()
    assert golden.main([*arguments, str(tmp_path / "none"), "--predict", "json:loads"]) == 1
    assert "--predict cannot see what a function feeds it" in capsys.readouterr().err
    assert golden.main([*arguments, str(tmp_path / "none"), "--unsafe-lambda"]) == 1
    assert "expected no flags of these" in capsys.readouterr().err
    shard = next((tmp_path / "out" / "variables").glob("*.data*"))
    shard.write_bytes(shard.read_bytes()[::-1])
    assert golden.main([*arguments, str(tmp_path / "none")]) == 1
    assert "expected the graph and variables that were adopted" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_module_that_holds_a_keras_3_model(tmp_path, capsys):
    """TensorFlow in Python loads it, the C API finds no values: the advice is the way out."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = classifier()

        @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE), tf.float32, name="x")])
        def __call__(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": self.model(x, training=False)}

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.__call__)
    assert adopted(tmp_path / "saved", tmp_path / "out") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "Could not find variable" in line
    assert "give kerasrun-export the .keras file itself" in line
    assert line.endswith("by Keras's model.export(DIR)")
    module.model.export(tmp_path / "exported", verbose=False)
    assert adopted(tmp_path / "exported", tmp_path / "out") == 0
    module.model.save(tmp_path / "own.keras")
    assert export.main([str(tmp_path / "own.keras"), *SAID, "--out", str(tmp_path / "out")]) == 0


def test_what_cannot_be_adopted(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.keras").write_bytes(b"")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"nothing of the kind")
    by_module(tmp_path / "saved")
    assert adopted(tmp_path / "saved", tmp_path / "ours") == 0
    capsys.readouterr()
    for name, message in (
        ("empty", "expected a SavedModel, got none: no saved_model.pb"),
        ("broken", "expected a SavedModel: "),
        ("ours", "has a manifest already"),
        ("empty.keras", "expected the directory of a SavedModel, got a file: a model that Keras"),
    ):
        assert adopted(tmp_path / name, tmp_path / "none") == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert (
        export.main(["--saved-model", str(tmp_path / "saved"), "--out", str(tmp_path / "x")]) == 2
    )
    assert "--pipeline" in capsys.readouterr().err
    for arguments in (["--out", "x"], ["own.keras", "--saved-model", "y", "--out", "x"]):
        with pytest.raises(SystemExit) as exit_status:
            export.main(arguments)
        assert exit_status.value.code == 2
