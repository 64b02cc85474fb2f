"""Searches the space of contracts for those that make given tensors of given images.

The space is decoder x color x EXIF x resize (library, method, antialias, fit) x normalisation. One
image is gone through whole; what is exact on it, to the bit, is held against the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from kerasrun_export import images, normalization
from kerasrun_export.contract import (
    CHANNELS,
    LIBRARIES,
    METHODS,
    Decode,
    Input,
    Normalize,
    Preprocessing,
    Resize,
    Step,
)
from kerasrun_export.errors import ImageError

ROUND = Step("round", ())
CLOSE = 0.02  # of a pixel's 255 steps: what rounding alone may make of a line
FEW = 512  # pixels looked at before all are
# Methods of Keras's own crop and padding; the other fits have all of the library's.
KERAS_METHODS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
# Lengths of the short side for 224, by what libraries and papers say.
SHORT_SIDES = (1 / 0.875, 256 / 224, 1.0, 232 / 224)


@dataclass(frozen=True)
class Feed:
    """An image and the tensor that was made of it, without its batch dimension."""

    image: Path
    tensor: np.ndarray


@dataclass(frozen=True)
class Nearest:
    """The contract that comes nearest where none is exact.

    image: where the difference is the largest. largest, mean: |difference| of the tensor's numbers,
    over all images. stage: "decode", "resize" or "normalize", the first that differs. difference:
    (height, width, channels) in steps of a pixel, of that image.
    """

    preprocessing: Preprocessing
    image: Path
    largest: float
    mean: float
    stage: str
    difference: np.ndarray = field(repr=False)


class Search:
    """A search for one input: its name, dtype, shape and layout are given, the rest is not."""

    def __init__(self, model_input: Input) -> None:
        self.input = model_input
        self.channels = {"NHWC": model_input.shape[-1], "NCHW": model_input.shape[1]}.get(
            model_input.layout, 1
        )
        self._decoded: dict[tuple, tuple[np.ndarray, int] | None] = {}
        self._resized: dict[tuple, np.ndarray | None] = {}

    def input_of(self, how: Preprocessing) -> Input:
        """The input with a contract."""
        return replace(self.input, decode=how.decode, resize=how.resize, normalize=how.normalize)

    def exact(self, feeds: Sequence[Feed]) -> list[Preprocessing]:
        """Every contract that makes each tensor, in every bit; what people do most comes first."""
        first, *others = sorted(feeds, key=_cost)
        found = [how for how in self._exact_on(first) if self.makes(how, first)]
        for feed in others:
            found = [how for how in found if self.makes(how, feed)]
        return _without_twins(sorted(found, key=_order), self.channels, first.tensor.dtype)

    def makes(self, how: Preprocessing, feed: Feed) -> bool:
        """Whether a contract makes the tensor of the image."""
        made = self.make(how, feed.image)
        return made is not None and np.array_equal(made, feed.tensor)

    def make(self, how: Preprocessing, image: Path) -> np.ndarray | None:
        """The tensor of an image by a contract; None where a library cannot read it."""
        resized = self._resize(how.decode, how.resize, image, self.input.size)
        return None if resized is None else images.tensor(self.input_of(how), resized)

    def _exact_on(self, feed: Feed) -> Iterator[Preprocessing]:
        values = self._flat(feed.tensor)
        few = slice(None, None, max(1, len(values) // FEW))
        for decodes, resize, rounded, pixels in self._pixels(feed):
            for color, ordered in self._orders(decodes[0], values):
                if not _on_a_line(pixels[few], ordered[few]) or not _on_a_line(pixels, ordered):
                    continue
                slope, offset = normalization.line(pixels, ordered)
                for how in normalization.exact(pixels, ordered, slope, offset):
                    how = self._ordered(how, color)
                    if rounded:
                        how = replace(how, steps=(ROUND, *how.steps))
                    for decode in decodes:
                        color_of = color if decode.color == "rgb" else decode.color
                        yield Preprocessing(replace(decode, color=color_of), resize, how)

    def nearest(self, feeds: Sequence[Feed]) -> Nearest:
        """The contract whose tensors are the nearest on the first image, measured on all."""
        first = min(feeds, key=_cost)
        values = self._flat(first.tensor)
        best, how = np.inf, None
        for decodes, resize, rounded, pixels in self._pixels(first):
            if rounded:
                continue
            for color, ordered in self._orders(decodes[0], values):
                slope, offset = normalization.line(pixels, ordered)
                if not np.isfinite(slope).all() or (slope <= 0).any():
                    continue
                fitted = (ordered - offset) / slope
                distance = float(np.mean(np.abs(fitted - pixels)))
                if distance < best:
                    normalize = self._ordered(normalization.nearest(slope, offset), color)
                    best = distance
                    how = Preprocessing(replace(decodes[0], color=color), resize, normalize)
        if how is None:
            raise ImageError(
                f"{first.image}: expected a tensor that rises with the image's pixels, got one "
                "that no decoder and no resize comes near"
            )
        return self.measure(how, feeds)

    def measure(self, how: Preprocessing, feeds: Sequence[Feed]) -> Nearest:
        """How far a contract's tensors are from those that were fed."""
        largest, total, count, worst = -1.0, 0.0, 0, None
        for feed in feeds:
            made = self.make(how, feed.image)
            if made is None:
                raise ImageError(f"{feed.image}: {how.decode.by} cannot read it")
            off = np.abs(made.astype(np.float64) - feed.tensor.astype(np.float64))
            total, count = total + float(off.sum()), count + off.size
            if off.max() > largest:
                largest, worst = float(off.max()), feed
        difference, stage = self._stage(how, worst)
        return Nearest(how, worst.image, largest, total / count, stage, difference)

    def _stage(self, how: Preprocessing, feed: Feed) -> tuple[np.ndarray, str]:
        """The difference in pixels, and the first stage that makes one.

        Where pixels lie on a line, only the arithmetic differs. Where the means over squares of 8
        pixels do not agree, the decoded image was another; where only the detail differs, the
        resize.
        """
        resized = self._resize(how.decode, how.resize, feed.image, self.input.size)
        pixels = resized.reshape(-1, self.channels).astype(np.float64)
        values = self._flat(feed.tensor)
        if how.decode.color == "bgr":
            values = values[:, ::-1]
        slope, offset = normalization.line(pixels, values)
        with np.errstate(divide="ignore", invalid="ignore"):
            off = np.nan_to_num((values - offset) / slope - pixels)
        difference = off.reshape(resized.shape)
        if np.abs(off).max() < CLOSE:
            return difference, "normalize"
        height, width = (side // 8 * 8 for side in difference.shape[:2])
        squares = difference[:height, :width].reshape(height // 8, 8, width // 8, 8, -1)
        coarse = np.abs(squares.mean(axis=(1, 3))).mean() if squares.size else 0.0
        return difference, "decode" if coarse > 0.35 * np.abs(off).mean() else "resize"

    def _flat(self, tensor: np.ndarray) -> np.ndarray:
        """(height * width, channels) of a tensor of any layout."""
        if self.input.layout == "NCHW":
            tensor = tensor.transpose(1, 2, 0)
        return tensor.reshape(-1, self.channels)

    def _orders(self, decode: Decode, values: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """The values with red first, by each order that the tensor may have."""
        if decode.color != "rgb":
            return [(decode.color, values)]
        return [("rgb", values), ("bgr", values[:, ::-1])]

    def _ordered(self, how: Normalize, color: str) -> Normalize:
        """The arithmetic with its numbers in the tensor's order."""
        if color != "bgr":
            return how
        return replace(how, steps=tuple(Step(s.op, s.values[::-1]) for s in how.steps))

    def _pixels(self, feed: Feed) -> Iterator[tuple[list[Decode], Resize, bool, np.ndarray]]:
        """Every resized image that is possible, (height * width, channels), and its making.

        The first are all decoders that give the same pixels. The third says whether the floats of a
        resize were rounded.
        """
        height, width = self._flat_size(feed.tensor)
        groups: dict[tuple, list[Decode]] = {}
        for decode in self._decodes():
            decoded = self._decode(decode, feed.image)
            if decoded is not None:
                pixels, digest = decoded
                groups.setdefault((pixels.shape, digest), []).append(decode)
        for (shape, _), decodes in groups.items():
            for resize in self._resizes(shape[:2], (height, width)):
                resized = self._resize(decodes[0], resize, feed.image, (height, width))
                if resized is None or resized.shape[:2] != (height, width):
                    continue
                flat = resized.reshape(-1, self.channels)
                yield decodes, resize, False, flat
                if flat.dtype == np.float32:
                    yield decodes, resize, True, np.clip(np.rint(flat), 0, 255)

    def _flat_size(self, tensor: np.ndarray) -> tuple[int, int]:
        return tensor.shape[1:3] if self.input.layout == "NCHW" else tensor.shape[:2]

    def _decodes(self) -> Iterator[Decode]:
        for library in LIBRARIES:
            for color, channels in CHANNELS.items():
                if channels != self.channels or color == "bgr":
                    continue
                yield Decode(library, color)
                if library != "tensorflow" and not (library == "opencv" and color == "rgba"):
                    yield Decode(library, color, exif=True)

    def _resizes(self, size: tuple[int, int], target: tuple[int, int]) -> Iterator[Resize]:
        if -1 in self.input.size or tuple(size) == tuple(target):
            yield Resize(fit="none")
            if -1 in self.input.size:
                return
        for method in METHODS["pillow"]:
            for fit in ("stretch", "crop", "imageops_fit", "pad"):
                yield Resize("pillow", method, fit)
        for method in METHODS["tensorflow"]:
            for antialias in (False, True) if method not in ("nearest", "area") else (False,):
                yield Resize("tensorflow", method, "stretch", antialias)
                yield Resize("tensorflow", method, "pad", antialias)
                if method in KERAS_METHODS:
                    yield Resize("tensorflow", method, "crop", antialias)
                    yield Resize("tensorflow", method, "pad_first", antialias)
        for method in METHODS["opencv"]:
            yield Resize("opencv", method, "stretch")
        for side in sorted({round(max(target) * ratio) for ratio in SHORT_SIDES}):
            for method in ("bilinear", "bicubic", "lanczos", "nearest"):
                yield Resize("pillow", method, "short_side", short_side=side)
            for method in ("bilinear", "bicubic"):
                for antialias in (False, True):
                    yield Resize("tensorflow", method, "short_side", antialias, short_side=side)
            for method in ("linear", "area", "cubic"):
                yield Resize("opencv", method, "short_side", short_side=side)

    def _decode(self, how: Decode, image: Path) -> tuple[np.ndarray, int] | None:
        """The pixels and their hash; None where the library cannot read the image."""
        how = replace(how, color="rgb" if how.color == "bgr" else how.color)
        key = (how, image)
        if key not in self._decoded:
            try:
                pixels = images.decode(how, image.read_bytes())
                self._decoded[key] = pixels, hash(pixels.tobytes())
            except ImageError:
                self._decoded[key] = None
        return self._decoded[key]

    def _resize(
        self, decode: Decode, how: Resize, image: Path, size: tuple[int, int]
    ) -> np.ndarray | None:
        """The image resized; once where decoders give the same pixels."""
        decoded = self._decode(decode, image)
        if decoded is None:
            return None
        pixels, digest = decoded
        key = (pixels.shape, digest, how, size)
        if key not in self._resized:
            try:
                self._resized[key] = images.resize(how, pixels, size)
            except ImageError:
                self._resized[key] = None
        return self._resized[key]


def _cost(feed: Feed) -> tuple[bool, int]:
    """Small images come first, but those of one colour last: they tell nothing."""
    return bool(np.ptp(feed.tensor) == 0), feed.image.stat().st_size


def _on_a_line(pixels: np.ndarray, values: np.ndarray) -> bool:
    """Whether values are on a line of pixels, but for rounding; true where none can be drawn."""
    slope, offset = normalization.line(pixels, values)
    if not np.isfinite(slope).all() or (slope == 0).any():
        return True
    distance = np.max(np.abs((values - offset) / slope - pixels))
    return bool(distance <= _allowed(values, slope))


def _allowed(values: np.ndarray, slope: np.ndarray) -> float:
    """How far from the line rounding to the tensor's type may take a value, in steps of a pixel."""
    if values.dtype.kind != "f":
        return 1.01
    step = float(np.finfo(values.dtype).eps) * float(np.max(np.abs(values)))
    return max(CLOSE, 4 * step / float(np.nanmin(np.abs(slope)))) if np.any(slope) else CLOSE


def _order(how: Preprocessing) -> tuple:
    """What comes first of contracts that make the same: one library, nothing out of the way."""
    usual_exif = how.decode.by == "opencv"
    fits = ("none", "stretch", "crop", "pad", "pad_first", "imageops_fit", "short_side")
    return (
        how.decode.by != how.resize.by and how.resize.fit != "none",
        LIBRARIES.index(how.decode.by),
        how.decode.exif != usual_exif,
        how.decode.color == "grayscale_of_rgb",
        fits.index(how.resize.fit),
        how.resize.antialias,
        METHODS[how.resize.by].index(how.resize.method),
    )


def _without_twins(
    found: Sequence[Preprocessing], channels: int, dtype: np.dtype
) -> list[Preprocessing]:
    """The contracts without those that only write the same arithmetic in another way."""
    kept: list[Preprocessing] = []
    for how in found:
        whole = how.resize.by != "tensorflow" or how.resize.method == "nearest"
        if not any(
            (one.decode, one.resize) == (how.decode, how.resize)
            and normalization.agree(one.normalize, how.normalize, whole, channels, dtype)
            for one in kept
        ):
            kept.append(how)
    return kept
