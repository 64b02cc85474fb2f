"""Compares a written directory with Keras, on the user's images or on the samples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasrun_export import (
    answers,
    files,
    image_files,
    images,
    outputs,
    sample_images,
    saved_model,
)
from kerasrun_export.backend import tf
from kerasrun_export.contract import Input, Output
from kerasrun_export.errors import ExportError, ImageError
from kerasrun_export.reference import Reference

# Probabilities: absolute; else relative to the image's largest.
TOLERANCE, LOGITS_TOLERANCE = 1e-5, 1e-4
FREE_SIDE = 32  # of a plain tensor's side that the model leaves free
BATCH = 32  # images that are in memory at a time
ALONE = 8  # of them that are asked for one by one too
# By how many tolerances they may then move: what rounding gives, in float16 too, stays far below
# what other images in the batch do.
ROUNDING = 10


class DifferenceError(ExportError):
    """A graph gives other results than Keras."""


@dataclass(frozen=True)
class Compared:
    """difference: the largest, of a probability where there are any, else relative to the image's
    largest. warnings: what is suspicious in Keras's answers, of the output that answers.
    """

    difference: float
    warnings: Sequence[str]


def compare(
    expected: Reference,
    directory: Path,
    inputs: Sequence[Input],
    paths: Sequence[Path],
    found: Sequence[Output],
    answer: str,
    min_top1: float | None,
    signature: str = outputs.DEFAULT,
    tags: Sequence[str] = (tf.saved_model.SERVING,),
) -> Compared:
    """Compares a signature of a written directory with the reference on images. found: what each
    output is.

    Raises DifferenceError above the tolerance, and ExportError where Keras answers NaN, or an image
    otherwise among others than alone, or the graph does not run.
    """
    largest: dict[str, float] = {}
    spans: dict[str, answers.Span] = {}
    answered, same, total = [], 0, 0
    for tensors in batches(inputs, paths):
        want = expected.predict(tensors)
        answers.check_numbers(want)
        for name, value in want.items():
            if (one := answers.span(value)) is not None:
                spans[name] = one.joined(spans.get(name))
        if not largest:
            _check_alone(expected, tensors, want)
        try:
            got = saved_model.run(directory, tensors, signature, tags)
        except tf.errors.OpError as error:
            lines = error.message.replace("Graph execution error:", "").strip().splitlines()
            reason = " ".join(line.strip() for line in lines[:3])
            if "Could not find variable" in reason:
                reason += (
                    ". The SavedModel keeps no value that its loader finds, as where a tf.Module "
                    "holds a Keras 3 model: give kerasrun-export the .keras file itself, or write "
                    "the SavedModel by Keras's model.export(DIR)"
                )
            raise ExportError(f"TensorFlow cannot run the graph: {reason}") from error
        for name, value in want.items():
            difference = largest_difference(got[name], value, relative=name != "probs")
            largest[name] = max(largest.get(name, 0.0), difference, key=_nan_is_largest)
        if answer in want:
            answered.append(want[answer])
            if want[answer].ndim == 2:
                same += int((class_of(got[answer]) == class_of(want[answer])).sum())
                total += len(want[answer])
    answers.check_kinds(found, spans)
    for name, difference in largest.items():
        if not difference <= _allowed(name):  # NaN too
            raise DifferenceError(
                f"{name}: differ by {difference:.2g} from {expected.description}, more than "
                f"{_allowed(name):.0e}"
            )
    if min_top1 is not None and total and same / total < min_top1:
        raise DifferenceError(
            f"{answer}: {same} of {total} images keep their top class, expected {min_top1:.4g} "
            "of them"
        )
    known = np.concatenate(answered) if answered and answered[0].ndim == 2 else None
    answering = next((each for each in found if each.name == answer), None)
    difference = largest.get("probs", max(largest.values()))
    return Compared(difference, answers.warnings(answering, known))


def _allowed(name: str) -> float:
    return LOGITS_TOLERANCE if name == "logits" else TOLERANCE


def _check_alone(
    expected: Reference, tensors: Mapping[str, np.ndarray], together: Mapping[str, np.ndarray]
) -> None:
    """Raises ExportError where the reference answers an image otherwise with others in the batch
    than alone: whoever serves it joins and parts batches.

    together: what it answered to the tensors.
    """
    rows = len(next(iter(tensors.values())))
    if rows == 1:  # the other one is made of it: all that it has, in reverse order
        reversed_ = {name: x.ravel()[::-1].reshape(x.shape) for name, x in tensors.items()}
        tensors = {name: np.concatenate([x, reversed_[name]]) for name, x in tensors.items()}
        rows, together = 2, expected.predict(tensors)
    count = min(rows, ALONE)
    single = [expected.predict({k: x[i : i + 1] for k, x in tensors.items()}) for i in range(count)]
    for name, among in together.items():
        shape = single[0][name].shape
        if shape[:1] != (1,) or among.shape != (rows, *shape[1:]):
            raise ExportError(
                f"{name}: expected a row for each image, got the shape {among.shape} for {rows} "
                f"of them and {shape} for one"
            )
        alone = np.concatenate([answer[name] for answer in single])
        moved = largest_difference(alone, among[:count], relative=name != "probs")
        if not moved <= ROUNDING * _allowed(name):
            raise ExportError(
                f"{name}: expected the same answer for an image whatever else is in the batch, got "
                f"one that differs by {moved:.2g} alone from that among others, in "
                f"{expected.description}: a layer computes over the whole batch (its mean, its "
                "largest, a softmax over axis 0, batch normalization in training)"
            )


def class_of(values: np.ndarray) -> np.ndarray:
    """The class of each row; of a single sigmoid which side of a half it is on."""
    return values.argmax(1) if values.shape[1] > 1 else values[:, 0] > 0.5


def _nan_is_largest(value: float) -> float:
    return np.inf if np.isnan(value) else value


def batches(inputs: Sequence[Input], paths: Sequence[Path]) -> Iterator[dict[str, np.ndarray]]:
    """The tensors of each input by name, of images and of numbers drawn for other inputs.

    Several inputs of images get another image each, so that it shows where they are exchanged.
    """
    random = np.random.default_rng(0)
    free = any(-1 in each.size for each in inputs if each.kind == "image")
    step = 1 if free else BATCH
    for start in range(0, len(paths), step):
        rows, tensors = range(start, min(start + step, len(paths))), {}
        taken = 0  # images of a row
        for each in inputs:
            part = [paths[(row + taken) % len(paths)] for row in rows]
            taken += each.kind != "tensor"
            if each.kind == "image":
                made = [images.stages(each, path).tensor for path in part]
                tensors[each.name] = np.stack(made)
            elif each.kind == "encoded":
                encoded = [files.read(path, files.IMAGE) for path in part]
                tensors[each.name] = np.array(encoded, object)
            else:
                # a sequence, and what has no image's channels, needs more than one step
                free = FREE_SIDE if len(each.shape) > 2 else 1
                shape = (len(part), *(free if side < 0 else side for side in each.shape[1:]))
                drawn = random.random(shape, np.float32)
                tensors[each.name] = drawn.astype(tf.as_dtype(each.dtype).as_numpy_dtype)
        yield tensors


def largest_difference(got: np.ndarray, want: np.ndarray, relative: bool) -> float:
    """The largest |got - want| of a batch; relative: divided by each row's largest |want|.

    Where a row is one number, which may happen to be near 0, by the batch's largest.
    """
    got, want = (values.reshape(len(values), -1).astype(np.float64) for values in (got, want))
    largest = np.abs(want).max(axis=1 if want.shape[1] > 1 else None) if relative else 1.0
    smallest = np.finfo(np.float32).tiny
    return float((np.abs(got - want).max(axis=1) / np.maximum(largest, smallest)).max())


def image_paths(directory: Path | None, inputs: Sequence[Input]) -> list[Path]:
    """The images to compare on: the user's, or of the samples those that the model's decoder reads.
    TensorFlow's, for instance, reads no WebP in grey.
    """
    if directory is None:
        return _readable_samples(inputs)
    return image_files.below(directory)


def _readable_samples(inputs: Sequence[Input]) -> list[Path]:
    """Raises ImageError where none is readable, as where cv2 is not installed."""
    readable, failed = [], None
    for path in sample_images.paths():
        try:
            for each in inputs:
                if each.kind == "image":
                    images.stages(each, path)
            readable.append(path)
        except ImageError as error:
            failed = error
    if not readable:
        raise failed
    return readable
