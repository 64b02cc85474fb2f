"""Models that fix training=True for a layer: refused wherever Keras's own answer depends on it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tf_keras
from tensorflow.python.framework import op_def_registry

from kerasrun_export import exporter, model_file, saved_model, serving
from kerasrun_export.backend import keras, tf
from kerasrun_export.choices import Choices
from kerasrun_export.errors import ModelError
from kerasrun_export.recipe import Recipe
from test_model_file import edit_h5

SHAPE = (12, 16, 3)
DRAWING = {
    "Dropout": lambda kinds: kinds.Dropout(0.5, name="fixed"),
    "GaussianNoise": lambda kinds: kinds.GaussianNoise(1.0, name="fixed"),
    "RandomFlip": lambda kinds: kinds.RandomFlip(name="fixed"),
    "SpatialDropout2D": lambda kinds: kinds.SpatialDropout2D(0.5, name="fixed"),
}


def batch_norm(kinds, **options: object):
    return kinds.BatchNormalization(name="fixed", **options)


def small(library, layer: Callable, place: str = "flat", **call: object) -> keras.Model:
    """Of Keras 3 or tf_keras, with a layer that is called with the given options."""
    library.utils.set_random_seed(5)
    kinds = library.layers
    inputs = library.Input(SHAPE)
    x = kinds.Conv2D(4, 3, name="convolution")(inputs)
    x = layer(kinds)(x) if place == "submodel" else layer(kinds)(x, **call)
    model = library.Model(inputs, kinds.Flatten()(x), name="body")
    if place == "in a Sequential":
        model = library.Sequential([library.Input(SHAPE), model, kinds.Dense(4)])
    if place != "flat":
        outer = library.Input(SHAPE)
        x = model(outer, **call) if place == "submodel" else model(outer)
        model = library.Model(outer, x)
    x = kinds.Dense(3, activation="softmax")(model.output)
    return library.Model(model.input, x)


def load(model, path: Path) -> serving.Served:
    """The model as the exporter loads it from its file."""
    model.save(path)
    return serving.trace(Recipe(str(path), choices=Choices("load_img", mode="none")).load().model)


IMAGES = np.random.default_rng(1).uniform(0, 1, (4, *SHAPE)).astype(np.float32)


PLACES = ("flat", "nested", "in a Sequential", "submodel")


@pytest.mark.parametrize(
    ("library", "suffix", "kind", "place"),
    [
        (library, suffix, kind, place)
        for library, suffix in ((keras, ".keras"), (tf_keras, ".h5"))
        for kind in DRAWING
        for place in PLACES
        # Keras 3 fixes it by itself: test_augmentation_of_keras_3.
        if (library, kind) != (keras, "RandomFlip") or place == "submodel"
    ],
)
def test_a_layer_that_draws(tmp_path, library, suffix, kind, place):
    model = small(library, DRAWING[kind], place, training=True)
    answers = [np.asarray(model(IMAGES)) for _ in range(8)]
    assert any(not np.array_equal(answers[0], other) for other in answers[1:])
    name = "body" if place == "submodel" else "fixed"
    path = tmp_path / f"own{suffix}"
    with pytest.raises(ModelError, match=f"{path}: fixes .* {name!r} .* draws random num") as error:
        load(model, path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("library", "suffix"), [(tf_keras, ".keras"), (keras, ".h5")])
def test_the_other_formats(tmp_path, library, suffix):
    with pytest.raises(ModelError, match="fixes training=True for the layer 'fixed'"):
        load(small(library, DRAWING["Dropout"], training=True), tmp_path / f"own{suffix}")


def test_by_position(tmp_path):
    """As Keras 2 takes it, and Keras 3 does not."""
    inputs = tf_keras.Input(SHAPE)
    model = tf_keras.Model(inputs, tf_keras.layers.Dropout(0.5, name="fixed")(inputs, True))
    with pytest.raises(ModelError, match="fixes training=True for the layer 'fixed'"):
        load(model, tmp_path / "own.h5")


def test_augmentation_of_an_old_file(tmp_path, monkeypatch):
    """Of Keras before 2.9, which Keras 3 reads; it then notes training=True, said or not."""
    monkeypatch.setattr(model_file, "_libraries", lambda _: [keras])  # tf_keras not installed

    def saved(**call: object) -> str:
        model = small(tf_keras, DRAWING["RandomFlip"], **call)
        model.save(tmp_path / "old.h5")
        edit_h5(tmp_path / "old.h5", lambda part: part["config"].pop("rng_type", None))
        return str(tmp_path / "old.h5")

    assert isinstance(model_file.load(saved()), keras.Model)
    with pytest.raises(ModelError, match=r"fixes training=True for the layer 'fixed' .RandomFlip."):
        model_file.load(saved(training=True))


@pytest.mark.parametrize("call", [{}, {"training": True}])
def test_augmentation_of_keras_3(tmp_path, call):
    """Keras 3 notes training=True for each, and its predict leaves it out."""
    model = small(keras, DRAWING["RandomFlip"], "nested", **call)
    (node,) = model.get_layer("body").get_layer("fixed")._inbound_nodes
    assert node.arguments.kwargs == {"training": True}
    served = load(model, tmp_path / "own.keras")
    exporter.write_graph(served, tmp_path / "out", "optimized")
    got = saved_model.run(tmp_path / "out", IMAGES)["probs"]
    for _ in range(4):
        np.testing.assert_allclose(got, model.predict(IMAGES, verbose=0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_batch_normalization(tmp_path, library):
    model = small(library, batch_norm, "nested", training=True)
    alone = np.concatenate([np.asarray(model(IMAGES[i : i + 1])) for i in range(4)])
    assert np.abs(alone - np.asarray(model(IMAGES))).max() > 1e-3
    with pytest.raises(ModelError, match="which then answers by what else is in the batch"):
        load(model, tmp_path / "own.keras")


def test_a_live_model(tmp_path):
    model = small(keras, DRAWING["Dropout"], training=True)
    with pytest.raises(ModelError, match=f"{model.name}: fixes training=True .* 'fixed'"):
        exporter.export(model, tmp_path / "out", pipeline="load_img", mode="none")
    assert not (tmp_path / "out").exists()


CONTROLS = {
    "augmentation": (DRAWING["RandomFlip"], {}),
    "augmentation that is off": (DRAWING["RandomFlip"], {"training": False}),
    "training=False": (DRAWING["Dropout"], {"training": False}),
    "nothing said": (DRAWING["Dropout"], {}),
    "a rate of 0": (lambda kinds: kinds.Dropout(0.0), {"training": True}),
    "frozen": (lambda kinds: batch_norm(kinds, trainable=False), {"training": True}),
    "no such layer": (lambda kinds: kinds.Conv2D(4, 3), {}),
}


@pytest.mark.parametrize("place", ["nested", "submodel"])
@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize(("library", "suffix"), [(keras, ".keras"), (tf_keras, ".h5")])
def test_what_changes_nothing(tmp_path, library, suffix, control, place):
    layer, call = CONTROLS[control]
    call = {"training": True} if (control, place) == ("no such layer", "submodel") else call
    model = small(library, layer, place, **call)
    served = load(model, tmp_path / f"own{suffix}")
    exporter.write_graph(served, tmp_path / "out", "optimized")
    got = saved_model.run(tmp_path / "out", IMAGES)["probs"]
    np.testing.assert_allclose(got, model.predict(IMAGES, verbose=0), rtol=0, atol=1e-5)


def test_every_operation_that_draws_is_known():
    """Those of TensorFlow with a seed that keep a state; the others give no tensor to a model."""
    drawing = set()
    for name in dir(tf.raw_ops):
        op = op_def_registry.get(name)
        if op is None or not op.is_stateful:
            continue
        seeded = {"seed", "seed2"} & {attribute.name for attribute in op.attr}
        if seeded or name.startswith(("Rng", "Stateful", "NonDeterministic")):
            drawing.add(name)
    others = ("Dataset", "Queue", "QueueV2", "Sampler", "Generator", "PartitionedCall")
    drawing = {name for name in drawing if not name.removesuffix("V2").endswith(others)}
    drawing = {name for name in drawing if not name.startswith("CudnnRNN")}
    assert drawing == serving.RANDOM
