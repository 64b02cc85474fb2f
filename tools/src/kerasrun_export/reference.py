"""The reference: the same model in Python Keras, which exports are compared with."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from kerasrun_export import manifest, serving
from kerasrun_export.backend import keras, tf
from kerasrun_export.images import preprocess
from kerasrun_export.serving import Served

PUBLISHED = {"resnext50": "ResNeXt50", "resnext101": "ResNeXt101"}


@dataclass(frozen=True)
class Reference:
    """`predict` maps a batch of each tensor that the SavedModel takes to the outputs by name."""

    description: str
    versions: dict[str, str]
    predict: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def reference(served: Served, published: str = "") -> Reference:
    """The Keras model itself; keras_applications' own ResNeXt on tf_keras, where both are
    installed and `published` is the name of such an architecture.

    It never has the conversion of caffe-style tensors in it: the images are found back, and that
    package's own function preprocesses them.
    """
    installed = all(importlib.util.find_spec(name) for name in ("keras_applications", "tf_keras"))
    if published in PUBLISHED and installed:
        return _published(served, PUBLISHED[published])
    literal = (
        served if served.caffe is None else serving.trace(served.model, headless=served.headless)
    )
    names = literal.signatures["serving_default"]

    def predict(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if served.caffe is not None:
            (images,) = tensors.values()
            tensors = {literal.inputs[0].name: preprocess(rgb(images), served.caffe)}
        results = literal(tensors)
        return {key: results[key] for key in names}

    package, version = _package(served.model)
    versions = manifest.versions() | {package: version}
    return Reference(f"{package} {version} {served.model.name}", versions, predict)


def _package(model: keras.Model) -> tuple[str, str]:
    """("keras", its version) or ("tf_keras", its version)."""
    package = "keras" if isinstance(model, keras.Model) else "tf_keras"
    return package, importlib.import_module(package).__version__


def rgb(images: np.ndarray) -> np.ndarray:
    """RGB 0 to 255 of caffe-style images, (..., 3): whole numbers where they were whole."""
    pixels = (images.astype(np.float64) + serving.CAFFE_MEANS)[..., ::-1]
    whole = np.rint(pixels)
    return np.where(np.abs(pixels - whole) < 1e-3, whole, pixels).astype(np.float32)


def _published(served: Served, name: str) -> Reference:
    """ResNeXt from keras_applications on tf_keras, given the model's weights layer by layer."""
    import keras_applications
    import keras_applications.resnext
    import tf_keras  # a second Keras, seconds to import: only where it is needed

    model, headless, mode = served.model, served.headless, served.caffe
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

    def predict(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        (images,) = tensors.values()
        x = rgb(images)
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
