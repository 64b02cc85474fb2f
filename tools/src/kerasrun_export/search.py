"""Searches the space of contracts for those that make given tensors of given images.

The space is decoder x color x EXIF x resize (library, method, antialias, fit) x normalisation. One
image is gone through whole; what is exact on it, to the bit, is held against the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from kerasrun_export import files, images, normalization
from kerasrun_export.contract import (
    CHANNELS,
    KERAS_METHODS,
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
from kerasrun_export.stage import Compared, differs, unexplained

ROUND = Step("round", ())
CLOSE = 0.02  # of a pixel's 255 steps: what rounding alone may make of a line
FEW = 512  # pixels looked at before all are
SAMPLE = 4096  # pixels by which ways are told from each other where none is exact
KEPT = 3  # ways of a decoder, which are held against all images
STAGED = 8  # images by which the stage is told that differs
OTHER_FILTERS = {"pillow": ("box", "bilinear", "lanczos"), "tensorflow": ("bilinear", "nearest")}
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
        # Of one image, the last that was asked for.
        self._image: Path | None = None
        self._decoded: dict[Decode, tuple[np.ndarray, int] | None] = {}
        self._resized: dict[tuple, np.ndarray | None] = {}

    def input_of(self, how: Preprocessing) -> Input:
        """The input with a contract."""
        return replace(self.input, decode=how.decode, resize=how.resize, normalize=how.normalize)

    def exact(self, feeds: Sequence[Feed]) -> list[Preprocessing]:
        """Every contract that makes each tensor, in every bit; what people do most comes first."""
        first, *others = sorted(feeds, key=self._cost)
        found = [how for how in self._exact_on(first) if self.makes(how, first)]
        if not found:
            sides = self._short_sides(first)
            found = [how for how in self._exact_on(first, sides) if self.makes(how, first)]
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

    def _exact_on(self, feed: Feed, sides: Sequence[int] = ()) -> Iterator[Preprocessing]:
        """The contracts whose arithmetic is exact on an image. sides: lengths of the short side, in
        place of every usual resize."""
        values = self._flat(feed.tensor)
        few = _few(values, FEW)
        for decodes, resize, rounded, pixels in self._pixels(feed, sides):
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
        """The contract that leaves the least of the tensors unexplained, over all images.

        The best of each decoder are found on one image and held against the others. What is judged
        is how far the tensor's numbers are from any function of the pixels, so that another
        arithmetic hides neither the decoder nor the resize.
        """
        first = min(feeds, key=self._cost)
        values = self._flat(first.tensor)
        found: dict[Decode, list[tuple[float, Resize, str]]] = {}
        for decodes, resize, rounded, pixels in self._pixels(first, rough=True):
            if rounded:
                continue
            for color, ordered in self._orders(decodes[0], values):
                off = _unexplained(pixels, ordered, SAMPLE)
                if np.isfinite(off):
                    for decode in decodes:
                        found.setdefault(decode, []).append((off, resize, color))
        off = dict.fromkeys(_kept(found), 0.0)
        for feed in feeds:
            for how in off:
                off[how] += self._off(how, feed)
        how = min(off, key=lambda how: (off[how], _order(how)), default=None)
        if how is None:
            raise ImageError(
                f"{first.image}: expected a tensor that changes with the image's pixels, got one "
                "that no decoder and no resize comes near"
            )
        compared = [self._compared(how, feed) for feed in feeds[:STAGED]]
        pixels = np.concatenate([one.resized.reshape(-1, self.channels) for one in compared])
        values = np.concatenate([one.values.reshape(-1, self.channels) for one in compared])
        slope, offset = normalization.line(pixels, values)
        normalize = self._ordered(normalization.nearest(slope, offset), how.decode.color)
        return self.measure(replace(how, normalize=normalize), feeds)

    def _off(self, how: Preprocessing, feed: Feed) -> float:
        """The mean of what is no function of the pixels; infinite where the library cannot read the
        image."""
        one = self._compared(how, feed)
        if one is None:
            return np.inf
        pixels, values = (x.reshape(-1, self.channels) for x in (one.resized, one.values))
        off = _unexplained(pixels, values, SAMPLE)
        return off if np.isfinite(off) else 0.0  # one colour tells nothing

    def _compared(self, how: Preprocessing, feed: Feed) -> Compared | None:
        """The image as the contract resizes it, and the tensor in that order of channels."""
        resized = self._resize(how.decode, how.resize, feed.image, self.input.size)
        values = self._flat(feed.tensor)
        if resized is None or resized.size != values.size:
            return None
        values = values[:, ::-1] if how.decode.color == "bgr" else values
        return Compared(resized, values.reshape(resized.shape))

    def measure(self, how: Preprocessing, feeds: Sequence[Feed]) -> Nearest:
        """How far a contract's tensors are from those that were fed."""
        largest, total, count, worst = -1.0, 0.0, 0, None
        compared = []
        for feed in feeds:
            made = self.make(how, feed.image)
            if made is None:
                raise ImageError(f"{feed.image}: {how.decode.by} cannot read it")
            off = np.abs(made.astype(np.float64) - feed.tensor.astype(np.float64))
            total, count = total + float(off.sum()), count + off.size
            if off.max() > largest:
                largest, worst = float(off.max()), feed
            if len(compared) < STAGED:
                one = self._compared(how, feed)
                compared.append(replace(one, others=self._others(how, feed)))
        difference = self._difference(how, worst)
        return Nearest(how, worst.image, largest, total / count, differs(compared), difference)

    def _others(self, how: Preprocessing, feed: Feed) -> list[np.ndarray]:
        """The image by other filters of the same fit, and moved before it is resized."""
        if how.resize.fit == "none":
            return []
        found = []
        for by, methods in OTHER_FILTERS.items():
            if how.resize.fit not in images.FITS[by]:
                continue
            for method in methods:
                other = Resize(by, method, how.resize.fit, short_side=how.resize.short_side)
                resized = self._resize(how.decode, other, feed.image, self.input.size)
                if resized is not None:
                    found.append(resized)
        pixels, _ = self._decode(how.decode, feed.image)
        height, width = (
            max(1, round(side / target / 3))
            for side, target in zip(pixels.shape[:2], self.input.size, strict=True)
        )
        for dy, dx in product(range(-2, 3), repeat=2):
            if dy or dx:
                moved = np.roll(pixels, (dy * height, dx * width), (0, 1))
                found.append(images.resize(how.resize, moved, self.input.size))
        return found

    def _difference(self, how: Preprocessing, feed: Feed) -> np.ndarray:
        """The difference in pixels, (height, width, channels)."""
        one = self._compared(how, feed)
        pixels, values = (x.reshape(-1, self.channels) for x in (one.resized, one.values))
        slope, offset = normalization.line(pixels, values)
        with np.errstate(divide="ignore", invalid="ignore"):
            off = np.nan_to_num((values - offset) / slope - pixels)
        return off.reshape(one.resized.shape)

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

    def _pixels(
        self, feed: Feed, sides: Sequence[int] = (), rough: bool = False
    ) -> Iterator[tuple[list[Decode], Resize, bool, np.ndarray]]:
        """Every resized image that is possible, (height * width, channels), and its making.

        The first are all decoders that give the same pixels. The third says whether the floats of a
        resize were rounded. sides: as in `_exact_on`. rough: also with what is padded with where
        that is not exact.
        """
        height, width = self._flat_size(feed.tensor)
        groups: dict[tuple, list[Decode]] = {}
        for decode in self._decodes():
            decoded = self._decode(decode, feed.image)
            if decoded is not None:
                pixels, digest = decoded
                groups.setdefault((pixels.shape, digest), []).append(decode)
        for (shape, _), decodes in groups.items():
            usual = self._resizes(shape[:2], (height, width))
            for resize in _by_short_sides(sides) if sides else usual:
                for way in self._filled(decodes[0], resize, feed, (height, width), rough):
                    resized = self._resize(decodes[0], way, feed.image, (height, width))
                    if resized is None or resized.shape[:2] != (height, width):
                        continue
                    flat = resized.reshape(-1, self.channels)
                    yield decodes, way, False, flat
                    if flat.dtype == np.float32:
                        yield decodes, way, True, np.clip(np.rint(flat), 0, 255)

    def _filled(
        self, decode: Decode, how: Resize, feed: Feed, size: tuple[int, int], rough: bool
    ) -> Iterator[Resize]:
        """A resize, and where it pads, the same with what the tensor is padded with.

        That is read from the line on which the image's own pixels lie.
        """
        yield how
        if how.fit not in ("pad", "pad_first") or (how.by, how.fit) == ("tensorflow", "pad"):
            return
        resized = self._resize(decode, how, feed.image, size)
        if resized is None:
            return
        pixels, _ = self._decode(decode, feed.image)
        inside = images.resize(how, np.full((*pixels.shape[:2], 1), 255, np.uint8), size).ravel()
        image, padding = inside > 254.5, inside < 0.5
        if not image.any() or not padding.any():
            return
        flat, whole = resized.reshape(-1, self.channels), self._flat(feed.tensor)
        for _, values in self._orders(decode, whole):
            for own in (flat[image], np.clip(np.rint(flat[image]), 0, 255)):
                slope, offset = normalization.line(own, values[image])
                if not np.isfinite(slope).all() or (slope == 0).any():
                    continue
                if not rough and not _on_a_line(own, values[image]):
                    continue
                fill = (np.median(values[padding], axis=0) - offset) / slope
                value = round(float(fill.mean()))
                if 0 < value <= 255 and (rough or np.abs(fill - value).max() < 0.1):
                    yield replace(how, fill=float(value))
                    return

    def _short_sides(self, feed: Feed) -> list[int]:
        """The lengths of the short side that may have been resized to, other than the usual."""
        target = self._flat_size(feed.tensor)
        if -1 in self.input.size:
            return []
        values = self._flat(feed.tensor)
        found = []
        for decode in self._decodes():
            if self._decode(decode, feed.image) is None:
                continue
            for side in range(max(target), 2 * max(target)):
                how = Resize("pillow", "bilinear", "short_side", short_side=side)
                resized = self._resize(decode, how, feed.image, target)
                if resized is None:
                    continue
                pixels = resized.reshape(-1, self.channels)
                for _, ordered in self._orders(decode, values):
                    found.append((_unexplained(pixels, ordered, FEW), side))
            break  # a side shows by whatever decoder
        best = list(dict.fromkeys(side for _, side in sorted(found)))[:KEPT]
        return [side for side in best if side not in _usual_sides(target)]

    def _cost(self, feed: Feed) -> tuple[bool, bool, int]:
        """Small images come first, those of the tensor's own shape after them, for they are neither
        cut nor padded, and those of one colour last: they tell nothing."""
        height, width = self._flat_size(feed.tensor)
        try:
            with Image.open(feed.image) as image:
                alike = abs(image.width * height - image.height * width) < max(image.size)
        except OSError:
            alike = False
        return bool(np.ptp(feed.tensor) == 0), alike, feed.image.stat().st_size

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
        yield from _by_short_sides(_usual_sides(target))

    def _decode(self, how: Decode, image: Path) -> tuple[np.ndarray, int] | None:
        """The pixels and their hash; None where the library cannot read the image."""
        if image != self._image:
            self._image = image
            self._decoded.clear()
            self._resized.clear()
        key = replace(how, color="rgb" if how.color == "bgr" else how.color)
        if key not in self._decoded:
            try:
                pixels = images.decode(key, files.read(image, files.IMAGE))
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


