"""A SavedModel takes and gives what the Keras model does, held against `predict`."""

import re

import numpy as np
import pytest

from kerasrun_export import exporter, saved_model, serving
from kerasrun_export.backend import keras, tf
from kerasrun_export.errors import ModelError

L = keras.layers


def classifier(shape: tuple, *, name: str | None = None, last: str | None = "softmax", **options):
    """A small functional model with convolutions, for a shape without its batch."""
    x = inputs = keras.Input(shape, name=name, **options)
    if len(shape) == 2:
        x = L.Reshape((*shape, 1))(x)
    x = L.Conv2D(6, 3, padding="same")(x)
    x = L.BatchNormalization()(x)
    x = L.GlobalAveragePooling2D()(L.ReLU()(x))
    return keras.Model(inputs, L.Dense(3, activation=last, name="score")(x))


def channels_first() -> keras.Model:
    inputs = keras.Input((3, 12, 16), name="chw")
    x = L.Conv2D(6, 3, data_format="channels_first")(inputs)
    x = L.GlobalAveragePooling2D(data_format="channels_first")(x)
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="score")(x))


def uint8() -> keras.Model:
    inputs = keras.Input((12, 16, 3), dtype="uint8", name="pixels")
    x = L.Flatten()(L.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="score")(x))


def fixed_batch() -> keras.Model:
    """Of two images: its reshape knows the number."""
    inputs = keras.Input((12, 16, 3), batch_size=2, name="pair")
    x = keras.ops.reshape(inputs, (2, 12 * 16 * 3))
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="score")(x))


def several_inputs() -> keras.Model:
    image, age = keras.Input((12, 16, 3), name="my photo"), keras.Input((4,), name="age")
    x = L.Concatenate()([L.GlobalMaxPooling2D()(L.Conv2D(4, 3)(image)), age])
    return keras.Model([image, age], L.Dense(3, activation="softmax", name="score")(x))


def dicts() -> keras.Model:
    """Inputs and outputs in dicts, whose order is not that of the alphabet."""
    image, age = keras.Input((12, 16, 3), name="a"), keras.Input((4,), name="b")
    x = L.Concatenate()([L.GlobalMaxPooling2D()(L.Conv2D(4, 3)(image)), age])
    return keras.Model(
        {"photo": image, "age": age},
        {
            "species": L.Dense(3, activation="softmax", name="d1")(x),
            "adult": L.Dense(1, activation="sigmoid", name="d2")(x),
            "height": L.Dense(1, name="d3")(x),
        },
    )


def two_unnamed() -> keras.Model:
    left, right = keras.Input((12, 16, 3)), keras.Input((12, 16, 3))
    shared = L.Conv2D(4, 3)
    x = L.Concatenate()([L.GlobalMaxPooling2D()(shared(image)) for image in (left, right)])
    return keras.Model([left, right], L.Dense(1, activation="sigmoid", name="same")(x))


def segmentation() -> keras.Model:
    inputs = keras.Input((None, None, 3), name="scene")
    return keras.Model(
        inputs, L.Conv2D(5, 3, padding="same", activation="softmax", name="map")(inputs)
    )


def nested() -> keras.Model:
    body = keras.Sequential([keras.Input((12, 16, 3)), L.Conv2D(4, 3), L.Flatten()])
    inputs = keras.Input((12, 16, 3), name="outer")
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="score")(body(inputs)))


def sequential() -> keras.Model:
    """As keras.io's tutorials end: without an input layer, built by its first batch of seven."""
    model = keras.Sequential(
        [
            L.RandomFlip("horizontal"),
            L.RandomRotation(0.2),
            L.Rescaling(1 / 255),
            L.Conv2D(6, 3, activation="relu"),
            L.Flatten(),
            L.Dropout(0.5),
            L.Dense(3, activation="softmax"),
        ]
    )
    model.predict(np.zeros((7, 12, 16, 3), np.float32), verbose=0)
    return model


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="own")
        self.convolution, self.top = L.Conv2D(4, 3), L.Dense(3, activation="softmax")

    def call(self, image: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        features = keras.ops.mean(self.convolution(image), (1, 2))
        return {"probability": self.top(features), "features": features}


def subclassed() -> keras.Model:
    model = Subclassed()
    model.predict(np.zeros((7, 12, 16, 3), np.float32), verbose=0)
    return model


def lstm() -> keras.Model:
    inputs = keras.Input((28, 28), name="rows")
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="score")(L.LSTM(5)(inputs)))


