"""Holds a contract against answers that somebody wrote down: the model run on its tensors."""

import csv
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from kerasrun_export import files, images
from kerasrun_export.contract import Input
from kerasrun_export.errors import FindError

EXPONENTS = 400  # more than those of float64
FLOOR = 1e-5  # what float32 sums may differ by from one machine to the next


def check(model, inputs: Sequence[Input], expect: Path, directory: Path) -> str:
    """Runs a model on a contract's tensors of each image that has an answer, and compares.

    model: a Keras model. inputs: one, of images. expect: JSON of paths, relative to the directory,
        to a number or a list of numbers, or CSV with a path and numbers in each line. A number may
        be off by 1e-5 and half a unit of its last digit.

    Returns what was found in words. Raises FindError where an answer differs.
    """
    if len(inputs) != 1 or inputs[0].kind != "image":
        kinds = [one.kind for one in inputs]
        raise FindError(f"--expect: expected a contract with one input of images, got {kinds}")
    answers = read(expect)
    largest = 0.0
    for name, numbers in answers.items():
        path = directory / name
        if not path.is_file():
            raise FindError(f"{expect}: expected the paths of images in {directory}, got {name}")
        tensor = images.stages(inputs[0], path).tensor
        got = np.asarray(model.predict(tensor[np.newaxis], verbose=0)).reshape(-1)
        if len(got) != len(numbers):
            raise FindError(
                f"{path}: expected {len(numbers)} numbers, as {expect} has, got {len(got)}"
            )
        for i, (have, want) in enumerate(zip(got, numbers, strict=True)):
            half = Decimal(5).scaleb(want.as_tuple().exponent - 1)
            off = abs(float(have) - float(want))
            if not off <= FLOOR + float(half):
                top = "the top class differs too" if _top(got, numbers) else "the top class agrees"
                raise FindError(
                    f"{path}: expected {want} as number {i}, as {expect} has, got {have:.6g}; "
                    f"{top}. The contract is not how those answers were made: find it from the "
                    "function itself, kerasrun-contract find --predict"
                )
            largest = max(largest, off)
    return f"{len(answers)} answers as expected; the largest difference is {largest:.3g}"


def _top(got: np.ndarray, want: Sequence[Decimal]) -> bool:
    return int(np.argmax(got)) != max(range(len(want)), key=want.__getitem__)


def read(path: Path) -> dict[str, tuple[Decimal, ...]]:
    """The answers of a .json or .csv file, by path. Raises FindError."""
    data = files.read(path, files.TEXT)
    try:
        text = data.decode("utf-8-sig")
        if path.suffix.lower() == ".csv":
            rows = [row for row in csv.reader(text.splitlines()) if row]
            if rows and not _is_number(rows[0][-1]):
                rows = rows[1:]  # a header
            pairs = [(row[0], row[1:]) for row in rows]
        else:
            stored = files.parse_json(text, parse_float=Decimal, parse_int=Decimal)
            pairs = [(k, v if isinstance(v, list) else [v]) for k, v in stored.items()]
        answers = {name: tuple(Decimal(x) for x in numbers) for name, numbers in pairs}
        _check_numbers(answers)
    except (ValueError, TypeError, AttributeError, InvalidOperation, csv.Error) as error:
        raise FindError(
            f'{path}: expected {{"cat.jpg": [0.1, 0.9]}} or CSV lines cat.jpg,0.1,0.9, got '
            f"{type(error).__name__}: {error}"
        ) from error
    if not answers or not all(answers.values()):
        raise FindError(f"{path}: expected numbers for each image, got none")
    return answers


def _check_numbers(answers: dict[str, tuple[Decimal, ...]]) -> None:
    for name, numbers in answers.items():
        for number in numbers:
            exponent = number.as_tuple().exponent  # a letter of what is not finite
            if not number.is_finite() or abs(exponent) > EXPONENTS:
                raise ValueError(f"{name} has {number}")


def _is_number(text: str) -> bool:
    try:
        Decimal(text)
    except InvalidOperation:
        return False
    return True
