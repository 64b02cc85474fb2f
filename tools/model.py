"""Builds what is exported: ResNeXt and the ResNets by one builder, any `keras.applications` model, or a model file."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools import weights as published
from tools.backend import keras
from tools.blocks import Layers, basic_block, grouped_block, preact_block
from tools.photos import MODES, preprocess

IMAGENET_CLASSES = 1000
MINIMUM_SIZE = 32
MODE_NEEDED = (
    "a model file does not say how images are to be preprocessed: expected --trained-with caffe (BGR, 0 to 255, "
    "ImageNet's means subtracted), tf (RGB, -1 to 1), torch (RGB, 0 to 1, ImageNet's means subtracted, divided by its "
    "deviations) or none (RGB, 0 to 255)"
)


class ModelError(ValueError):
    """What was asked for cannot be built. The message is one line for the user."""


@dataclass(frozen=True)
class Design:
    """One member of the families that this builder makes; `mode` is the preprocessing its published weights expect."""

    block: Callable
    blocks: tuple[int, int, int, int]
    filters: int
    mode: str

    @property
    def preact(self) -> bool:
        return self.block is preact_block

    @property
    def use_bias(self) -> bool:
        return self.block is not grouped_block


DESIGNS = {
    "resnext50": Design(grouped_block, (3, 4, 6, 3), 128, "torch"),
    "resnext101": Design(grouped_block, (3, 4, 23, 3), 128, "torch"),
    "resnet50": Design(basic_block, (3, 4, 6, 3), 64, "caffe"),
    "resnet101": Design(basic_block, (3, 4, 23, 3), 64, "caffe"),
    "resnet152": Design(basic_block, (3, 8, 36, 3), 64, "caffe"),
    "resnet50v2": Design(preact_block, (3, 4, 6, 3), 64, "tf"),
    "resnet101v2": Design(preact_block, (3, 4, 23, 3), 64, "tf"),
    "resnet152v2": Design(preact_block, (3, 8, 36, 3), 64, "tf"),
    "resnet200": Design(preact_block, (3, 24, 36, 3), 64, "tf"),
}


def build(
    architecture: str,
    *,
    include_top: bool = True,
    weights: str | None = None,
    input_shape: tuple | None = None,
    input_tensor=None,
    pooling: str | None = None,
    classes: int = IMAGENET_CLASSES,
    group_sum: str = "reduce",
    data_format: str | None = None,
) -> keras.Model:
    """Builds a model.

    architecture: a name of DESIGNS in lower case ("resnext50"), a `keras.applications` name as Keras spells it
        ("MobileNetV2"), or the path of a .keras or .h5 model file, which comes with its own shape, top and weights.
    include_top: ends in `avg_pool` and the softmax layer `probs`, (batch, classes); otherwise in the last feature map,
        or, with pooling "avg" or "max", in (batch, channels).
    weights: None (Keras's own random initialisation) or what `tools.weights.load` takes.
    input_shape: (height, width, 3), or (3, height, width) for channels_first; None in place of a size leaves it free.
        By default the architecture's own size.
    input_tensor: a Keras tensor to build on in place of a new input.
    group_sum: ResNeXt's sum inside each group as "reduce" (reshape and sum) or "gconv" (a frozen 1x1 convolution of
        zeros and ones).
    data_format: "channels_last" or "channels_first"; None takes Keras's config. Weights fit both. A SavedModel always
        takes channels last, so the exporter builds with "channels_last"; a file saved channels first gets a
        transposition before its input.

    Raises ModelError, and WeightsError where weights are given.
    """
    data_format = data_format or keras.config.image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise ModelError(f"unknown data format {data_format!r}: expected channels_last or channels_first")
    if pooling not in (None, "avg", "max"):
        raise ModelError(f"unknown pooling {pooling!r}: expected None, avg or max")
    if group_sum not in ("reduce", "gconv"):
        raise ModelError(f"unknown group sum {group_sum!r}: expected reduce or gconv")
    if classes < 1:
        raise ModelError(f"classes: expected at least 1, got {classes}")
    if weights == "imagenet" and include_top and classes != IMAGENET_CLASSES:
        raise ModelError(f"imagenet weights have a top of {IMAGENET_CLASSES} classes, not {classes}: leave out the top")
    if is_file(architecture):
        model = _load_file(architecture)
    elif architecture in DESIGNS:
        shape = _check_shape(input_shape, (224, 224), data_format)
        model = _build(architecture, include_top, shape, input_tensor, pooling, classes, Layers(data_format, group_sum))
    else:
        model = _build_application(architecture, include_top, input_shape, input_tensor, pooling, classes, data_format)
    if weights is not None:
        published.load(model, weights, architecture=architecture, mode=native_mode(architecture, weights))
    return model


def native_mode(architecture: str, weights: str | None = None) -> str:
    """The preprocessing that a model's weights expect: caffe, tf, torch or none (RGB, 0 to 255).

    A `keras.applications` model has its package's own. For the designs of this builder it is that of the published
    weights where weights is "imagenet", else caffe.
    Raises ModelError for a file: it does not say.
    """
    if is_file(architecture):
        raise ModelError(f"{architecture}: {MODE_NEEDED}")
    if architecture in DESIGNS:
        return DESIGNS[architecture].mode if weights == "imagenet" else "caffe"
    module, _ = _application(architecture)
    probe = np.array([[[[0, 100, 200], [255, 50, 150]]]], np.float32)
    got = np.asarray(module.preprocess_input(probe.copy(), data_format="channels_last"))
    for mode in MODES:
        if np.allclose(got, preprocess(probe, mode), atol=1e-4):
            return mode
    raise ModelError(f"{architecture}: its preprocess_input is none of {', '.join(MODES)}")


def has_imagenet_classes(architecture: str, model: keras.Model) -> bool:
    """Whether the outputs are the ImageNet classes: a known architecture with its top of 1000. A file's are its own."""
    return not is_file(architecture) and model.output_shape == (None, IMAGENET_CLASSES)


