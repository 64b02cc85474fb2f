"""Finds the arithmetic between an image's numbers and a tensor's, from both.

What turns one into the other is, for each channel, nearly a line. Its slope and its offset say
which ways of writing it come into question (x / 255, x * (1 / 255), (x - mean) / std, ...); of
these only those that give the same bits are right.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from kerasrun_export.contract import MODES, Normalize, Step, steps

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Which are written with their own digits, in place of what a line's slope has.
MEANS_AND_STDS = (
    IMAGENET,
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),  # CLIP
    ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),  # CIFAR-10
    ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),  # CIFAR-100
    ((0.1307,), (0.3081,)),  # MNIST
)
SAMPLE = 4096  # numbers compared before all are


def compute(how: Normalize, pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The steps over (..., channels), as the tensor's type."""
    if not how.steps:
        return pixels.astype(dtype)
    arithmetic = np.dtype(how.dtype)
    values = pixels.astype(arithmetic)
    for step in how.steps:
        operand = np.asarray(step.values, arithmetic)
        if step.op == "multiply":
            values = values * operand
        elif step.op == "divide":
            values = values / operand
        elif step.op == "add":
            values = values + operand
        elif step.op == "subtract":
            values = values - operand
        else:
            values = np.clip(np.rint(values), 0, 255)
    return values.astype(dtype)


