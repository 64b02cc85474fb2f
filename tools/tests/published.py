"""The reference of the tests: keras_applications' own models on tf_keras."""

import keras_applications
import keras_applications.resnet
import keras_applications.resnet_v2
import keras_applications.resnext
import numpy as np
import tf_keras

MODULES = {key: getattr(tf_keras, key) for key in ("backend", "layers", "models", "utils")}
NAMES = {
    "resnext50": (keras_applications.resnext, "ResNeXt50"),
    "resnext101": (keras_applications.resnext, "ResNeXt101"),
    "resnet50": (keras_applications.resnet, "ResNet50"),
    "resnet101": (keras_applications.resnet, "ResNet101"),
    "resnet152": (keras_applications.resnet, "ResNet152"),
    "resnet50v2": (keras_applications.resnet_v2, "ResNet50V2"),
    "resnet101v2": (keras_applications.resnet_v2, "ResNet101V2"),
    "resnet152v2": (keras_applications.resnet_v2, "ResNet152V2"),
}


def build(architecture: str, **options) -> "tf_keras.Model":
    """The published model, its weights not yet drawn."""
    module, name = NAMES[architecture]
    return getattr(module, name)(weights=None, **options, **MODULES)


def draw(model: "tf_keras.Model", seed: int) -> None:
    """Gives the model random weights, statistics and biases included.

    The last gamma of a residual branch is small, as in trained networks: otherwise each block
    doubles the rounding errors of those before it, and float32 itself would be what the tests see.
    """
    random = np.random.default_rng(seed)
    for layer in model.layers:
        drawn = []
        for weight in layer.weights:
            name, shape = weight.name.rpartition("/")[2], weight.shape
            if len(shape) > 1:
                drawn.append(random.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape))
            elif name.startswith(("gamma", "moving_variance")):
                damping = 0.2 if name.startswith("gamma") and layer.name.endswith("_3_bn") else 1
                drawn.append(random.uniform(0.5, 1.5, shape) * damping)
            else:
                drawn.append(random.normal(0, 0.1, shape))
        layer.set_weights(drawn)


def calibrate(model: "tf_keras.Model", images: np.ndarray) -> None:
    """Scales the classifier so that logits spread by 1; drawn ones spread so far that float32 blurs
    probabilities.
    """
    body = tf_keras.Model(model.input, model.layers[-2].output)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights(
        [kernel / np.std(body(images, training=False).numpy() @ kernel), bias]
    )


def copy_weights(source, target) -> None:
    """Layer by layer and by name, from a model of either Keras to one of the other."""
    for layer in target.layers:
        if layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())


def shapes(model) -> dict[str, list[tuple[int, ...]]]:
    """The weights' shapes of every layer that has some."""
    return {
        layer.name: [tuple(weight.shape) for weight in layer.weights]
        for layer in model.layers
        if layer.weights
    }
