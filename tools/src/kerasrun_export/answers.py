"""Looks at a model's answers on images for what a right export never has: a warning each."""

from collections.abc import Mapping

import numpy as np

from kerasrun_export.backend import keras
from kerasrun_export.contract import Output
from kerasrun_export.errors import ExportError
from kerasrun_export.layers import walk

SATURATED = 0.9999
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
