"""The models of `keras.applications`, by the names that Keras gives them."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from kerasrun_export import efficientnet_lite0
from kerasrun_export.backend import keras
from kerasrun_export.errors import ModelError, first_line
from kerasrun_export.resnet import DESIGNS


def find(name: str) -> tuple[ModuleType, Callable]:
    """A `keras.applications` model's module, which holds its preprocess_input, and its builder."""
    known = [
        key
        for key, value in vars(keras.applications).items()
        if key[0].isupper() and callable(value)
    ]
    if name not in known and Path(name).exists():
        what = "a file of another kind"
        if Path(name).is_dir():
            what = "a directory; --saved-model takes one that holds a SavedModel"
        raise ModelError(f"{name}: expected a .keras or .h5 file that Keras saved, got {what}")
    if name not in known:
        every = ", ".join([*DESIGNS, efficientnet_lite0.NAME, *sorted(known)])
        raise ModelError(
            f"unknown architecture {name!r}: expected a .keras or .h5 file, or one of {every}"
        )
    function = getattr(keras.applications, name)
    return importlib.import_module(
        f"keras.applications.{function.__module__.rpartition('.')[2]}"
    ), function


@contextlib.contextmanager
def _image_data_format(data_format: str) -> Iterator[None]:
    before = keras.config.image_data_format()
    keras.config.set_image_data_format(data_format)
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


def build(
    name: str,
    include_top: bool,
    shape: tuple | None,
    tensor,
    pooling: str | None,
    classes: int,
    data_format: str,
) -> keras.Model:
    """A `keras.applications` model without weights; the options are those of `model.build`."""
    _, function = find(name)
    with _image_data_format(data_format):
        try:
            if shape is None and tensor is None:
                shape = _own_shape(function)
            options = {
                "input_shape": shape,
                "input_tensor": tensor,
                "pooling": pooling,
                "classes": classes,
            }
            return function(weights=None, include_top=include_top, **options)
        except ValueError as error:
            raise ModelError(f"{name}: {first_line(error)}") from error


def _own_shape(function: Callable) -> tuple:
    """The input shape that a `keras.applications` model is published for."""
    shape = function(weights=None).input_shape[1:]
    # MobileNetV3 leaves it free; its weights are for 224
    return tuple(side or 224 for side in shape)
