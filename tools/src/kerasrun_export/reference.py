"""The reference: the same model in Python Keras, which exports are compared with."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kerasrun_export import manifest, serving
from kerasrun_export.backend import keras, tf
from kerasrun_export.preprocessing import preprocess
from kerasrun_export.recipe import Loaded

PUBLISHED = {"resnext50": "ResNeXt50", "resnext101": "ResNeXt101"}


@dataclass(frozen=True)
class Reference:
    """`predict` maps (n, height, width, 3) uint8 RGB images of the model's size to its outputs by
    name, (n, ...).
    """

    description: str
    versions: dict[str, str]
    predict: Callable[[np.ndarray], dict[str, np.ndarray]]


def reference(loaded: Loaded) -> Reference:
    """keras_applications' own ResNeXt on tf_keras, where both are installed, else the Keras model
    itself.

    Images are preprocessed by that package's own function.
    """
    installed = all(importlib.util.find_spec(name) for name in ("keras_applications", "tf_keras"))
    if loaded.published and loaded.architecture in PUBLISHED and installed:
        return _published(loaded)
    # Nothing is converted: this takes what the layers take.
    literal = serving.trace(loaded.model, "caffe", loaded.headless)
    outputs = literal.signatures["serving_default"]

    def predict(images: np.ndarray) -> dict[str, np.ndarray]:
        results = literal(preprocess(images, loaded.mode))
        return {key: results[key] for key in outputs}

    description = f"keras {keras.__version__} {loaded.model.name}"
    return Reference(description, manifest.versions(), predict)


def _published(loaded: Loaded) -> Reference:
    """ResNeXt from keras_applications on tf_keras, given the model's weights layer by layer."""
    import keras_applications
    import keras_applications.resnext
    import tf_keras  # a second Keras, seconds to import: only where it is needed

    model, headless, mode = loaded.model, loaded.headless, loaded.mode
    name = PUBLISHED[loaded.architecture]
    modules = {key: getattr(tf_keras, key) for key in ("backend", "layers", "models", "utils")}
    options = {} if headless else {"classes": model.output_shape[-1]}
    pooling = {"avg_pool": "avg", "max_pool": "max"}.get(model.layers[-1].name)
    published = getattr(keras_applications.resnext, name)(
        include_top=not headless,
        weights=None,
        input_shape=model.input_shape[1:],
        pooling=pooling,
        **options,
        **modules,
    )
    for layer in published.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    dense = None if headless else published.layers[-1]
    body = published if headless else tf_keras.Model(published.input, published.layers[-2].output)

    def predict(images: np.ndarray) -> dict[str, np.ndarray]:
        x = images.astype(np.float32)
        if mode == "torch":
            x = keras_applications.resnext.preprocess_input(
                x, data_format="channels_last", **modules
            )
        elif mode != "none":
            options = {"mode": mode, "data_format": "channels_last"}
            x = keras_applications.imagenet_utils.preprocess_input(x, **options, **modules)
        features = body(x, training=False)
        if headless:
            return {"features": features.numpy()}
        logits = tf.matmul(features, dense.kernel) + dense.bias
        return {"logits": logits.numpy(), "probs": dense.activation(logits).numpy()}

    versions = {
        "keras_applications": keras_applications.__version__,
        "tf_keras": tf_keras.__version__,
    }
    package = f"keras_applications {keras_applications.__version__}"
    description = f"{package} resnext.{name} on tf_keras {tf_keras.__version__}"
    return Reference(description, manifest.versions() | versions, predict)
