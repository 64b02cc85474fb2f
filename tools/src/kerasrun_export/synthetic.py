"""Synthetic weights: a deterministic draw, calibrated on the sample photographs.

Plain random weights make every image the same class. Here the statistics of each batch
normalisation are those of the sample photographs, and the classifier is centred and scaled on them,
so that different images get different classes. Its classes mean nothing.

The same number gives the same weights on every machine. Draws come from the raw stream of NumPy's
PCG64, which NumPy keeps as it is, with exact arithmetic only. What is measured on the photographs
is computed in float64 and rounded to bfloat16's 8 bits, so that the order in which a machine adds
cannot show (short of a value that lies within 1e-12 of a rounding boundary).
"""

import hashlib
import math

import numpy as np

from kerasrun_export import sample_images
from kerasrun_export.backend import keras, tf
from kerasrun_export.layers import walk

# Of the logits of one photograph over the classes: the best of 1000 then has some 2 to 15 %
LOGIT_DEVIATION = 1.5
# The batch normalisation that ends a residual branch of this project's ResNeXt and ResNets
BRANCH_END = "_3_bn"


def draw(model: keras.Model, number: int, mode: str) -> None:
    """Gives the model the synthetic weights of that number, calibrated on the photographs.

    A layer's draw depends on the number, its name and its shapes alone: without a top, and with
    either spelling of ResNeXt's group sum, the layers that remain have the same weights.
    """
    for layer in walk(model):
        for variable in layer.trainable_variables:
            variable.assign(
                _draw(number, f"{layer.name}/{variable.name}", variable.name, variable.shape)
            )
    with tf.device("/CPU:0"):
        _calibrate(model, mode)


def _draw(number: int, label: str, name: str, shape: tuple) -> np.ndarray:
    """Uniform: a kernel within He's limit, gamma in 1 +- 0.5, whatever else within +-0.1.

    The gamma that ends a residual branch is an eighth of that. Otherwise every block would double
    the rounding errors of those before it, as it does not in a trained network, and float32 alone
    would move probabilities by 2e-5.
    """
    entropy = int.from_bytes(hashlib.sha256(f"{number}/{label}".encode()).digest(), "big")
    raw = np.random.PCG64(np.random.SeedSequence(entropy)).random_raw(math.prod(shape))
    unit = (raw >> np.uint64(40)).astype(np.float32)  # 24 bits: exact in float32
    unit = unit * np.float32(2**-23) - np.float32(1)
    if len(shape) > 1:
        scale, shift = math.sqrt(6 / math.prod(shape[:-1])), 0
    else:
        scale, shift = (0.5, 1) if name == "gamma" else (0.1, 0)
        if label.endswith(f"{BRANCH_END}/gamma"):
            scale, shift = scale / 8, shift / 8
    return (unit * np.float32(scale) + np.float32(shift)).reshape(shape)


def _round(values: np.ndarray) -> np.ndarray:
    """Rounds to bfloat16, as float32."""
    return np.asarray(values).astype(tf.bfloat16.as_numpy_dtype).astype(np.float32)


class _Measuring(keras.layers.BatchNormalization):
    """Takes its statistics from the batch that it is called on, rounded, and normalises by them."""

    def call(self, inputs, training=None, mask=None):
        if not tf.executing_eagerly():
            return super().call(inputs, training=False)
        axis = self.axis % len(inputs.shape)
        axes = [i for i in range(len(inputs.shape)) if i != axis]
        mean = tf.reduce_mean(inputs, axes)
        self.moving_variance.assign(_round(tf.reduce_mean(inputs * inputs, axes) - mean * mean))
        self.moving_mean.assign(_round(mean))
        scale = tf.math.rsqrt(self.moving_variance + self.epsilon)
        if self.scale:
            scale *= self.gamma
        shift = -self.moving_mean * scale
        if self.center:
            shift += self.beta
        shape = [-1 if i == axis else 1 for i in range(len(inputs.shape))]
        return inputs * tf.reshape(scale, shape) + tf.reshape(shift, shape)


def _in_float64(layer: keras.Operation) -> keras.Operation:
    """The same layer in float64, batch normalisation as one that measures."""
    config, kind = layer.get_config(), type(layer)
    if isinstance(layer, keras.layers.Layer):
        config["dtype"] = "float64"
    if isinstance(layer, keras.layers.BatchNormalization):
        kind = _Measuring
    elif (
        isinstance(layer, keras.layers.Conv2D) and layer.groups > 1 and layer.kernel.shape[-2] == 1
    ):
        # A grouped convolution goes through XLA, which takes minutes in float64
        kind = keras.layers.DepthwiseConv2D
        keep = (
            "name",
            "dtype",
            "kernel_size",
            "strides",
            "padding",
            "data_format",
            "use_bias",
            "activation",
        )
        config = {key: config[key] for key in keep} | {
            "depth_multiplier": layer.filters // layer.groups
        }
    return kind.from_config(config)


def _calibrate(model: keras.Model, mode: str) -> None:
    """Measures the batch normalisations in order, then centres and scales the classifier."""
    first = model.input_shape[1] == 3  # channels first
    height, width = model.input_shape[2:] if first else model.input_shape[1:3]
    images = tf.constant(sample_images.load(height or 224, width or 224, mode), tf.float64)
    if first:
        images = tf.transpose(images, (0, 3, 1, 2))
    inputs = keras.Input(model.input_shape[1:], dtype="float64")
    double = keras.models.clone_model(model, inputs, clone_function=_in_float64, recursive=True)
    by_name = {layer.name: layer for layer in walk(double)}
    for layer in walk(model):
        if layer.weights:  # an input's name is not kept
            for source, variable in zip(layer.weights, by_name[layer.name].weights, strict=True):
                variable.assign(source.numpy().reshape(variable.shape))
    head = _classifier(double)
    end = double.output if head is None else head.input
    features = np.asarray(keras.Model(double.inputs[0], end)(images))
    for layer in walk(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights(by_name[layer.name].get_weights())
    if head is not None:
        features = features.reshape(len(features), -1)
        kernel = head.kernel.numpy()
        flat = kernel.reshape(features.shape[1], -1)
        mean = features.mean(0)
        # Where no branch is damped float32 is less exact: smaller probabilities keep its noise
        # under 1e-5.
        damped = any(layer.name.endswith(BRANCH_END) for layer in walk(model))
        deviation = LOGIT_DEVIATION if damped else LOGIT_DEVIATION / 2
        scale = _round(deviation / np.std((features - mean) @ flat))
        layer = next(layer for layer in walk(model) if layer.name == head.name)
        layer.kernel.assign(layer.kernel.numpy() * scale)
        layer.bias.assign(-_round((mean @ flat) * scale))


def _classifier(model: keras.Model) -> keras.layers.Layer | None:
    """The layer that makes the logits: dense, or a 1x1 convolution of a single pixel."""
    last = next((layer for layer in reversed(list(walk(model))) if layer.trainable_variables), None)
    if not isinstance(last, keras.layers.Dense | keras.layers.Conv2D) or last.bias is None:
        return None
    single = math.prod(last.kernel.shape[:-2]) == 1 and set(last.input.shape[1:-1]) <= {1}
    return last if single and model.output_shape == (None, last.kernel.shape[-1]) else None