def is_file(architecture: str) -> bool:
    return Path(architecture).suffix in (".keras", ".h5", ".hdf5")


def _check_shape(shape: tuple | None, size: tuple[int, int], data_format: str) -> tuple:
    first = data_format == "channels_first"
    if shape is None:
        return (3, *size) if first else (*size, 3)
    expected = "(3, height, width)" if first else "(height, width, 3)"
    if len(shape) != 3 or shape[0 if first else 2] != 3:
        raise ModelError(f"input shape: expected {expected}, got {tuple(shape)}")
    for side in shape[1:] if first else shape[:2]:
        if side is not None and side < MINIMUM_SIZE:
            raise ModelError(f"input shape: expected sides of at least {MINIMUM_SIZE}, got {tuple(shape)}")
    return tuple(shape)


def _input(shape: tuple, tensor):
    """The tensor to build on and the inputs of the model that ends up there."""
    if tensor is None:
        tensor = keras.Input(shape, name="images")
        return tensor, tensor
    if not keras.backend.is_keras_tensor(tensor):
        raise ModelError(f"input tensor: expected a Keras tensor, got {type(tensor).__name__}")
    return tensor, keras.utils.get_source_inputs(tensor)


def _build(name: str, include_top: bool, shape: tuple, tensor, pooling: str | None, classes: int, make: Layers):
    design = DESIGNS[name]
    x, inputs = _input(shape, tensor)
    x = make.pad(x, 3, "conv1_pad")
    x = make.conv(x, 64, 7, "conv1_conv", stride=2, bias=design.use_bias)
    if not design.preact:
        x = make.norm_relu(x, "conv1")
    x = make.max_pool(make.pad(x, 1, "pool1_pad"), 3, 2, "pool1_pool")
    for i, count in enumerate(design.blocks):
        # ResNetV2 halves the size in the last block of a stack, the others in the first; pool1 has halved it for conv2.
        strided = (count if i < 3 else None) if design.preact else (1 if i > 0 else None)
        for block in range(1, count + 1):
            stride = 2 if block == strided else 1
            x = design.block(make, x, design.filters << i, stride, block == 1, f"conv{i + 2}_block{block}")
    if design.preact:
        x = make.norm_relu(x, "post")
    if include_top or pooling == "avg":
        x = keras.layers.GlobalAveragePooling2D(data_format=make.data_format, name="avg_pool")(x)
    elif pooling == "max":
        x = keras.layers.GlobalMaxPooling2D(data_format=make.data_format, name="max_pool")(x)
    if include_top:
        x = keras.layers.Dense(classes, activation="softmax", name="probs")(x)
    return keras.Model(inputs, x, name=name)


def _application(name: str):
    """A builder of `keras.applications` and its module, which holds its preprocess_input."""
    known = [key for key, value in vars(keras.applications).items() if key[0].isupper() and callable(value)]
    if name not in known:
        every = ", ".join([*DESIGNS, *sorted(known)])
        raise ModelError(f"unknown architecture {name!r}: expected a .keras or .h5 file, or one of {every}")
    function = getattr(keras.applications, name)
    return importlib.import_module(f"keras.applications.{function.__module__.rpartition('.')[2]}"), function


@contextlib.contextmanager
def _image_data_format(data_format: str) -> Iterator[None]:
    before = keras.config.image_data_format()
    keras.config.set_image_data_format(data_format)
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


def _build_application(
    name: str, include_top: bool, shape: tuple | None, tensor, pooling: str | None, classes: int, data_format: str
) -> keras.Model:
    _, function = _application(name)
    with _image_data_format(data_format):
        try:
            if shape is None and tensor is None:
                shape = _own_shape(function)
            options = {"input_shape": shape, "input_tensor": tensor, "pooling": pooling, "classes": classes}
            return function(weights=None, include_top=include_top, **options)
        except ValueError as error:
            raise ModelError(f"{name}: {_first_line(error)}") from error


def _own_shape(function: Callable) -> tuple:
    """The input that a `keras.applications` model is published for, which Keras gives only where it builds the top."""
    shape = function(weights=None).input_shape[1:]
    return tuple(side or 224 for side in shape)  # MobileNetV3 leaves it free; its weights are for 224


def _load_file(path: str) -> keras.Model:
    if not Path(path).is_file():
        raise ModelError(f"{path}: no such file")
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever its parts raise
        raise ModelError(f"{path}: Keras cannot load it as a model: {_first_line(error)}") from error
    if isinstance(model, keras.Sequential) and model.built:  # as a functional model, whose outputs have names
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise ModelError(f"{path}: expected one input of images, (batch, height, width, 3), got {shape}")
    if shape[3] == 3:
        return model
    if shape[1] != 3:
        raise ModelError(f"{path}: expected 3 channels, got an input of {shape}")
    images = keras.Input((shape[2], shape[3], 3), name="images")
    return keras.Model(images, model(keras.layers.Permute((3, 1, 2), name="channels_first")(images)), name=model.name)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