def _kept(found: dict[Decode, list[tuple[float, Resize, str]]]) -> Iterator[Preprocessing]:
    """The best ways of each decoder, whose first number is what they leave unexplained."""
    for decode, ways in found.items():
        for _, resize, color in sorted(ways, key=lambda way: way[0])[:KEPT]:
            color = color if decode.color == "rgb" else decode.color
            yield Preprocessing(replace(decode, color=color), resize, Normalize())


def _usual_sides(target: tuple[int, int]) -> list[int]:
    return sorted({round(max(target) * ratio) for ratio in SHORT_SIDES})


def _by_short_sides(sides: Sequence[int]) -> Iterator[Resize]:
    for side in sides:
        for method in ("bilinear", "bicubic", "lanczos", "nearest"):
            yield Resize("pillow", method, "short_side", short_side=side)
        for method in ("bilinear", "bicubic"):
            for antialias in (False, True):
                yield Resize("tensorflow", method, "short_side", antialias, short_side=side)
        for method in ("linear", "area", "cubic"):
            yield Resize("opencv", method, "short_side", short_side=side)


def _few(values: np.ndarray, most: int) -> slice:
    """Every so many rows that about `most` are left."""
    return slice(None, None, max(1, len(values) // most))


def _unexplained(pixels: np.ndarray, values: np.ndarray, most: int) -> float:
    """The mean of what is no function of the pixels, of about so many of them."""
    few = _few(values, most)
    return float(np.abs(unexplained(pixels[few], values[few])).mean())


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