def mixed(policy: str):
    def build() -> keras.Model:
        keras.config.set_dtype_policy(policy)
        try:
            return classifier((12, 16, 3), name="photo")
        finally:
            keras.config.set_dtype_policy("float32")

    return build


ROW = ("photo", "float32", (-1, 12, 16, 3))
CLASSIFIER = [
    ("features", "features", (-1, 6), "none"),
    ("serving_default", "logits", (-1, 3), "none"),
    ("serving_default", "probs", (-1, 3), "softmax"),
]

# name: (model, inputs, outputs or None, the size where it is free)
KINDS = {
    "functional": (lambda: classifier((12, 16, 3), name="photo"), [ROW], CLASSIFIER),
    "unnamed": (lambda: classifier((12, 16, 3)), [("images", *ROW[1:])], CLASSIFIER),
    "grey": (
        lambda: classifier((12, 16, 1), name="photo"),
        [("photo", "float32", (-1, 12, 16, 1))],
        CLASSIFIER,
    ),
    "RGBA": (
        lambda: classifier((12, 16, 4), name="photo"),
        [("photo", "float32", (-1, 12, 16, 4))],
        CLASSIFIER,
    ),
    "without an axis for channels": (
        lambda: classifier((28, 28), name="photo"),
        [("photo", "float32", (-1, 28, 28))],
        CLASSIFIER,
    ),
    "free size": (
        lambda: classifier((None, None, 3), name="photo"),
        [("photo", "float32", (-1, -1, -1, 3))],
        CLASSIFIER,
    ),
    "a batch size that it does not need": (
        lambda: classifier((12, 16, 3), name="photo", batch_size=1),
        [ROW],
        CLASSIFIER,
    ),
    "float16": (
        lambda: classifier((12, 16, 3), name="photo", dtype="float16"),
        [("photo", "float16", (-1, 12, 16, 3))],
        CLASSIFIER,
    ),
    "channels first": (channels_first, [("chw", "float32", (-1, 3, 12, 16))], CLASSIFIER),
    "uint8": (
        uint8,
        [("pixels", "uint8", (-1, 12, 16, 3))],
        [("features", "features", (-1, 576), "none"), *CLASSIFIER[1:]],
    ),
    "fixed batch": (fixed_batch, [("pair", "float32", (2, 12, 16, 3))], None),
    "regression": (
        lambda: classifier((12, 16, 3), name="photo", last=None),
        [ROW],
        [("serving_default", "score", (-1, 3), "none")],
    ),
    "several inputs": (
        several_inputs,
        [("my_photo", "float32", (-1, 12, 16, 3)), ("age", "float32", (-1, 4))],
        None,
    ),
    "dicts": (
        dicts,
        [("photo", "float32", (-1, 12, 16, 3)), ("age", "float32", (-1, 4))],
        [
            ("serving_default", "adult", (-1, 1), "sigmoid"),
            ("serving_default", "height", (-1, 1), "none"),
            ("serving_default", "species", (-1, 3), "softmax"),
        ],
    ),
    "two unnamed inputs": (
        two_unnamed,
        [("images_1", *ROW[1:]), ("images_2", *ROW[1:])],
        None,
    ),
    "segmentation": (
        segmentation,
        [("scene", "float32", (-1, -1, -1, 3))],
        [("serving_default", "map", (-1, -1, -1, 5), "softmax")],
    ),
    "nested": (nested, [("outer", *ROW[1:])], None),
    "sequential": (sequential, [("images", *ROW[1:])], None),
    "subclassed": (
        subclassed,
        [("images", *ROW[1:])],
        [
            ("serving_default", "features", (-1, 4), "none"),
            ("serving_default", "probability", (-1, 3), "softmax"),
        ],
    ),
    "LSTM": (lstm, [("rows", "float32", (-1, 28, 28))], None),
    "mixed_float16": (mixed("mixed_float16"), [ROW], CLASSIFIER),
    "mixed_bfloat16": (mixed("mixed_bfloat16"), [ROW], CLASSIFIER),
    "bfloat16": (mixed("bfloat16"), [ROW], CLASSIFIER),
}
# float16 has 11 bits, bfloat16 8: a sum in another order moves the last of them.
TOLERANCES = {"mixed_float16": 2e-3, "mixed_bfloat16": 2e-2, "bfloat16": 2e-2}
LOOPS = {"LSTM"}


