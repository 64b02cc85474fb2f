"""ResNet, ResNetV2 and ResNeXt by one builder, layer by layer as they were published."""

from collections.abc import Callable
from dataclasses import dataclass

from kerasrun_export.backend import keras
from kerasrun_export.blocks import Layers, bottleneck, grouped_bottleneck, preact_bottleneck
from kerasrun_export.errors import ModelError

MINIMUM_SIZE = 32


@dataclass(frozen=True)
class Design:
    """One member of the families; `mode` is the preprocessing of its published weights."""

    block: Callable
    blocks: tuple[int, int, int, int]
    filters: int
    mode: str

    @property
    def preact(self) -> bool:
        return self.block is preact_bottleneck

    @property
    def use_bias(self) -> bool:
        return self.block is not grouped_bottleneck


DESIGNS = {
    "resnext50": Design(grouped_bottleneck, (3, 4, 6, 3), 128, "torch"),
    "resnext101": Design(grouped_bottleneck, (3, 4, 23, 3), 128, "torch"),
    "resnet50": Design(bottleneck, (3, 4, 6, 3), 64, "caffe"),
    "resnet101": Design(bottleneck, (3, 4, 23, 3), 64, "caffe"),
    "resnet152": Design(bottleneck, (3, 8, 36, 3), 64, "caffe"),
    "resnet50v2": Design(preact_bottleneck, (3, 4, 6, 3), 64, "tf"),
    "resnet101v2": Design(preact_bottleneck, (3, 4, 23, 3), 64, "tf"),
    "resnet152v2": Design(preact_bottleneck, (3, 8, 36, 3), 64, "tf"),
    "resnet200": Design(preact_bottleneck, (3, 24, 36, 3), 64, "tf"),
}


def check_shape(shape: tuple | None, size: tuple[int, int], data_format: str) -> tuple:
    """An input shape without the batch, by default of that size. Raises ModelError."""
    first = data_format == "channels_first"
    if shape is None:
        return (3, *size) if first else (*size, 3)
    expected = "(3, height, width)" if first else "(height, width, 3)"
    if len(shape) != 3 or shape[0 if first else 2] != 3:
        raise ModelError(f"input shape: expected {expected}, got {tuple(shape)}")
    for side in shape[1:] if first else shape[:2]:
        if side is not None and side < MINIMUM_SIZE:
            raise ModelError(
                f"input shape: expected sides of at least {MINIMUM_SIZE}, got {tuple(shape)}"
            )
    return tuple(shape)


def make_input(shape: tuple, tensor):
    """The tensor to build on and the inputs of the model that ends up there."""
    if tensor is None:
        tensor = keras.Input(shape, name="images")
        return tensor, tensor
    if not keras.backend.is_keras_tensor(tensor):
        raise ModelError(f"input tensor: expected a Keras tensor, got {type(tensor).__name__}")
    return tensor, keras.utils.get_source_inputs(tensor)


def build(
    name: str,
    include_top: bool,
    shape: tuple,
    tensor,
    pooling: str | None,
    classes: int,
    make: Layers,
) -> keras.Model:
    """The architecture of that name in DESIGNS; the options are those of `model.build`."""
    design = DESIGNS[name]
    x, inputs = make_input(shape, tensor)
    x = make.pad(x, 3, "conv1_pad")
    x = make.conv(x, 64, 7, "conv1_conv", stride=2, bias=design.use_bias)
    if not design.preact:
        x = make.norm_relu(x, "conv1")
    x = make.max_pool(make.pad(x, 1, "pool1_pad"), 3, 2, "pool1_pool")
    for i, count in enumerate(design.blocks):
        # ResNetV2 halves the size in the last block of a stack, the others in the first; pool1 has
        # halved it for conv2.
        strided = (count if i < 3 else None) if design.preact else (1 if i > 0 else None)
        for block in range(1, count + 1):
            stride = 2 if block == strided else 1
            x = design.block(
                make, x, design.filters << i, stride, block == 1, f"conv{i + 2}_block{block}"
            )
    if design.preact:
        x = make.norm_relu(x, "post")
    x = top(x, include_top, pooling, classes, make.data_format)
    return keras.Model(inputs, x, name=name)


def top(x, include_top: bool, pooling: str | None, classes: int, data_format: str):
    """What comes after the last feature map: pooling, the classifier."""
    if include_top or pooling == "avg":
        x = keras.layers.GlobalAveragePooling2D(data_format=data_format, name="avg_pool")(x)
    elif pooling == "max":
        x = keras.layers.GlobalMaxPooling2D(data_format=data_format, name="max_pool")(x)
    if include_top:
        x = keras.layers.Dense(classes, activation="softmax", name="probs")(x)
    return x
