"""Writes a golden pack: images, what each becomes stage by stage, and what the reference answers.

docs/parity.md describes the files. Tolerances of the outputs are measured on the pack's own images:
what the reference itself moves by when it runs them one by one and in batches.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from kerasrun_export import files, images
from kerasrun_export.contract import Input
from kerasrun_export.errors import GoldenError
from kerasrun_export.reference import Reference
from kerasrun_export.signature import unique

FORMAT = 2
SIGNATURE = "serving_default"
TOP = 5
STAGES = {"decode": 0, "resize": 0, "tensor": 0}  # before the model everything is exact
ABSOLUTE, RELATIVE = 1e-5, 1e-4
MARGIN = 10
BATCH = 16
FOUND = (
    f"{MARGIN} times `measured`, what the reference itself moves by when it runs the cases one by "
    f"one and in batches; at least {ABSOLUTE:g} for outputs of a softmax or sigmoid, at least "
    f"{RELATIVE:g} of the largest |value| of all cases for others"
)
FOUND_INT8 = (
    "`measured`, what TensorFlow's simulation in float32 differs by; at least "
    f"{ABSOLUTE:g} for outputs of a softmax or sigmoid, at least {RELATIVE:g} of the largest "
    "|value| of all cases for others"
)
INPUT = "inputs/"  # before the names of an npz's tensors of plain inputs

Predict = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """An image and what was made of it: every input's tensor and every output, without a batch.

    tensors: none for an input of kind "encoded": the image's bytes are it.
    """

    image: Path
    tensors: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]


def cases(
    inputs: Sequence[Input], paths: Sequence[Path], predict: Predict, drawn: Collection[str] = ()
) -> list[Case]:
    """The cases of images whose tensors are made as the inputs say; each is predicted alone.

    drawn: the names of plain inputs that get numbers drawn for each image, as the exporter's own
        packs do. Raises GoldenError where another plain input has no tensor, and ImageError.
    """
    made = []
    for path in paths:
        tensors = {one.name: _tensor(one, path, drawn) for one in inputs}
        answers = predict({name: tensor[np.newaxis] for name, tensor in tensors.items()})
        outputs = {key: value[0] for key, value in answers.items()}
        kept = {one.name: tensors[one.name] for one in inputs if one.kind != "encoded"}
        made.append(Case(path, kept, outputs))
    return made


def _tensor(one: Input, path: Path, drawn: Collection[str]) -> np.ndarray:
    if one.kind == "image":
        return images.stages(one, path).tensor
    if one.kind == "encoded":
        return np.array(files.read(path, files.IMAGE), object)
    if one.name not in drawn:
        raise GoldenError(
            f"{one.name}: expected an input of images, got a plain tensor of {one.shape}, which no "
            "image gives: name your own function that feeds it, --predict MODULE:FUNCTION"
        )
    shape = tuple(1 if side < 0 else side for side in one.shape[1:])
    seed = list(f"{one.name} {path.name}".encode())
    numbers = np.random.default_rng(seed).normal(size=shape)
    return (
        numbers.astype(one.dtype) if one.dtype.startswith("float") else np.zeros(shape, one.dtype)
    )


def tolerances(
    made: Sequence[Case], predict: Predict, bounded: Collection[str], margin: int = MARGIN
) -> tuple[dict[str, float], dict[str, float]]:
    """(tolerance, what was measured) of each output, as |difference|.

    bounded: the outputs that a softmax or sigmoid gives. An image is predicted in a batch of those
        of its size, and of copies of itself. margin: times what was measured.
    """
    measured = dict.fromkeys(made[0].outputs, 0.0)
    largest = dict.fromkeys(made[0].outputs, 0.0)
    groups: dict[tuple, list[Case]] = {}
    for case in made:
        shapes = tuple((name, tensor.shape) for name, tensor in case.tensors.items())
        groups.setdefault(shapes, []).append(case)
        for key, value in case.outputs.items():
            largest[key] = max(largest[key], float(np.max(np.abs(value), initial=0)))
    for group in groups.values():
        for start in range(0, len(group), BATCH):
            rows = (group[start : start + BATCH] * BATCH)[:BATCH]
            if not rows[0].tensors:  # encoded images have no tensors to stack
                continue
            batch = {name: np.stack([r.tensors[name] for r in rows]) for name in rows[0].tensors}
            try:
                answers = predict(batch)
            except Exception:  # a model of a fixed batch has nothing to compare with
                continue
            for key, value in answers.items():
                for row, case in zip(value, rows, strict=True):
                    off = np.abs(row.astype(np.float64) - case.outputs[key].astype(np.float64))
                    measured[key] = max(measured[key], float(np.max(off, initial=0)))
    tolerance = {
        key: max(ABSOLUTE if key in bounded else RELATIVE * largest[key], margin * measured[key])
        for key in measured
    }
    return tolerance, measured


def write(
    directory: Path,
    inputs: Sequence[Input],
    made: Sequence[Case],
    expected: Reference,
    *,
    kind: Literal["function", "manifest"],
    bounded: Collection[str],
    command: str,
    signature: str = SIGNATURE,
    simulation: Predict | None = None,
) -> dict:
    """Writes a pack; returns what goldens.json holds.

    expected: the reference that answered; its `predict` is run again in batches. kind: whether the
        user's own function made the tensors, or the contract of a manifest. signature: that it
        answered as. simulation: of a quantized graph, whose reference is in whole numbers: what
        TensorFlow answers in float32, where roundings add up otherwise.
    """
    check_inputs(inputs)
    if simulation is None:
        tolerance, measured = tolerances(made, expected.predict, bounded)
    else:
        tolerance, measured = tolerances(made, simulation, bounded, margin=1)
    directory.mkdir(parents=True, exist_ok=True)
    listed = []
    for case, name in zip(made, case_names([case.image for case in made]), strict=True):
        image = directory / f"{name}{case.image.suffix.lower()}"
        shutil.copyfile(case.image, image)
        np.savez_compressed(directory / f"{name}.npz", **arrays(inputs, case))
        listed.append({"name": name, "image": image.name, "arrays": f"{name}.npz"})
    index = {
        "format": FORMAT,
        "reference": expected.description,
        "reference_kind": kind,
        "command": command,
        "versions": expected.versions,
        "signature": signature,
        "inputs": [one.to_json() for one in inputs],
        "outputs": sorted(made[0].outputs),
        "top": TOP,
        "tolerance": STAGES | tolerance,
        "measured": measured,
        "tolerance_found": FOUND if simulation is None else FOUND_INT8,
        "cases": listed,
    }
    text = json.dumps(index, indent=2, ensure_ascii=False) + "\n"
    (directory / "goldens.json").write_text(text, encoding="utf-8")
    return index


def check_inputs(inputs: Sequence[Input]) -> None:
    """Raises GoldenError where the inputs take several images."""
    taken = [one.name for one in inputs if one.kind != "tensor"]
    if len(taken) > 1:
        raise GoldenError(
            f"expected a model with one input of images, got {', '.join(taken)}: a case is one "
            "image. Compare such a model by kerasrun predict, on tensors that your own code made"
        )


def arrays(inputs: Sequence[Input], case: Case) -> dict[str, np.ndarray]:
    """What the npz of a case holds, by name."""
    held = dict(case.outputs)
    for one in inputs:
        if one.kind == "image":
            staged = images.stages(one, case.image)
            held |= {"decoded": staged.decoded, "resized": staged.resized}
            held["tensor"] = case.tensors[one.name]
        elif one.kind == "tensor":
            held[INPUT + one.name] = case.tensors[one.name]
    return held


def case_names(paths: Sequence[Path]) -> list[str]:
    """Each image's name without its suffix, or with it where another has the same; numbered where
    that is not enough: folders of classes often have images of one name.
    """
    stems = Counter(path.stem.lower() for path in paths)
    return unique(
        [p.stem if stems[p.stem.lower()] == 1 else p.name.replace(".", "_") for p in paths]
    )
