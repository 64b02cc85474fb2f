"""The residual blocks of ResNet, ResNetV2 and ResNeXt, with the layer names under which weights are published.

Sources: keras_applications 1.0.8, `resnet_common.py`; He et al., arXiv:1512.03385 and arXiv:1603.05027; Xie et al.,
arXiv:1611.05431. A tensor is (batch, height, width, channels), or (batch, channels, height, width) where `data_format`
is "channels_first"; weights are the same for both.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tools.backend import keras

EPSILON = 1.001e-5
GROUPS = 32


@keras.saving.register_keras_serializable("kerasrun")
class GroupSum(keras.layers.Layer):
    """Sums the products of a depthwise convolution inside each group: groups*c*c channels in, groups*c out.

    Output g*c + j is the sum of the inputs (g*c + k)*c + j over k: with the depthwise convolution before it, this is a
    grouped convolution.
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
            raise ValueError(f"{self.name}: {channels} channels are not {self.groups} groups of c x c")
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
    """A clone, with weights of its own, in which one layer stands for each depthwise convolution and its group sum."""

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            return convolution(layer)
        if isinstance(layer, GroupSum):
            return keras.layers.Identity(name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=clone)


def group_sum_kernel(filters: int, groups: int = GROUPS) -> np.ndarray:
    """The frozen kernel of `_2_gconv`, (1, 1, filters*c, filters): the same sum as a convolution of zeros and ones."""
    c = filters // groups
    kernel = np.zeros((1, 1, filters * c, filters), np.float32)
    for i in range(filters):
        start = (i // c) * c * c + i % c
        kernel[:, :, start : start + c * c : c, i] = 1
    return kernel


@dataclass(frozen=True)
class Layers:
    """Makes the layers that the blocks share: one data format, one spelling of the group sum ("reduce" or "gconv")."""

    data_format: str
    group_sum: str = "reduce"

    def conv(
        self, x, filters: int, size: int, name: str, *, stride: int = 1, bias: bool = False, padding: str = "valid"
    ):
        return keras.layers.Conv2D(
            filters, size, strides=stride, padding=padding, use_bias=bias, data_format=self.data_format, name=name
        )(x)

    def norm(self, x, name: str):
        axis = 1 if self.data_format == "channels_first" else -1
        return keras.layers.BatchNormalization(axis=axis, epsilon=EPSILON, name=name)(x)

    def relu(self, x, name: str):
        return keras.layers.Activation("relu", name=name)(x)

    def norm_relu(self, x, name: str):
        return self.relu(self.norm(x, f"{name}_bn"), f"{name}_relu")

    def pad(self, x, size: int, name: str):
        return keras.layers.ZeroPadding2D(size, data_format=self.data_format, name=name)(x)

    def max_pool(self, x, size: int, stride: int, name: str | None = None):
        return keras.layers.MaxPooling2D(size, strides=stride, data_format=self.data_format, name=name)(x)

    def grouped_conv(self, x, filters: int, stride: int, name: str):
        """A 3x3 convolution in groups as ResNeXt publishes it: depthwise, then the sum inside each group."""
        x = keras.layers.DepthwiseConv2D(
            3,
            strides=stride,
            depth_multiplier=filters // GROUPS,
            use_bias=False,
            data_format=self.data_format,
            name=f"{name}_conv",
        )(x)
        if self.group_sum == "reduce":
            return GroupSum(GROUPS, self.data_format, name=f"{name}_reduce")(x)
        layer = keras.layers.Conv2D(
            filters, 1, use_bias=False, data_format=self.data_format, trainable=False, name=f"{name}_gconv"
        )
        x = layer(x)
        layer.set_weights([group_sum_kernel(filters)])
        return x


def basic_block(make: Layers, x, filters: int, stride: int, project: bool, name: str):
    """ResNet's bottleneck (`block1`): 1x1 with the stride, 3x3, 1x1 to 4*filters, relu after the sum."""
    shortcut = x
    if project:
        shortcut = make.conv(x, 4 * filters, 1, f"{name}_0_conv", stride=stride, bias=True)
        shortcut = make.norm(shortcut, f"{name}_0_bn")
    x = make.norm_relu(make.conv(x, filters, 1, f"{name}_1_conv", stride=stride, bias=True), f"{name}_1")
    x = make.norm_relu(make.conv(x, filters, 3, f"{name}_2_conv", bias=True, padding="same"), f"{name}_2")
    x = make.norm(make.conv(x, 4 * filters, 1, f"{name}_3_conv", bias=True), f"{name}_3_bn")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return make.relu(x, f"{name}_out")


def preact_block(make: Layers, x, filters: int, stride: int, project: bool, name: str):
    """ResNetV2's bottleneck (`block2`): normalised and rectified before the convolutions, a bare sum after them."""
    preact = make.norm_relu(x, f"{name}_preact")
    if project:
        shortcut = make.conv(preact, 4 * filters, 1, f"{name}_0_conv", stride=stride, bias=True)
    else:
        shortcut = make.max_pool(x, 1, stride) if stride > 1 else x
    x = make.norm_relu(make.conv(preact, filters, 1, f"{name}_1_conv"), f"{name}_1")
    x = make.pad(x, 1, f"{name}_2_pad")
    x = make.norm_relu(make.conv(x, filters, 3, f"{name}_2_conv", stride=stride), f"{name}_2")
    x = make.conv(x, 4 * filters, 1, f"{name}_3_conv", bias=True)
    return keras.layers.Add(name=f"{name}_out")([shortcut, x])


def grouped_block(make: Layers, x, filters: int, stride: int, project: bool, name: str):
    """ResNeXt's bottleneck (`block3`): 1x1, 3x3 in 32 groups with the stride, 1x1 to 2*filters, relu after the sum."""
    width = (64 // GROUPS) * filters
    shortcut = x
    if project:
        shortcut = make.conv(x, width, 1, f"{name}_0_conv", stride=stride)
        shortcut = make.norm(shortcut, f"{name}_0_bn")
    x = make.norm_relu(make.conv(x, filters, 1, f"{name}_1_conv"), f"{name}_1")
    x = make.pad(x, 1, f"{name}_2_pad")
    x = make.norm_relu(make.grouped_conv(x, filters, stride, f"{name}_2"), f"{name}_2")
    x = make.norm(make.conv(x, width, 1, f"{name}_3_conv"), f"{name}_3_bn")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return make.relu(x, f"{name}_out")
