"""Tells at which stage a tensor parts from the one that a contract makes: decode, resize or
normalize.

What is done to numbers one by one keeps equal pixels equal, or larger ones larger. What another
resize makes is for the most part explained by the pixels around, or lies elsewhere; what is done
after it may lie at the same places in every image. What is neither was done to the decoded image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerasrun_export import normalization

CLOSE = 0.02  # of a pixel's 255 steps: what rounding alone may make
RARE = 0.25  # the same where it is 1 number of 1,000
SAMPLE = 4096  # pixels looked at
ALIKE = 0.5  # correlation of the differences of two images
EXPLAINED = 0.25  # of the difference, by other filters
FALLS = 0.002  # of the steps from one pixel to the next larger one
MOVED = 0.7  # of the difference, what is left where tiles are moved
REACH = 4  # pixels by which they are


@dataclass(frozen=True)
class Compared:
    """An image as the contract has it, and as the tensor has it.

    resized: (height, width, channels), what the contract's resize gives. values: the tensor's
    numbers in the same order. others: the same decoded image by other filters, and moved by some
    pixels before it is resized.
    """

    resized: np.ndarray
    values: np.ndarray
    others: Sequence[np.ndarray] = ()


def unexplained(pixels: np.ndarray, values: np.ndarray, chunks: int = 24) -> np.ndarray:
    """What of values, (n, channels), is no function of the pixels, in steps of a pixel; of channels
    whose pixels or values are all one, infinite.

    The function is drawn through the means of so many chunks of the pixels, around a line.
    """
    slope, offset = normalization.line(pixels, values)
    if not np.isfinite(slope).all() or (slope == 0).any():
        return np.full(values.shape, np.inf)
    left = values - (offset + slope * pixels)
    for channel in range(values.shape[1]):
        x, y = pixels[:, channel], left[:, channel]
        order = np.argsort(x, kind="stable")
        starts = np.linspace(0, len(x), min(chunks, len(x)), endpoint=False).astype(int)
        if chunks >= 256 and np.array_equal(x, np.rint(x)):  # one for each value
            starts = np.flatnonzero(np.diff(x[order], prepend=-np.inf))
        sizes = np.diff([*starts, len(x)])
        at = np.add.reduceat(x[order].astype(np.float64), starts) / sizes
        mean = np.add.reduceat(y[order], starts) / sizes
        same = np.flatnonzero(np.diff(at, prepend=-np.inf))  # chunks of one pixel value each
        count = np.add.reduceat(sizes, same)
        mean = np.add.reduceat(mean * sizes, same) / count
        left[:, channel] = y - np.interp(x, at[same], mean)
    return left / slope


def differs(compared: Sequence[Compared]) -> str:
    """The first stage that makes a difference, over some images."""
    left = []
    for one in compared:
        pixels, values = (_flat(x) for x in (one.resized, one.values))
        left.append(unexplained(pixels, values, chunks=256))
    off = np.abs(np.concatenate([x.ravel() for x in left]))
    off = off[np.isfinite(off)]
    if not off.size or (off.mean() < CLOSE and np.quantile(off, 0.999) < RARE):
        return "normalize"
    if all(_rises(one) for one in compared):
        return "normalize"
    left = [x.reshape(one.resized.shape) for x, one in zip(left, compared, strict=True)]
    pairs = [(x, one) for x, one in zip(left, compared, strict=True) if np.isfinite(x).all()]
    if _in_the_same_places([x for x, _ in pairs]):
        return "resize"
    by_filters = np.mean([_filtered(x, one) for x, one in pairs])
    return "resize" if by_filters > EXPLAINED or _is_moved(pairs) else "decode"


def _flat(image: np.ndarray) -> np.ndarray:
    return image.reshape(-1, image.shape[2]).astype(np.float64)


def _rises(one: Compared) -> bool:
    """Whether a larger pixel has a larger number everywhere, or a smaller one everywhere."""
    pixels, values = _flat(one.resized), _flat(one.values)
    order = np.argsort(pixels, axis=0, kind="stable")
    pixels, values = (np.take_along_axis(x, order, axis=0) for x in (pixels, values))
    apart = np.diff(pixels, axis=0) > 1e-3
    steps = np.diff(values, axis=0)[apart]
    falls = min((steps < 0).sum(), (steps > 0).sum())
    return bool(falls <= FALLS * steps.size)


def _in_the_same_places(left: Sequence[np.ndarray]) -> bool:
    """Whether images of one size differ alike."""
    if len(left) < 2 or len({x.shape for x in left}) > 1:
        return False
    found = [np.corrcoef(left[0].ravel(), x.ravel())[0, 1] for x in left[1:]]
    return bool(np.mean(found) > ALIKE)


def _filtered(left: np.ndarray, one: Compared) -> float:
    """The share of a difference that other filters, and the pixels around, explain."""
    image = one.resized.astype(np.float64)
    around = [
        np.roll(image, (dy, dx), (0, 1)) - image
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
        if (dy, dx) != (0, 0)
    ]
    around += [other.astype(np.float64) - image for other in one.others]
    inner = (slice(1, -1), slice(1, -1))
    total = explained = 0.0
    for channel in range(image.shape[2]):
        y = left[*inner, channel].ravel()
        x = np.stack([other[*inner, channel].ravel() for other in around], axis=1)
        few = slice(None, None, max(1, len(y) // SAMPLE))
        y, x = y[few], x[few]
        if len(y) < 4 * x.shape[1]:
            continue
        square = x.T @ x
        square += np.eye(len(square)) * (1e-9 * np.trace(square) + 1e-12)  # some are alike
        weights = np.linalg.solve(square, x.T @ y)
        total += float(np.sum(y**2))
        explained += float(np.sum(y**2) - np.sum((y - x @ weights) ** 2))
    return explained / total if total else 0.0


def _is_moved(pairs: Sequence[tuple[np.ndarray, Compared]]) -> bool:
    """Whether the images are elsewhere: not alike at all, or their tiles are nearer where they are
    moved by some pixels."""
    here = moved = apart = 0.0
    for _, one in pairs:
        image, values = (x.astype(np.float64).mean(axis=2) for x in (one.resized, one.values))
        apart += _off_a_line(image.ravel(), values.ravel()) / (float(values.std()) or 1.0)
        tile = max(8, min(image.shape) // 4)
        for top in range(REACH, image.shape[0] - tile - REACH + 1, tile):
            for left in range(REACH, image.shape[1] - tile - REACH + 1, tile):
                want = values[top : top + tile, left : left + tile].ravel()
                distances = {}
                for dy in range(-REACH, REACH + 1):
                    for dx in range(-REACH, REACH + 1):
                        y, x = top + dy, left + dx
                        at = image[y : y + tile, x : x + tile].ravel()
                        distances[dy, dx] = _off_a_line(at, want)
                here += distances[0, 0]
                moved += min(distances.values())
    return apart > MOVED * len(pairs) or (here > 0 and moved < MOVED * here)


def _off_a_line(pixels: np.ndarray, values: np.ndarray) -> float:
    """The root of the mean square that the best line leaves of values."""
    x, y = pixels - pixels.mean(), values - values.mean()
    variance = float(x @ x)
    slope = float(x @ y) / variance if variance else 0.0
    return float(np.sqrt(np.mean((y - slope * x) ** 2)))
