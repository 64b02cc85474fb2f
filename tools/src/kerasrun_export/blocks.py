"""The residual blocks of ResNet, ResNetV2 and ResNeXt, with their published layer names.

Sources: keras_applications 1.0.8, `resnet_common.py`; He et al., arXiv:1512.03385 and
arXiv:1603.05027; Xie et al., arXiv:1611.05431. A tensor is (batch, height, width, channels), or
(batch, channels, height, width) where `data_format` is "channels_first"; weights are the same for
both.
"""

from dataclasses import dataclass

from kerasrun_export.backend import keras
from kerasrun_export.group_sum import GROUPS, GroupSum, group_sum_kernel

EPSILON = 1.001e-5


@dataclass(frozen=True)
class Layers:
    """Makes the layers that the blocks share: one data format, one spelling of the group sum
    ("reduce" or "gconv").
    """

    data_format: str
    group_sum: str = "reduce"

    def conv(
        self,
        x,
        filters: int,
        size: int,
        name: str,
        *,
        stride: int = 1,
        bias: bool = False,
        padding: str = "valid",
    ):
        return keras.layers.Conv2D(
            filters,
            size,
            strides=stride,
            padding=padding,
            use_bias=bias,
            data_format=self.data_format,
            name=name,
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
        return keras.layers.MaxPooling2D(
            size, strides=stride, data_format=self.data_format, name=name
        )(x)

    def grouped_conv(self, x, filters: int, stride: int, name: str):
        """A 3x3 convolution in groups as published: depthwise, then the sum inside each group."""
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
            filters,
            1,
            use_bias=False,
            data_format=self.data_format,
            trainable=False,
            name=f"{name}_gconv",
        )
        x = layer(x)
        layer.set_weights([group_sum_kernel(filters)])
        return x


def bottleneck(make: Layers, x, filters: int, stride: int, project: bool, name: str):
    """ResNet's bottleneck (`residual_block_v1`): 1x1 with the stride, 3x3, 1x1 to 4*filters, relu
    after the sum.
    """
    shortcut = x
    if project:
        shortcut = make.conv(x, 4 * filters, 1, f"{name}_0_conv", stride=stride, bias=True)
        shortcut = make.norm(shortcut, f"{name}_0_bn")
    x = make.norm_relu(
        make.conv(x, filters, 1, f"{name}_1_conv", stride=stride, bias=True), f"{name}_1"
    )
    x = make.norm_relu(
        make.conv(x, filters, 3, f"{name}_2_conv", bias=True, padding="same"), f"{name}_2"
    )
    x = make.norm(make.conv(x, 4 * filters, 1, f"{name}_3_conv", bias=True), f"{name}_3_bn")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return make.relu(x, f"{name}_out")


def preact_bottleneck(make: Layers, x, filters: int, stride: int, project: bool, name: str):
    """ResNetV2's bottleneck (`residual_block_v2`): normalised and rectified before the
    convolutions, a bare sum after them.
    """
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


def grouped_bottleneck(make: Layers, x, filters: int, stride: int, project: bool, name: str):
    """ResNeXt's bottleneck (keras_applications' `block3`): 1x1, 3x3 in 32 groups with the stride,
    1x1 to 2*filters, relu after the sum.
    """
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
