"""Parameters and floating-point operations of a Keras model, counted layer by layer."""

import math

from kerasrun_export.backend import keras
from kerasrun_export.group_sum import GCONV_SUFFIX, GroupSum
from kerasrun_export.layers import walk

# By the names of their classes, which Keras 3 and tf_keras share.
CONVOLUTIONS = {"Conv1D", "Conv2D", "Conv3D"}
DEPTHWISE = {"DepthwiseConv1D", "DepthwiseConv2D"}
SEPARABLE = {"SeparableConv1D", "SeparableConv2D"}
# tf_keras has them under Conv2D and Conv3D; their kernels lie otherwise.
TRANSPOSED = {"Conv2DTranspose", "Conv3DTranspose"}


def parameters(model: keras.Model) -> int:
    """Every weight, statistics included, but not the zeros and ones of `_2_gconv`."""
    return sum(
        layer.count_params() for layer in walk(model) if not layer.name.endswith(GCONV_SUFFIX)
    )


def count(model: keras.Model) -> int:
    """The floating-point operations for one image: those of convolutions and dense layers, a
    multiply-add as two.

    What else a network does (biases, normalisation, activations, pooling, sums) is left out, as in
    the papers. ResNeXt's depthwise convolution with its group sum is the grouped convolution that
    it spells, so either spelling counts alike. 0 where it is not known: a kernel in another kind of
    layer, a layer used twice, a free input size.
    """
    try:
        return sum(_count(layer) for layer in walk(model))
    except _UncountableError:
        return 0


class _UncountableError(Exception):
    pass


def _count(layer: keras.layers.Layer) -> int:
    if (
        isinstance(layer, GroupSum)
        or layer.name.endswith(GCONV_SUFFIX)
        or all(len(w.shape) < 2 for w in layer.weights)
    ):
        return 0
    try:
        shape = layer.output.shape[1:]
    except (
        AttributeError,
        ValueError,
    ) as error:  # Keras's, for a layer with several outputs or none
        raise _UncountableError from error
    if None in shape:
        raise _UncountableError
    outputs, kinds = math.prod(shape), {kind.__name__ for kind in type(layer).__mro__}
    if kinds & TRANSPOSED:
        raise _UncountableError
    if "Dense" in kinds:
        return 2 * layer.kernel.shape[0] * outputs
    if kinds & CONVOLUTIONS:
        return 2 * math.prod(layer.kernel.shape[:-1]) * outputs
    if kinds & DEPTHWISE:
        return 2 * math.prod(layer.kernel_size) * outputs
    if kinds & SEPARABLE:
        between = layer.pointwise_kernel.shape[-2] * outputs // layer.filters
        return 2 * (math.prod(layer.kernel_size) + layer.filters) * between
    raise _UncountableError
