"""Makes an image the tensor that a contract describes, by calling the Python libraries themselves.

This is the reference that goldens and Go's tests hold everything else against, so it shares no
arithmetic with anything. Each function asks Pillow, Keras, TensorFlow or OpenCV for what the
contract names after them.
"""

import io
import os
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from PIL import Image, ImageOps

from kerasrun_export import contract, files
from kerasrun_export.backend import keras, tf
from kerasrun_export.errors import ImageError, first_line

# The fits that a library has. Pillow's crop is load_img's keep_aspect_ratio, TensorFlow's Keras's
# crop_to_aspect_ratio.
FITS = {
    "pillow": ("stretch", "crop", "imageops_fit", "pad", "short_side", "none"),
    "tensorflow": ("stretch", "crop", "pad", "pad_first", "short_side", "none"),
    "opencv": ("stretch", "short_side", "none"),
}
OPERATIONS = {
    "multiply": np.multiply,
    "divide": np.divide,
    "add": np.add,
    "subtract": np.subtract,
    "round": lambda values, _: np.clip(np.rint(values), 0, 255),
}


@dataclass(frozen=True)
class Stages:
    """What an image is after each step.

    decoded: (height, width, channels) of the file's own size, uint8; colours are red, green, blue
        and alpha, whatever their order in the tensor. resized: the same of the tensor's size;
        float32 where TensorFlow resized it by another method than nearest. tensor: of the input's
        dtype, shape and layout without its batch dimension.
    """

    decoded: np.ndarray
    resized: np.ndarray
    tensor: np.ndarray


def stages(model_input: contract.Input, image: str | os.PathLike | bytes) -> Stages:
    """Makes an image, a path or the bytes of a file, the tensor of an input of kind "image".

    Raises ImageError where a library cannot read the image, or cannot do what the contract says.
    """
    data = image if isinstance(image, bytes) else _read(image)
    name = f"an image of {len(data)} bytes" if isinstance(image, bytes) else str(image)
    try:
        decoded = decode(model_input.decode, data)
        resized = resize(model_input.resize, decoded, model_input.size)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    return Stages(decoded, resized, tensor(model_input, resized))


def check(model_input: contract.Input) -> None:
    """Raises ImageError where the libraries cannot do what the contract of an input says, whatever
    the image."""
    height, width = (side if side > 0 else 8 for side in model_input.size)
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    try:
        stages(model_input, file.getvalue())
    except ImageError as error:
        raise ImageError(f"{model_input.name}: {error.__cause__}") from error


def _read(path: str | os.PathLike) -> bytes:
    return files.read(path, files.IMAGE)


def decode(how: contract.Decode, data: bytes) -> np.ndarray:
    """The pixels of a file, (height, width, channels), uint8 or what else the library gives.

    Colours are red, green, blue and alpha, also where how.color is "bgr".

    Raises ImageError.
    """
    try:
        pixels = _DECODERS[how.by](how, data)
    except ImageError:
        raise
    except Exception as error:  # each library raises whatever its decoders raise
        raise ImageError(f"{how.by} cannot read it: {first_line(error)}") from error
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


def _decode_pillow(how: contract.Decode, data: bytes) -> np.ndarray:
    """keras.utils.load_img's pixels; where `exif`, of the image that ImageOps.exif_transpose gives.

    load_img turns none, so for that its choice of Pillow's modes is repeated here.
    """
    if how.exif:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        mode = {"grayscale": "L", "rgba": "RGBA"}.get(how.color, "RGB")
        wide = mode == "L" and image.mode in ("I", "I;16")
        if image.mode != mode and not wide:
            image = image.convert(mode)
    else:
        color_mode = how.color if how.color in ("grayscale", "rgba") else "rgb"
        image = keras.utils.load_img(io.BytesIO(data), color_mode)
    if how.color == "grayscale_of_rgb":
        image = image.convert("L")
    return np.asarray(image)