def batch(inputs: list, rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        name: rng.uniform(
            0, 255 if dtype == "uint8" else 2, (rows, *(s if s > 0 else 20 for s in shape[1:]))
        ).astype(dtype)
        for name, dtype, shape in inputs
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("graph", ["optimized", "reference"])
def test_it_takes_and_gives_what_keras_does(tmp_path, seed, kind, graph):
    build, inputs, outputs = KINDS[kind]
    keras.utils.set_random_seed(seed)
    model = build()
    served = serving.trace(model)
    assert [(i.name, i.dtype, i.shape) for i in served.inputs] == inputs
    if outputs is not None:
        got = [(o.signature, o.name, o.shape, o.activation) for o in served.outputs]
        assert sorted(got) == outputs
    assert served.mixed == (kind in TOLERANCES)
    if kind in LOOPS and graph == "optimized":
        with pytest.raises(ValueError, match="which the optimized graph cannot have"):
            exporter.write_graph(served, tmp_path / "out", graph)
        return
    exporter.write_graph(served, tmp_path / "out", graph)

    tensors = batch(inputs, 6, np.random.default_rng(seed))
    taken = list(tensors.values())
    if kind == "dicts":
        taken = {"photo": taken[0], "age": taken[1]}
    elif len(taken) == 1:
        taken = taken[0]
    want = model.predict(taken, verbose=0, batch_size=2)
    got = saved_model.run(tmp_path / "out", tensors)
    if not isinstance(want, dict):
        name = next(
            o.name
            for o in served.outputs
            if o.signature == "serving_default" and o.name != "logits"
        )
        want = {name: want}
    for key, value in want.items():
        assert got[key].dtype == np.float32
        np.testing.assert_allclose(
            got[key], np.asarray(value, np.float32), rtol=0, atol=TOLERANCES.get(kind, 1e-5)
        )
    loaded = tf.saved_model.load(str(tmp_path / "out")).signatures["serving_default"]
    alone = loaded(**{key: tf.constant(value[:2]) for key, value in tensors.items()})
    for key, value in got.items():
        np.testing.assert_allclose(
            alone[key].numpy(), value[:2], rtol=1e-5, atol=TOLERANCES.get(kind, 1e-5)
        )


def test_a_size_for_a_model_of_any_size():
    served = serving.trace(classifier((None, None, 3)), size=(20, 24))
    assert served.inputs[0].shape == (-1, 20, 24, 3)
    with pytest.raises(ModelError, match="--image-size: mine takes 12x16, got 9x9"):
        model = classifier((12, 16, 3))
        model.name = "mine"
        serving.trace(model, size=(9, 9))


def test_a_model_that_says_no_shape():
    with pytest.raises(
        ModelError, match=r"expected a model that knows the shape of its input"
    ) as e:
        serving.trace(keras.Sequential([L.Flatten(), L.Dense(2)]))
    assert "\n" not in str(e.value)


def test_a_model_that_changes_as_it_answers():
    class Counting(L.Layer):
        def build(self, shape: tuple) -> None:
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x: tf.Tensor) -> tf.Tensor:
            self.count.assign_add(1.0)
            return x + self.count

    inputs = keras.Input((12, 16, 3))
    model = keras.Model(inputs, Counting()(inputs), name="counting")
    with pytest.raises(ModelError, match=re.escape("changes its own variables as it answers")):
        serving.trace(model)


def test_a_model_that_draws_random_numbers():
    class Noisy(L.Layer):
        def call(self, x: tf.Tensor) -> tf.Tensor:
            return x + tf.random.normal(tf.shape(x), stddev=1e-7)

    inputs = keras.Input((12, 16, 3))
    model = keras.Model(inputs, Noisy()(inputs), name="noisy")
    with pytest.raises(ModelError, match="draws random numbers as it answers"):
        serving.trace(model)
