"""Looks at a model's answers on images for what a right export never has: a warning each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kerasrun_export.backend import keras
from kerasrun_export.contract import Output
from kerasrun_export.errors import ChoiceError, ExportError
from kerasrun_export.layers import walk

SATURATED = 0.9999
ROUNDED = 1e-2  # how far from 0 to 1, and from a sum of 1, probabilities may be for rounding
ROUNDED_FAR = 0.1  # and what a sum over thousands of classes in bfloat16 may make of it
FEWEST = 4  # images that have to be there before sameness says something


def check_numbers(answers: Mapping[str, np.ndarray]) -> None:
    """Raises ExportError where an answer of Keras itself is not a number."""
    for name, values in answers.items():
        if values.dtype.kind == "f" and np.isnan(values).any():
            rows = np.isnan(values).reshape(len(values), -1).any(axis=1)
            raise ExportError(
                f"{name}: Keras answers {int(rows.sum())} of {len(rows)} images with NaN: expected "
                "a model that gives numbers; look for NaN in its weights, or for images that were "
                "to be scaled before they reach it"
            )


@dataclass(frozen=True)
class Span:
    """What an output's numbers are over images. off: by how much their sum of an image is from 1
    where that is the farthest; infinite of other ranks than (images, classes)."""

    images: int
    low: float
    high: float
    off: float
    last: int  # side

    @property
    def inside(self) -> bool:
        """Whether they may be probabilities, each by itself."""
        return self.low >= -ROUNDED and self.high <= 1 + ROUNDED

    def adds_up(self, rounded: float) -> bool:
        """Whether they may be those of classes that exclude each other."""
        return self.inside and self.off <= rounded

    def joined(self, other: "Span | None") -> "Span":
        """Of the images of both."""
        if other is None:
            return self
        return Span(
            self.images + other.images,
            min(self.low, other.low),
            max(self.high, other.high),
            max(self.off, other.off),
            self.last,
        )


def span(values: np.ndarray) -> Span | None:
    """That of (images, ...); None where they are no numbers."""
    if values.dtype.kind != "f" or values.ndim < 2 or values.size == 0:
        return None
    off = np.abs(values.sum(axis=1) - 1).max() if values.ndim == 2 else np.inf
    low, high = float(values.min()), float(values.max())
    return Span(len(values), low, high, float(off), values.shape[-1])


def check_kinds(found: Sequence[Output], spans: Mapping[str, Span]) -> None:
    """Raises ChoiceError where numbers are not those of the kind that was said of an output."""
    names = {output.name for output in found}
    for output in found:
        name, kind, numbers = output.name, output.kind, spans.get(output.name)
        if numbers is None or (name == "logits" and "probs" in names):
            continue  # the model's own, before its activation
        said = f"{name} is said to be {kind}, but its numbers"
        between = f"{said} are from {numbers.low:.4g} to {numbers.high:.4g}"
        certain = numbers.adds_up(ROUNDED) and numbers.last > 1 and numbers.images >= FEWEST
        if kind == "logits" and output.activation == "softmax" and certain:
            raise ChoiceError(
                f"{said} are probabilities already: of each image they are between 0 and 1, and "
                f"add up to 1. Expected --kind {name}=probabilities and no --activation"
            )
        if kind == "probabilities" and not numbers.adds_up(ROUNDED_FAR):
            raise ChoiceError(
                f"{between} and do not add up to 1 for each image: expected --activation softmax "
                f"for logits, or --kind {name}=multilabel"
            )
        one = kind == "map" and numbers.last == 1
        if (kind in ("binary", "multilabel") or one) and not numbers.inside:
            end = "end the model with a sigmoid" if one else "expected --activation sigmoid"
            raise ChoiceError(
                f"{between}, not between 0 and 1 as a sigmoid's: {end}, where they are logits"
            )


def warnings(answer: Output | None, values: np.ndarray | None) -> list[str]:
    """What is suspicious in the answers, (images, ...)."""
    if answer is None or values is None or values.ndim != 2 or len(values) < FEWEST:
        return []
    found, count = [], len(values)
    if answer.kind in ("probabilities", "logits", "multilabel") and values.shape[1] > 1:
        classes = np.unique(values.argmax(axis=1))
        if len(classes) == 1:
            found.append(
                f"the same class, {classes[0]}, for each of {count} images: is the model trained, "
                "and are images made as in its training?"
            )
    elif answer.kind == "binary":
        sides = np.unique(values > answer.thresholds[0])
        if len(sides) == 1:
            found.append(
                f"the same of two classes for each of {count} images: is the model trained, and "
                "are images made as in its training?"
            )
    elif answer.kind in ("regression", "embedding") and np.ptp(values, axis=0).max() == 0:
        found.append(f"the same answer for each of {count} images: is the model trained?")
    if answer.kind in ("probabilities", "binary", "multilabel"):
        surest = values.max(axis=1) if answer.kind == "probabilities" else None
        if surest is None:
            surest = np.maximum(values, 1 - values).min(axis=1)
        if values.shape[1] > 1 or answer.kind != "probabilities":
            if surest.min() > SATURATED:
                found.append(
                    f"every answer is over {SATURATED} sure: images are likely not scaled as in "
                    "the model's training"
                )
        else:
            found.append("a softmax over one class is always 1: a sigmoid was meant")
    return found


def untrained(model: keras.Model) -> list[str]:
    """Whether every batch normalisation is as it was built: mean 0, variance 1."""
    try:
        layers = list(walk(model))
    except (AttributeError, ValueError):  # of a subclassed model
        return []
    norms = [layer for layer in layers if type(layer).__name__ == "BatchNormalization"]
    plain = [
        not np.any(np.asarray(norm.moving_mean)) and np.all(np.asarray(norm.moving_variance) == 1)
        for norm in norms
    ]
    if not norms or not all(plain):
        return []
    return [
        f"every batch normalisation (of {len(norms)}) has mean 0 and variance 1, as before any "
        "training: is this the trained model?"
    ]
