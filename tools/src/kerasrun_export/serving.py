"""The served function of a Keras model: caffe-style images in, named outputs out."""

from dataclasses import dataclass

import numpy as np

from kerasrun_export.backend import keras, tf
from kerasrun_export.errors import ModelError
from kerasrun_export.freeze import freeze
from kerasrun_export.graph import Graph

INPUT = "images"
# Of B, G, R, as in keras.applications.imagenet_utils
CAFFE_MEANS = np.array([103.939, 116.779, 123.68])
# Of R, G, B
TORCH_MEANS, TORCH_DEVIATIONS = (
    np.array([0.485, 0.456, 0.406]),
    np.array([0.229, 0.224, 0.225]),
)

CONVERSIONS = {
    "caffe": "",
    "none": "channels reversed to RGB, then the channel means added, before the first layer",
    "tf": "channels reversed to RGB, then x * scale + shift per channel from caffe to tf, "
    "before the first layer",
    "torch": "channels reversed to RGB, then x * scale + shift per channel from caffe to torch, "
    "before the first layer",
}


def from_caffe(images: tf.Tensor, mode: str) -> tf.Tensor:
    """Turns caffe-style images (BGR, means subtracted) into those of preprocessing mode `mode`.

    An exact change of variables: the constants are combined in float64. It has to come before any
    zero padding, since padding with zeros means another colour in each mode.
    """
    if mode == "caffe":
        return images
    scale, shift = np.ones(3), CAFFE_MEANS[::-1]
    if mode == "tf":
        scale, shift = scale / 127.5, shift / 127.5 - 1
    elif mode == "torch":
        scale, shift = (
            scale / 255 / TORCH_DEVIATIONS,
            (shift / 255 - TORCH_MEANS) / TORCH_DEVIATIONS,
        )
    x = tf.reverse(images, [-1], name="from_caffe/rgb")
    if mode != "none":
        x = tf.multiply(x, tf.constant(scale, tf.float32), name="from_caffe/scaled")
    return tf.add(x, tf.constant(shift, tf.float32), name="from_caffe/shifted")


@dataclass(frozen=True)
class Served:
    """A traced model: `function` gives a dict of outputs, `signatures` those of each signature."""

    function: object
    signatures: dict[str, list[str]]
    layers: frozenset[str]
    model: keras.Model

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the literal graph on caffe-style float32 images, (batch, height, width, 3)."""
        return {key: value.numpy() for key, value in self.function(tf.constant(images)).items()}


def trace(model: keras.Model, mode: str, headless: bool) -> Served:
    """Traces a model whose layers expect images of preprocessing mode `mode`.

    Outputs: `probs` and `logits` where the model ends in a softmax or sigmoid, and `features`, what
    the last dense layer takes, in a signature of its own; a model without its top has `features`
    alone; any other keeps its outputs' Keras names.
    """
    names = list(model.output_names)
    signatures: dict[str, list[str]] = {}

    @tf.function(autograph=False)
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        results = tf.nest.flatten(model(from_caffe(images, mode), training=False))
        for name, result in zip(names, results, strict=True):
            if result.dtype != tf.float32:
                raise ModelError(f"output {name} is {result.dtype.name}: expected float32")
        if headless or len(results) > 1:
            outputs = (
                {"features": results[0]} if headless else dict(zip(names, results, strict=True))
            )
            signatures["serving_default"] = sorted(outputs)
            return outputs
        outputs = _classifier(results[0]) or {names[0]: results[0]}
        signatures["serving_default"] = sorted(key for key in outputs if key != "features")
        if "features" in outputs:
            signatures["features"] = ["features"]
        return outputs

    shape = (None, *model.input_shape[1:])
    function = serve.get_concrete_function(tf.TensorSpec(shape, tf.float32, name=INPUT))
    layers = {layer.name for layer in model._flatten_layers()}
    return Served(function, signatures, frozenset(layers - {model.name}), model)


def _classifier(result: tf.Tensor) -> dict[str, tf.Tensor] | None:
    """{probs, logits} of a softmax or sigmoid, and features where a dense layer is before it."""
    probs = _through_identities(result)
    if probs.op.type not in ("Softmax", "Sigmoid") or result.shape.rank != 2:
        return None
    logits = probs.op.inputs[0]
    outputs = {"probs": probs, "logits": logits}
    dense = _through_identities(logits).op
    if dense.type in ("BiasAdd", "AddV2"):
        dense = _through_identities(dense.inputs[0]).op
    if dense.type == "MatMul":
        outputs["features"] = dense.inputs[0]
    return outputs


def _through_identities(tensor: tf.Tensor) -> tf.Tensor:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor


def frozen(served: Served) -> Graph:
    """The graph of a traced model with constants for variables."""
    names = {key: tensor.name for key, tensor in served.function.structured_outputs.items()}
    return freeze(served.function, names)