def _decode_tensorflow(how: contract.Decode, data: bytes) -> np.ndarray:
    """tf.io.decode_image's pixels, of an animation the first frame's."""
    if how.exif:
        raise ImageError("expected exif false: TensorFlow does not read the orientation in EXIF")
    channels = {"grayscale": 1, "rgba": 4}.get(how.color, 3)
    with tf.device("/CPU:0"):
        pixels = tf.io.decode_image(data, channels=channels, expand_animations=False)
        if how.color == "grayscale_of_rgb":
            pixels = tf.image.rgb_to_grayscale(pixels)
    return pixels.numpy()


def _decode_opencv(how: contract.Decode, data: bytes) -> np.ndarray:
    """cv2.imread's pixels, by cv2.imdecode."""
    cv2 = opencv()
    flags = {"grayscale": cv2.IMREAD_GRAYSCALE, "rgba": cv2.IMREAD_UNCHANGED}.get(
        how.color, cv2.IMREAD_COLOR
    )
    if how.color == "rgba":
        if how.exif:
            raise ImageError("expected exif false: OpenCV turns no image that it reads unchanged")
    elif not how.exif:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise ImageError("OpenCV cannot read it")
    if how.color == "grayscale":
        return pixels
    if how.color == "grayscale_of_rgb":
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    if how.color == "rgba":
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        conversion = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}
        return cv2.cvtColor(pixels, conversion[channels])
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


_DECODERS = {
    "pillow": _decode_pillow,
    "tensorflow": _decode_tensorflow,
    "opencv": _decode_opencv,
}


def opencv() -> ModuleType:
    """cv2, which only contracts that name OpenCV need; ImageError where it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise ImageError(
            "expected OpenCV, which the contract names, got none: pip install "
            "opencv-python-headless"
        ) from error
    return cv2


def resize(how: contract.Resize, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels, (height, width, channels), at a size of (height, width), by one library.

    Raises ImageError where the library does not have the method or the fit.
    """
    if how.fit not in FITS[how.by]:
        raise ImageError(f"fit: expected {', '.join(FITS[how.by])} for {how.by}, got {how.fit}")
    if how.fit == "none":
        got = pixels.shape[:2]
        if any(want not in (-1, have) for want, have in zip(size, got, strict=True)):
            raise ImageError(
                f"expected an image of {size[1]} x {size[0]}, got {got[1]} x {got[0]}: the "
                "contract resizes none"
            )
        return pixels
    if -1 in size:
        raise ImageError(f"fit: expected none, for the model's size is free, got {how.fit}")
    methods = contract.METHODS[how.by]
    if how.by == "tensorflow" and how.fit in ("crop", "pad_first"):
        methods = contract.KERAS_METHODS
    if how.method not in methods:
        raise ImageError(
            f"method: expected {', '.join(methods)} for {how.by} and fit {how.fit}, got "
            f"{how.method}"
        )
    if not (0 <= how.fill <= 255 and how.fill == int(how.fill)):
        raise ImageError(f"fill: expected a whole number from 0 to 255, got {how.fill}")
    if how.antialias and how.by != "tensorflow":
        raise ImageError(f"antialias: expected false, for {how.by} has no such choice, got true")
    if how.fit == "short_side" and how.short_side < max(size):
        raise ImageError(f"short_side: expected at least {max(size)}, got {how.short_side}")
    try:
        resized = _RESIZERS[how.by](how, pixels, size)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"{how.by} cannot resize it: {first_line(error)}") from error
    return resized if resized.ndim == 3 else resized[..., np.newaxis]


def _long_side(short_side: int, pixels: np.ndarray) -> tuple[int, int]:
    """(height, width) where the short side is `short_side`, cut as torchvision cuts it."""
    height, width = pixels.shape[:2]
    if height <= width:
        return short_side, int(short_side * width / height)
    return int(short_side * height / width), short_side


