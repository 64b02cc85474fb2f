"""The yardstick: the same model in Python Keras, which the exported graph and the golden packs are held against."""

from collections.abc import Callable
from dataclasses import dataclass

import keras_applications
import keras_applications.resnext
import numpy as np

from tools import manifest, serving
from tools.backend import keras, tf
from tools.model import preprocess

PUBLISHED = {"resnext50": "ResNeXt50", "resnext101": "ResNeXt101"}


@dataclass(frozen=True)
class Reference:
    """`predict` maps (n, height, width, 3) uint8 RGB pictures of the model's size to its outputs by name, (n, ...)."""

    description: str
    versions: dict[str, str]
    predict: Callable[[np.ndarray], dict[str, np.ndarray]]


def reference(model: keras.Model, mode: str, headless: bool) -> Reference:
    """keras_applications' own model where it has published the architecture as ResNeXt, else the Keras model itself.

    mode: the preprocessing that the model's layers expect; it is done by that package's own function.
    """
    if model.name in PUBLISHED:
        return _published(model, mode, headless)
    literal = serving.trace(model, "caffe", headless)  # nothing is converted: it takes what the layers take
    outputs = literal.signatures["serving_default"]

    def predict(pictures: np.ndarray) -> dict[str, np.ndarray]:
        results = literal(preprocess(pictures, mode))
        return {key: results[key] for key in outputs}

    return Reference(f"keras {keras.__version__} {model.name}", manifest.versions(), predict)


def _published(model: keras.Model, mode: str, headless: bool) -> Reference:
    """ResNeXt from keras_applications on tf_keras, given the model's weights layer by layer."""
    import tf_keras  # a second Keras, seconds to import: only where it is needed

    name = PUBLISHED[model.name]
    modules = {key: getattr(tf_keras, key) for key in ("backend", "layers", "models", "utils")}
    options = {} if headless else {"classes": model.output_shape[-1]}
    pooling = {"avg_pool": "avg", "max_pool": "max"}.get(model.layers[-1].name)
    published = getattr(keras_applications.resnext, name)(
        include_top=not headless, weights=None, input_shape=model.input_shape[1:], pooling=pooling, **options, **modules
    )
    for layer in published.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    dense = None if headless else published.layers[-1]
    body = published if headless else tf_keras.Model(published.input, published.layers[-2].output)

    def predict(pictures: np.ndarray) -> dict[str, np.ndarray]:
        images = pictures.astype(np.float32)
        if mode == "torch":
            images = keras_applications.resnext.preprocess_input(images, data_format="channels_last", **modules)
        elif mode != "none":
            options = {"mode": mode, "data_format": "channels_last"}
            images = keras_applications.imagenet_utils.preprocess_input(images, **options, **modules)
        features = body(images, training=False)
        if headless:
            return {"features": features.numpy()}
        logits = tf.matmul(features, dense.kernel) + dense.bias
        return {"logits": logits.numpy(), "probs": dense.activation(logits).numpy()}

    versions = {"keras_applications": keras_applications.__version__, "tf_keras": tf_keras.__version__}
    description = (
        f"keras_applications {keras_applications.__version__} resnext.{name} on tf_keras {tf_keras.__version__}"
    )
    return Reference(description, manifest.versions() | versions, predict)
