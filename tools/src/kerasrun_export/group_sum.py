"""ResNeXt's sum inside each group: the second half of a grouped convolution as it is published.

Keras had no grouped convolution when ResNeXt was published. It is a depthwise convolution with a
depth multiplier of c, whose groups*c*c products are then added inside each group: by `GroupSum`, or
by a frozen 1x1 convolution of zeros and ones in older files.
"""

from collections.abc import Callable

import numpy as np

from kerasrun_export.backend import keras

GROUPS = 32
GCONV_SUFFIX = "_2_gconv"  # layers whose kernels are zeros and ones, frozen: older files have them


@keras.saving.register_keras_serializable("kerasrun")
class GroupSum(keras.layers.Layer):
    """Sums the products of a depthwise convolution in each group: groups*c*c channels to groups*c.

    Output g*c + j is the sum of the inputs (g*c + k)*c + j over k: with the depthwise convolution
    before it, this is a grouped convolution.
    """

    def __init__(self, groups: int, data_format: str = "channels_last", **kwargs) -> None:
        super().__init__(**kwargs)
        self.groups = groups
        self.data_format = data_format

    def _shapes(self, shape: tuple) -> tuple[tuple, tuple]:
        first = self.data_format == "channels_first"
        channels = shape[1] if first else shape[-1]
        c = round((channels // self.groups) ** 0.5)
        if self.groups * c * c != channels:
            raise ValueError(
                f"{self.name}: {channels} channels are not {self.groups} groups of c x c"
            )
        space = tuple(shape[2:] if first else shape[1:-1])
        inner = (self.groups, c, c, *space) if first else (*space, self.groups, c, c)
        outer = (self.groups * c, *space) if first else (*space, self.groups * c)
        return inner, outer

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], *self._shapes(input_shape)[1])

    def call(self, inputs):
        dynamic = keras.ops.shape(inputs)
        inner, outer = self._shapes(dynamic)
        x = keras.ops.reshape(inputs, (dynamic[0], *inner))
        x = keras.ops.sum(x, axis=2 if self.data_format == "channels_first" else -2)
        return keras.ops.reshape(x, (dynamic[0], *outer))

    def get_config(self) -> dict:
        return {**super().get_config(), "groups": self.groups, "data_format": self.data_format}


def regrouped(
    model: keras.Model, convolution: Callable[[keras.layers.DepthwiseConv2D], keras.layers.Layer]
) -> keras.Model:
    """A clone in which one layer stands for each depthwise convolution and its group sum."""

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            return convolution(layer)
        if isinstance(layer, GroupSum):
            return keras.layers.Identity(name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=clone)


def group_sum_kernel(filters: int, groups: int = GROUPS) -> np.ndarray:
    """The frozen kernel of `_2_gconv`, (1, 1, filters*c, filters), of zeros and ones."""
    c = filters // groups
    kernel = np.zeros((1, 1, filters * c, filters), np.float32)
    for i in range(filters):
        start = (i // c) * c * c + i % c
        kernel[:, :, start : start + c * c : c, i] = 1
    return kernel
