"""What is read from a model of its own preparation of images."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tf_keras

from kerasrun_export import preparation

KINDS = keras.layers
APPLICATIONS = keras.applications
SHAPE = (32, 32, 3)


def stack(*first, shape=SHAPE) -> keras.Model:
    """A small model that begins with these layers."""
    end = (KINDS.Conv2D(2, 3), KINDS.GlobalAveragePooling2D(), KINDS.Dense(2, "softmax"))
    return keras.Sequential([keras.Input(shape), *first, *end])


def transfer(function) -> keras.Model:
    """Transfer learning as the tutorials have it: augmentation, preprocess_input, a backbone."""
    inputs = keras.Input(SHAPE)
    x = function(keras.Sequential([KINDS.RandomFlip(), KINDS.RandomRotation(0.1)])(inputs))
    base = keras.Sequential([keras.Input(SHAPE), KINDS.Conv2D(2, 3, name="first")], name="base")
    x = KINDS.Dropout(0.2)(KINDS.GlobalAveragePooling2D()(base(x, training=False)))
    return keras.Model(inputs, KINDS.Dense(2, "softmax")(x))


def normalization(*, scaled: bool) -> keras.layers.Layer:
    layer = KINDS.Normalization()
    images = np.random.default_rng(0).integers(0, 256, (8, *SHAPE)).astype(np.float32)
    layer.adapt(images / 255 if scaled else images)
    return layer


def backbone(name: str) -> keras.Model:
    function = getattr(APPLICATIONS, name)
    return function(weights=None, include_top=False, input_shape=SHAPE)


class Own(keras.Model):
    """Subclassed, with a Rescaling that is called last."""

    def __init__(self):
        super().__init__()
        self.convolution = KINDS.Conv2D(2, 3)
        self.rescaling = KINDS.Rescaling(1 / 255)

    def call(self, images):
        return self.rescaling(self.convolution(images))


PREPARED = [
    (lambda: stack(KINDS.Rescaling(1 / 255)), "multiplies by 1/255 (layer rescaling"),
    (
        lambda: stack(KINDS.RandomFlip(), KINDS.Rescaling(1 / 127.5, offset=-1)),
        "multiplies by 1/127.5 and adds -1",
    ),
    (
        lambda: stack(keras.Sequential([KINDS.RandomZoom(0.1), KINDS.Rescaling(1 / 255)])),
        "multiplies by 1/255",
    ),
    (lambda: stack(normalization(scaled=False)), "subtracts ("),
    (lambda: stack(KINDS.Lambda(lambda x: x / 255.0)), "applies a lambda"),
    (lambda: stack(KINDS.Cropping2D(2), KINDS.Rescaling(1 / 255)), "multiplies by 1/255"),
    (lambda: stack(KINDS.Resizing(16, 16), KINDS.Rescaling(1 / 255)), "resizes to 16 x 16"),
    (lambda: transfer(APPLICATIONS.mobilenet_v2.preprocess_input), "divides by 127.5"),
    (lambda: transfer(APPLICATIONS.resnet50.preprocess_input), "adds (-103.939, -116.779, -123.68"),
    (lambda: transfer(APPLICATIONS.densenet.preprocess_input), "divides by 255"),
    (lambda: transfer(KINDS.Rescaling(1 / 255)), "multiplies by 1/255"),
    (lambda: transfer(lambda x: x / 127.5 - 1), "subtracts 1"),
    (lambda: backbone("EfficientNetB0"), "multiplies by 1/255"),
    (lambda: backbone("MobileNetV3Small"), "multiplies by 1/127.5 and adds -1"),
    (lambda: backbone("ConvNeXtTiny"), "subtracts (123.675, 116.28, 103.53)"),
    (
        lambda: stack(KINDS.Reshape((28, 28, 1)), KINDS.Rescaling(1 / 255), shape=(28, 28)),
        "multiplies by 1/255",
    ),
]


@pytest.mark.parametrize(("model", "words"), PREPARED, ids=lambda value: str(value)[:20])
def test_a_model_that_prepares_images(model, words):
    found = preparation.read(model())
    assert found.values
    assert not found.scaled_before
    assert words in "; ".join(found.steps)


@pytest.mark.parametrize(
    "model",
    [
        stack,
        lambda: stack(KINDS.RandomFlip(), KINDS.RandomContrast(0.2), KINDS.GaussianNoise(1)),
        lambda: stack(KINDS.BatchNormalization()),
        lambda: stack(KINDS.ZeroPadding2D()),
        lambda: transfer(lambda x: x),
        lambda: stack(shape=(3, 32, 32)),
    ],
)
def test_a_model_that_does_not(model):
    found = preparation.read(model())
    assert replace(found, of_images=False) == preparation.Preparation()


def test_layers_that_only_images_are_given():
    for layer, want in (
        (KINDS.RandomFlip(), True),
        (KINDS.Rescaling(1 / 127.5, offset=-1), True),
        (KINDS.Rescaling(0.5), False),
        (KINDS.ZeroPadding2D(), False),
    ):
        assert preparation.read(stack(layer)).of_images is want


@pytest.mark.parametrize(
    "first",
    [
        lambda: normalization(scaled=True),
        lambda: KINDS.Rescaling(0.5, offset=0.5),  # 0 to 1 of -1 to 1
        lambda: KINDS.Rescaling(255),
    ],
)
def test_a_preparation_of_scaled_images(first):
    found = preparation.read(stack(first()))
    assert found.scaled_before
    assert not found.values


def test_a_branch_that_is_given_images_as_they_are():
    """Neither 0 to 255 nor scaled images are right for both: it is asked for."""
    inputs = keras.Input(SHAPE)
    branches = [KINDS.Conv2D(2, 3)(x) for x in (KINDS.Rescaling(1 / 255)(inputs), inputs)]
    x = KINDS.GlobalAveragePooling2D()(KINDS.Concatenate()(branches))
    found = preparation.read(keras.Model(inputs, KINDS.Dense(2, "softmax")(x)))
    assert (found.values, found.scaled_before) == (False, False)
    assert found.steps


@pytest.mark.parametrize("layer", [KINDS.Resizing(16, 16), KINDS.CenterCrop(16, 16)])
def test_a_model_that_resizes(layer):
    found = preparation.read(stack(layer, shape=(None, None, 3)))
    assert found.resizes
    assert not found.values


def test_a_subclassed_model():
    model = Own()
    model(np.zeros((1, *SHAPE), np.float32))
    found = preparation.read(model)
    assert not found.readable
    assert not found.values
    assert [step.partition(" (")[0] for step in found.steps] == ["multiplies by 1/255"]


def test_models_of_tf_keras():
    kinds, shape = tf_keras.layers, (32, 32, 3)

    def end(x):
        return kinds.Dense(2, "softmax")(kinds.GlobalAveragePooling2D()(kinds.Conv2D(2, 3)(x)))

    inputs = tf_keras.Input(shape)
    first = tf_keras.Sequential([kinds.RandomFlip(), kinds.RandomRotation(0.1)])(inputs)
    traced = tf_keras.applications.mobilenet_v2.preprocess_input(first)
    found = preparation.read(tf_keras.Model(inputs, end(traced)))
    assert found.values
    assert "truediv" in found.steps[0]
    layers = [kinds.Rescaling(1 / 255), kinds.Conv2D(2, 3)]
    found = preparation.read(tf_keras.Sequential([tf_keras.Input(shape), *layers]))
    assert found.values
    assert found.steps[0].startswith("multiplies by 1/255")
    plain = tf_keras.Sequential([tf_keras.Input(shape), kinds.Conv2D(2, 3)])
    assert preparation.read(plain) == preparation.Preparation()
