"""What a manifest says of a model's inputs and outputs: how an image becomes the tensor.

An image goes through three steps in this order: decode, resize, normalize. The names are those of
Pillow, TensorFlow and OpenCV; docs/contract.md describes each field.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

LIBRARIES = ("pillow", "tensorflow", "opencv")
# "grayscale" is the decoder's own; "grayscale_of_rgb" turns decoded RGB grey: tf.image's
# rgb_to_grayscale, cv2's COLOR_BGR2GRAY.
COLORS = ("rgb", "bgr", "grayscale", "grayscale_of_rgb", "rgba")
CHANNELS = {"rgb": 3, "bgr": 3, "grayscale": 1, "grayscale_of_rgb": 1, "rgba": 4}
METHODS = {
    "pillow": ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"),
    "tensorflow": (
        "bilinear",
        "nearest",
        "bicubic",
        "area",
        "lanczos3",
        "lanczos5",
        "gaussian",
        "mitchellcubic",
    ),
    "opencv": ("nearest", "linear", "area", "cubic", "lanczos4"),
}
# Of TensorFlow, for Keras's own crop and pad_first; the other fits have all of the library's.
KERAS_METHODS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
# stretch: the whole image. crop: the largest centred part of the target's shape (Keras's
# smart_resize and crop_to_aspect_ratio, load_img's keep_aspect_ratio). imageops_fit: Pillow's
# ImageOps.fit. pad: resized, then padded: tf.image.resize_with_pad, which
# image_dataset_from_directory calls, ImageOps.pad. pad_first: padded, then resized: Keras's
# Resizing with pad_to_aspect_ratio, and so KerasHub. short_side: the short side to `short_side`,
# then the centre. none: as decoded.
FITS = ("stretch", "crop", "imageops_fit", "pad", "pad_first", "short_side", "none")
# round, without values: to whole numbers, halves to the even one, and to 0 to 255. Keras's Resizing
# layer does it, and so KerasHub's ImageConverter, where they are given uint8.
OPERATIONS = ("multiply", "divide", "add", "subtract", "round")
OUTPUT_KINDS = (
    "probabilities",  # of classes that exclude each other: they add up to 1
    "logits",  # `activation` makes probabilities of them
    "binary",  # one sigmoid: the probability of the second of two classes
    "multilabel",  # a sigmoid for each class
    "regression",
    "embedding",
    "map",  # classes for each pixel: (height, width, classes)
    "tensor",  # anything else
)


@dataclass(frozen=True)
class Decode:
    """by: the library whose pixels these are. exif: whether the orientation in EXIF is applied."""

    by: str = "pillow"
    color: str = "rgb"
    exif: bool = False


@dataclass(frozen=True)
class Resize:
    """fill: of each channel, what is padded with. short_side: of fit "short_side", in pixels."""

    by: str = "pillow"
    method: str = "nearest"
    fit: str = "stretch"
    antialias: bool = False
    fill: float = 0.0
    short_side: int = 0


@dataclass(frozen=True)
class Step:
    """One operation with a number for all channels, or one for each in the tensor's order; "round"
    has none."""

    op: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Normalize:
    """The steps in their order. dtype: of the arithmetic, "float32" or "float64"; the result is
    then cast to the tensor's."""

    dtype: str = "float32"
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Input:
    """An input of the SavedModel.

    kind: "image" (made of an image file as the next fields say), "encoded" (strings: the bytes of
        image files, which the graph decodes) or "tensor".
    shape: with the batch dimension; -1 where a size is free.
    """

    name: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    layout: str | None = None
    decode: Decode | None = None
    resize: Resize | None = None
    normalize: Normalize | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of an image's tensor; -1 where it is free."""
        return self.shape[2:4] if self.layout == "NCHW" else self.shape[1:3]

    def to_json(self) -> dict:
        """As the manifest has it: the fields that its kind has."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Output:
    """An output of a signature.

    activation: of logits, "softmax" or "sigmoid". thresholds: of binary and multilabel, one for all
    or one for each class. normalized: of an embedding, whether its length is 1. palette: of a map,
    (r, g, b) for each class. labels: the path of its class names in the directory; "": none.
    """

    name: str
    kind: str
    activation: str | None = None
    thresholds: tuple[float, ...] | None = None
    normalized: bool | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None
    labels: str = ""

    def to_json(self) -> dict:
        return {key: value for key, value in asdict(self).items() if value is not None}


def input_from_json(data: dict) -> Input:
    """The inverse of Input.to_json."""
    return Input(**dict(data, shape=tuple(data["shape"]), **_parts(data)))


def _parts(data: dict) -> dict[str, object]:
    """The parts of an image's contract that there are."""
    parts = {}
    for key, part in (("decode", Decode), ("resize", Resize)):
        if key in data:
            parts[key] = part(**data[key])
    if "normalize" in data:
        steps = tuple(Step(s["op"], tuple(s["values"])) for s in data["normalize"]["steps"])
        parts["normalize"] = Normalize(data["normalize"]["dtype"], steps)
    return parts


@dataclass(frozen=True)
class Preprocessing:
    """How images become tensors, apart from the tensor's own size, type and layout."""

    decode: Decode = field(default_factory=Decode)
    resize: Resize = field(default_factory=Resize)
    normalize: Normalize = field(default_factory=Normalize)


def preprocessing_from_json(data: dict) -> Preprocessing:
    """Of the decode, resize and normalize of an input in JSON."""
    return Preprocessing(**_parts({key: data[key] for key in ("decode", "resize", "normalize")}))


def steps(*operations: tuple[str, float | Sequence[float]]) -> tuple[Step, ...]:
    """Steps of ("divide", 255.0) or ("subtract", (1.0, 2.0, 3.0))."""
    return tuple(
        Step(op, tuple(values) if isinstance(values, Sequence) else (float(values),))
        for op, values in operations
    )


# keras.applications' preprocess_input by mode; caffe's channels are B, G, R (color "bgr").
MODES: dict[str, tuple[Step, ...]] = {
    "caffe": steps(("subtract", (103.939, 116.779, 123.68))),
    "tf": steps(("divide", 127.5), ("subtract", 1.0)),
    "torch": steps(
        ("divide", 255.0),
        ("subtract", (0.485, 0.456, 0.406)),
        ("divide", (0.229, 0.224, 0.225)),
    ),
    "none": (),
}

# How images are loaded, by the function that does it.
PIPELINES: dict[str, Preprocessing] = {
    "load_img": Preprocessing(),
    "ImageDataGenerator": Preprocessing(),
    "image_dataset_from_directory": Preprocessing(
        Decode("tensorflow"), Resize("tensorflow", "bilinear")
    ),
    "decode_image": Preprocessing(Decode("tensorflow"), Resize("tensorflow", "bilinear")),
    "cv2": Preprocessing(Decode("opencv", "bgr", exif=True), Resize("opencv", "linear")),
    "pillow": Preprocessing(resize=Resize("pillow", "bicubic")),
    "teachable_machine": Preprocessing(
        resize=Resize("pillow", "lanczos", "imageops_fit"),
        normalize=Normalize(steps=MODES["tf"]),
    ),
}
