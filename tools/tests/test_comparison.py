"""What differs from Keras, and models whose answer depends on the others in the batch: refused."""

import numpy as np
import pytest
import tf_keras

from kerasrun_export import adopt, comparison, exporter, goldens, sample_images
from kerasrun_export.backend import keras, tf
from kerasrun_export.choices import Choices
from kerasrun_export.contract import input_from_json
from kerasrun_export.errors import ExportError, GoldenError
from kerasrun_export.outputs import Meaning

SHAPE = (12, 16, 3)
SAID = {"pipeline": "load_img", "divide": 255}


class OverBatch(keras.layers.Layer):
    """A user's own layer; `kind` is a key of OVER."""

    def __init__(self, kind: str, **options: object) -> None:
        super().__init__(**options)
        self.kind = kind

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return OVER[self.kind](x)


OVER = {
    "less the mean": lambda x: x - tf.reduce_mean(x, 0, keepdims=True),
    "by the largest": lambda x: x / (tf.reduce_max(x) + 1e-3),
    "a softmax over images": lambda x: tf.nn.softmax(x, axis=0),
    "in reverse order": lambda x: x[::-1],
    "the first alone": lambda x: x[:1] + 0 * x,
}


def over_batch(kind: str, shape: tuple = SHAPE, batch: int | None = None) -> keras.Model:
    keras.utils.set_random_seed(5)
    inputs = keras.Input(shape, batch_size=batch)
    x = OverBatch(kind)(keras.layers.Conv2D(4, 3)(inputs)) if kind else inputs
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(4, 3)(x))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


@pytest.mark.parametrize("kind", OVER)
def test_batches(tmp_path, kind):
    model = over_batch(kind)
    images = np.random.default_rng(1).uniform(0, 1, (4, *SHAPE)).astype(np.float32)
    alone = np.concatenate([model.predict(images[i : i + 1], verbose=0) for i in range(4)])
    assert np.abs(alone - model.predict(images, verbose=0)).max() > 1e-3
    with pytest.raises(ExportError, match="expected the same answer for an image whatever else"):
        exporter.export(model, tmp_path / "out", **SAID)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", ["free size", "one image", "fixed batch"])
@pytest.mark.parametrize("kind", ["less the mean", ""])
def test_where_no_two_images_are_compared_at_once(tmp_path, how, kind):
    """Images of any size go one by one, and a user may have one alone."""
    options = dict(SAID)
    if how == "one image":
        (tmp_path / "images").mkdir()
        source = sample_images.paths()[0]
        (tmp_path / "images" / source.name).write_bytes(source.read_bytes())
        options["images"] = tmp_path / "images"
    if how == "free size":
        options["fit"] = "none"
    shape = (None, None, 3) if how == "free size" else SHAPE
    model = over_batch(kind, shape, 3 if how == "fixed batch" else None)
    if kind:
        with pytest.raises(ExportError, match="whatever else is in the batch"):
            exporter.export(model, tmp_path / "out", **options)
    else:
        exporter.export(model, tmp_path / "out", **options)


def test_several_images(tmp_path):
    """Each input gets another image, so that an exchange shows; a pack's case is one image."""
    left, right = keras.Input(SHAPE, name="left"), keras.Input(SHAPE, name="right")
    pooled = [keras.layers.GlobalAveragePooling2D()(one) for one in (left, right)]
    x = keras.layers.Dense(1, name="distance")(keras.layers.Subtract()(pooled))
    model = keras.Model([left, right], x)
    with pytest.warns(exporter.ExportWarning, match=r"no goldens, .* several images \(left, right"):
        made = exporter.export(model, tmp_path / "out", **SAID, kinds={"distance": "regression"})
    assert made["goldens"] == ""
    inputs = [input_from_json(one) for one in made["inputs"]]
    (tensors,) = comparison.batches(inputs, sample_images.paths())
    one, other = (tensors[name] for name in ("left", "right"))
    assert all(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    np.testing.assert_array_equal(one[1:], other[:-1])
    for predict in (None, lambda path: None):
        with pytest.raises(GoldenError, match="one input of images, got left, right: a case is on"):
            goldens.golden(
                model, sample_images.DIRECTORY, tmp_path / "pack", predict=predict, **SAID
            )


def test_an_adopted_graph(tmp_path):
    inputs = tf_keras.Input(SHAPE)
    x = tf_keras.layers.Lambda(lambda x: x - tf.reduce_mean(x, 0, keepdims=True))(inputs)
    x = tf_keras.layers.Dense(3, activation="softmax")(tf_keras.layers.Flatten()(x))
    tf_keras.Model(inputs, x).save(tmp_path / "saved", save_format="tf")
    with pytest.raises(ExportError, match=r"whatever else is in the batch.* in tensorflow "):
        adopt.adopt(
            tmp_path / "saved",
            tmp_path / "out",
            Choices("load_img", divide=(255.0,)),
            exporter.Options(Meaning()),
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_number_differs(value):
    want = np.ones((1, 3), np.float32)
    got = np.array([[1, value, 1]], np.float32)
    assert not comparison.largest_difference(got, want, relative=False) <= 1e-5
    assert not comparison.largest_difference(got, want, relative=True) <= 1e-5


def test_a_regression_near_zero():
    want = np.array([[1.0], [1e-9], [-0.5]], np.float32)
    assert comparison.largest_difference(want + 1e-7, want, relative=True) < 1e-6
    want = np.array([[1.0, 2.0], [1e-9, 1e-8]], np.float32)
    assert comparison.largest_difference(want + 1e-7, want, relative=True) > 1