def line(pixels: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(slope, offset) of each channel, by least squares over (n, channels); a slope of NaN where a
    channel's pixels are all one."""
    x, y = pixels.astype(np.float64), values.astype(np.float64)
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    variance = ((x - mean_x) ** 2).mean(axis=0)
    covariance = ((x - mean_x) * (y - mean_y)).mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(variance > 0, covariance / variance, np.nan)
    return slope, mean_y - slope * mean_x


def exact(
    pixels: np.ndarray, values: np.ndarray, slope: np.ndarray, offset: np.ndarray
) -> list[Normalize]:
    """Every known way to write the line that gives the same bits, the simplest first.

    pixels: (n, channels) as resized. values: the tensor's, of its type.
    """
    if values.dtype.kind != "f" and same(Normalize(), pixels, values):
        return [Normalize()]  # cast from floats, which moves the line by half a step
    found = [how for how in written(slope, offset) if same(how, pixels, values)]
    if not found:
        found = [how for how in _near_bits(pixels, values, slope, offset)]
    return found


def same(how: Normalize, pixels: np.ndarray, values: np.ndarray) -> bool:
    """Whether the steps turn every number of pixels into that of values, in every bit."""
    head, tail = slice(None, SAMPLE), slice(SAMPLE, None)
    return all(
        np.array_equal(compute(how, pixels[part], values.dtype), values[part])
        for part in (head, tail)
    )


def agree(a: Normalize, b: Normalize, whole: bool, channels: int, dtype: np.dtype) -> bool:
    """Whether two ways give the same bits for whatever image: of all 256 bytes, or where pixels
    are floats (not whole), of a million drawn."""
    pixels = np.arange(256, dtype=np.uint8)
    if not whole:
        pixels = np.random.default_rng(0).uniform(0, 255, 1 << 20).astype(np.float32)
    pixels = np.repeat(pixels[:, np.newaxis], channels, axis=1)
    return np.array_equal(compute(a, pixels, dtype), compute(b, pixels, dtype))


def nearest(slope: np.ndarray, offset: np.ndarray) -> Normalize:
    """The way whose line is the nearest to a line, for where none is exact."""

    def distance(how: Normalize) -> float:
        a, b = _line_of(how, len(slope))
        return float(np.max(np.abs(a - slope) * 255 + np.abs(b - offset)) / np.max(np.abs(a) * 255))

    return min(_common(len(slope)), key=distance)


def _line_of(how: Normalize, channels: int) -> tuple[np.ndarray, np.ndarray]:
    ends = np.repeat(np.array([[0.0], [255.0]]), channels, axis=1)
    low, high = compute(how, ends, np.dtype("float64"))
    return (high - low) / 255, low


def _common(channels: int) -> Iterator[Normalize]:
    """What people write, the most frequent first."""
    one = 1 / 255
    yield Normalize()
    ways = [
        (("divide", 255),),
        (("multiply", one),),
        (("divide", 127.5), ("subtract", 1)),
        (("multiply", 1 / 127.5), ("subtract", 1)),
        (("subtract", 127.5), ("divide", 127.5)),
        (("divide", 255), ("subtract", 0.5)),
        (("divide", 255), ("subtract", 0.5), ("multiply", 2)),
        (("divide", 255), ("multiply", 2), ("subtract", 1)),
        (("multiply", one), ("subtract", 0.5), ("multiply", 2)),
        (("multiply", one), ("multiply", 2), ("subtract", 1)),
        (("subtract", 127.5), ("divide", 128)),
        (("subtract", 127), ("divide", 128)),
        (("subtract", 128), ("divide", 128)),
        (("divide", 128), ("subtract", 1)),
    ]
    known = [pair for pair in MEANS_AND_STDS if len(pair[0]) == channels]
    # keras.applications' modes write torch in this way, caffe in that of its own channels
    for mean, std in known:
        for first in (("divide", 255), ("multiply", one)):
            ways.append((first, ("subtract", mean), ("divide", std)))
            ways.append((first, ("subtract", mean)))
        by_255 = [tuple(x * 255 for x in values) for values in (mean, std)]
        ways.append((("subtract", by_255[0]), ("divide", by_255[1])))
        scale = tuple(1 / (s * 255) for s in std)
        shift = tuple(-m / s for m, s in zip(mean, std, strict=True))
        ways.append((("multiply", scale), ("add", shift)))
        scale = tuple(one / s for s in std)
        ways.append((("multiply", scale), ("add", shift)))
    if channels == 3:
        ways.append((("subtract", MODES["caffe"][0].values),))
        ways.append((("subtract", (123.68, 116.779, 103.939)),))
        ways.append((("subtract", (123.675, 116.28, 103.53)), ("divide", (58.395, 57.12, 57.375))))
    for dtype in ("float32", "float64"):
        for way in ways:
            yield Normalize(dtype, steps(*way))


def written(slope: np.ndarray, offset: np.ndarray) -> Iterator[Normalize]:
    """The ways to write a line: what is common, then with numbers of few digits."""
    channels = len(slope)
    if not np.isfinite(slope).all() or (slope == 0).any():
        yield from _common(channels)
        return
    tolerance = 1e-4 * np.max(np.abs(slope)) * 255
    for how in _common(channels):
        a, b = _line_of(how, channels)
        if np.max(np.abs(a - slope)) * 255 + np.max(np.abs(b - offset)) < tolerance:
            yield how
    for dtype in ("float32", "float64"):
        for way in _general(slope, offset):
            yield Normalize(dtype, tuple(Step(op, _short(values)) for op, values in way))


def _general(slope: np.ndarray, offset: np.ndarray) -> Iterator[Sequence[tuple]]:
    inverse = 1 / slope
    scales = [("multiply", values) for values in _round(slope)]
    scales += [("multiply", 1 / values) for values in _round(inverse)]
    scales = [("divide", values) for values in _round(inverse)] + scales
    if np.max(np.abs(offset)) < 1e-6 * np.max(np.abs(slope)) * 255:
        for scale in scales:
            yield (scale,)
        return
    for scale, values in product(scales, _round(offset)):
        yield (scale, ("add", values))
    for values, scale in product(_round(-offset / slope), scales):
        yield (("subtract", values), scale)
    for first in (("divide", 255.0), ("multiply", 1 / 255)):
        for values in _round(-offset / (slope * 255)):
            for std in _round(inverse / 255):
                yield (first, ("subtract", values), ("divide", std))
            for factor in _round(slope * 255):
                yield (first, ("subtract", values), ("multiply", factor))
        for factor, values in product(_round(slope * 255), _round(offset)):
            yield (first, ("multiply", factor), ("add", values))


def _round(values: np.ndarray) -> list[np.ndarray]:
    """Values with few digits that are as good as these."""
    found = []
    for digits in range(9):
        rounded = np.round(values, digits)
        close = np.all(np.abs(rounded - values) <= 2e-6 * np.max(np.abs(values)))
        if close and np.any(rounded) and not any(np.array_equal(rounded, x) for x in found):
            found.append(rounded)
    return found[:2]


def _near_bits(
    pixels: np.ndarray, values: np.ndarray, slope: np.ndarray, offset: np.ndarray
) -> Iterator[Normalize]:
    """x * s + o and (x - m) / s with float32 numbers within a few bits of the line's, for numbers
    that nobody writes by hand: those of a config."""
    if not np.isfinite(slope).all() or (slope == 0).any() or values.dtype != np.float32:
        return
    for ops, first, second in (
        (("multiply", "add"), slope, offset),
        (("subtract", "divide"), -offset / slope, 1 / slope),
        (("divide", "add"), 1 / slope, offset),
    ):
        pairs = [
            _near_pair(ops, pixels[:, i : i + 1], values[:, i : i + 1], first[i], second[i])
            for i in range(len(slope))
        ]
        if all(pairs):
            found = zip(*pairs, strict=True)
            yield Normalize(
                steps=tuple(
                    Step(op, _short(np.array(part))) for op, part in zip(ops, found, strict=True)
                )
            )


def _near_pair(
    ops: tuple[str, str], pixels: np.ndarray, values: np.ndarray, first: float, second: float
) -> tuple[float, float] | None:
    for a, b in product(_neighbours(first), _neighbours(second)):
        how = Normalize(steps=(Step(ops[0], (a,)), Step(ops[1], (b,))))
        if same(how, pixels, values):
            return a, b
    return None


def _neighbours(value: float) -> list[float]:
    """The float32 numbers around a value, the nearest first."""
    around = [np.float32(value)]
    low = high = around[0]
    for _ in range(6):
        low, high = np.nextafter(low, np.float32(-np.inf)), np.nextafter(high, np.float32(np.inf))
        around += [low, high]
    return [float(x) for x in around]


def _short(values: np.ndarray) -> tuple[float, ...]:
    """One number where those of all channels are the same."""
    values = np.atleast_1d(values)
    return tuple(float(x) for x in (values[:1] if np.all(values == values[0]) else values))