def _resize_pillow(how: contract.Resize, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    method = Image.Resampling[how.method.upper()]
    width_height = (size[1], size[0])
    if how.fit in ("stretch", "crop"):
        buffer = io.BytesIO()  # load_img takes files
        image.save(buffer, "TIFF")
        color_mode = {"RGB": "rgb", "RGBA": "rgba"}.get(image.mode, "grayscale")
        keep = how.fit == "crop"
        image = keras.utils.load_img(buffer, color_mode, size, how.method, keep)
    elif how.fit == "imageops_fit":
        image = ImageOps.fit(image, width_height, method)
    elif how.fit == "pad":
        fill = int(how.fill)
        color = fill if image.mode == "L" else (fill,) * pixels.shape[2]
        image = ImageOps.pad(image, width_height, method, color=color)
    else:  # torchvision's Resize and CenterCrop
        height, width = _long_side(how.short_side, pixels)
        image = image.resize((width, height), method)
        top = round((height - size[0]) / 2)
        left = round((width - size[1]) / 2)
        image = image.crop((left, top, left + size[1], top + size[0]))
    return np.asarray(image)


def _resize_tensorflow(
    how: contract.Resize, pixels: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    with tf.device("/CPU:0"):
        if how.fit in ("crop", "pad_first"):
            resized = keras.ops.image.resize(
                pixels.astype(np.float32),  # of uint8 it would round
                size,
                interpolation=how.method,
                antialias=how.antialias,
                crop_to_aspect_ratio=how.fit == "crop",
                pad_to_aspect_ratio=how.fit == "pad_first",
                fill_value=how.fill,
                data_format="channels_last",
            )
        elif how.fit == "pad":
            if how.fill != 0:
                raise ImageError(f"fill: expected 0, for resize_with_pad has no other: {how.fill}")
            resized = tf.image.resize_with_pad(
                pixels, *size, method=how.method, antialias=how.antialias
            )
        elif how.fit == "short_side":
            inner = _long_side(how.short_side, pixels)
            resized = tf.image.resize(pixels, inner, method=how.method, antialias=how.antialias)
            resized = tf.image.resize_with_crop_or_pad(resized, *size)
        else:
            resized = tf.image.resize(pixels, size, method=how.method, antialias=how.antialias)
    resized = np.asarray(resized)
    return resized.astype(pixels.dtype) if how.method == "nearest" else resized


def _resize_opencv(how: contract.Resize, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    cv2 = opencv()
    method = getattr(cv2, f"INTER_{how.method.upper()}")
    pixels = np.ascontiguousarray(pixels)
    if how.fit == "stretch":
        return cv2.resize(pixels, (size[1], size[0]), interpolation=method)
    height, width = _long_side(how.short_side, pixels)
    resized = cv2.resize(pixels, (width, height), interpolation=method)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return resized[top : top + size[0], left : left + size[1]]


_RESIZERS = {
    "pillow": _resize_pillow,
    "tensorflow": _resize_tensorflow,
    "opencv": _resize_opencv,
}


def tensor(model_input: contract.Input, resized: np.ndarray) -> np.ndarray:
    """A resized image, (height, width, channels), as the model takes it, without a batch."""
    arithmetic = np.dtype(model_input.normalize.dtype)
    dtype = tf.as_dtype(model_input.dtype).as_numpy_dtype
    values = resized[..., ::-1] if model_input.decode.color == "bgr" else resized
    if model_input.normalize.steps:
        values = values.astype(arithmetic)
    for step in model_input.normalize.steps:
        values = OPERATIONS[step.op](values, np.asarray(step.values, arithmetic))
    values = values.astype(dtype)
    if model_input.layout == "NCHW":
        return np.ascontiguousarray(values.transpose(2, 0, 1))
    if model_input.layout == "NHW":
        return np.ascontiguousarray(values[..., 0])
    return np.ascontiguousarray(values)


def preprocess(images: np.ndarray, mode: str) -> np.ndarray:
    """RGB 0 to 255, (..., 3), as preprocess_input of that mode makes it, float32; "none": the same.

    `contract.MODES` has the steps of each; this is what they are held against.
    """
    images = np.asarray(images, np.float32)
    if mode == "none":
        return images
    return keras.applications.imagenet_utils.preprocess_input(
        images.copy(), data_format="channels_last", mode=mode
    )
