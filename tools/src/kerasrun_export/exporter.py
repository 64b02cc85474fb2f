"""Exports a Keras model as a SavedModel directory with its manifest, checked against Keras."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from kerasrun_export import (
    flops,
    goldens,
    manifest,
    node_names,
    recipe,
    rewrite,
    sample_images,
    saved_model,
    serving,
)
from kerasrun_export.backend import keras, tf
from kerasrun_export.class_names import IMAGENET, encode, from_names
from kerasrun_export.errors import ExportError
from kerasrun_export.preprocessing import MODES, preprocess
from kerasrun_export.reference import Reference, reference

GRAPHS = ("optimized", "reference")
# Probabilities: absolute; else relative to the image's largest.
TOLERANCE, LOGITS_TOLERANCE = 1e-5, 1e-4
EMBEDDED = ("astronaut.png", "cat.jpg", "coffee.jpg", "flower.webp")
EMBEDDED_SIDE = 160  # pixels: four images of it and their arrays stay under 1.5 MB at 224 x 224


def export(
    model: keras.Model,
    out: str | os.PathLike,
    *,
    trained_with: Literal["caffe", "tf", "torch", "none"],
    class_names: Sequence[str] | None = None,
    image_size: tuple[int, int] | None = None,
    graph: Literal["optimized", "reference"] = "optimized",
) -> dict:
    """Exports a live Keras model, after training: writes a SavedModel directory with its manifest.

    model: functional or Sequential, with one input (batch, height, width, 3) float32, or (batch, 3,
        height, width). It is not changed. Augmentation and dropout do nothing in the export.
    out: the directory to write. An earlier export there is replaced; anything else there is an
        error.
    trained_with: how images were preprocessed before they reached the model: "caffe" (BGR, 0 to
        255, ImageNet's means subtracted), "tf" (RGB, -1 to 1), "torch" (RGB, 0 to 1, ImageNet's
        means subtracted, divided by its deviations) or "none" (RGB, 0 to 255: a model that begins
        with `Rescaling` takes these).
    class_names: a name for each class, in the order of the model's outputs.
    image_size: (height, width) in pixels, where the model's own is free.
    graph: "optimized", rewritten to run faster with the same results, or "reference", as Keras has
        it.

    The SavedModel takes `images`, (batch, height, width, 3) float32, NHWC, caffe style whatever
    trained_with says: its graph begins with the conversion. It gives `probs` and `logits`, (batch,
    classes) float32, where the model ends in a softmax or sigmoid, and else the model's own
    outputs. Before the directory is put in place the sample photographs are run through it:
    probabilities have to be within 1e-5 of Keras's, other outputs within 1e-5 (logits: 1e-4) of the
    image's largest.

    Returns the manifest's fields. Raises ExportError, whose message is one line, where the model
    cannot be exported or gives other results than Keras, and OSError where files cannot be written;
    then nothing is left behind and what was there stays.
    """
    if trained_with not in MODES:
        raise ExportError(f"trained_with: expected one of {', '.join(MODES)}, got {trained_with!r}")
    if graph not in GRAPHS:
        raise ExportError(f"graph: expected one of {', '.join(GRAPHS)}, got {graph!r}")
    rows = None if class_names is None else from_names(class_names)
    with tf.device("/CPU:0"):
        loaded = recipe.from_model(_on_cpu(model), trained_with, image_size)
    command = f"kerasrun_export.export(model, trained_with={trained_with!r})"
    return write(loaded, Path(out), {}, command, graph, rows)


def write(
    loaded: recipe.Loaded,
    out: Path,
    made_by: dict,
    command: str,
    graph: str,
    rows: Sequence[Sequence[str]] | None,
) -> dict:
    """Writes the directory, checked against the reference, and returns its manifest's fields.

    made_by: the recipe, as the manifest keeps it. command: what makes the goldens again.
    rows: (id, name) of each class; None: ImageNet's where the classes are those, else none.
    """
    check_replaceable(out)
    class_bytes = _class_names(rows, loaded)
    height, width = loaded.size
    with tf.device("/CPU:0"):  # GPUs take TensorFloat-32
        served = serving.trace(loaded.model, headless=loaded.headless, caffe=loaded.mode)
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            directory = Path(scratch) / out.name
            write_graph(served, directory, graph)
            expected = reference(served, loaded.architecture if loaded.published else "")
            difference = compare(expected, directory, (height, width))
            contract = manifest.input_contract(height, width)
            (directory / manifest.LABELS.parent).mkdir(exist_ok=True)
            if class_bytes:
                (directory / manifest.LABELS).write_bytes(class_bytes)
            embed_goldens(directory, expected, contract, command)
            fields = {
                "architecture": loaded.architecture,
                "graph": graph,
                "precision": "float32",
                "parameters": flops.parameters(loaded.model),
                "flops": flops.count(loaded.model),
                "weights": loaded.weights,
                "trained_with": loaded.mode,
                "conversion": serving.CONVERSIONS[loaded.mode],
                "reference_difference": difference,
                "input": contract,
                "outputs": served.signatures,
                "labels": manifest.LABELS.as_posix() if class_bytes else "",
                "goldens": manifest.GOLDENS.as_posix(),
                "recipe": made_by,
            }
            manifest.write(directory, fields)
            replace(directory, out)
    return fields


def _on_cpu(model: keras.Model) -> keras.Model:
    """The model itself where its weights are on the CPU, else a copy there."""
    if not any("GPU" in variable.value.device for variable in model.variables):
        return model
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def write_graph(served: serving.Served, directory: Path, kind: str) -> None:
    """Writes the SavedModel alone, of the "reference" graph or of the "optimized" one."""
    if kind == "reference":
        saved_model.write_reference(served, directory)
        return
    graph = serving.frozen(served)
    rewrite.optimize(graph)
    node_names.rename(graph, served.model.name, served.layers)
    saved_model.write_rewritten(graph, served, directory)


def compare(expected: Reference, directory: Path, size: tuple[int, int]) -> float:
    """Compares a written directory with the reference on the sample photographs.

    Returns the largest difference: of probabilities where there are any, else relative to the
    image's largest. Raises ExportError above the tolerance.
    """
    images = preprocess(sample_images.pixels(*size), "caffe")
    want = expected.predict({"images": images})
    try:
        got = saved_model.run(directory, images)
    except tf.errors.OpError as error:
        lines = error.message.replace("Graph execution error:", "").strip().splitlines()
        reason = " ".join(line.strip() for line in lines[:3])
        raise ExportError(f"TensorFlow cannot run the graph: {reason}") from error
    differences = {
        key: largest_difference(got[key], value, relative=key != "probs")
        for key, value in want.items()
    }
    for key, difference in differences.items():
        allowed = LOGITS_TOLERANCE if key == "logits" else TOLERANCE
        if not difference <= allowed:  # NaN too
            raise ExportError(
                f"{key}: differ by {difference:.2g} from {expected.description}, more than "
                f"{allowed:.0e}"
            )
    return differences.get("probs", max(differences.values()))


def largest_difference(got: np.ndarray, want: np.ndarray, relative: bool) -> float:
    """The largest |got - want| of a batch; relative: divided by each row's largest |want|."""
    got, want = (values.reshape(len(values), -1).astype(np.float64) for values in (got, want))
    largest = np.abs(want).max(axis=1) if relative else 1.0
    smallest = np.finfo(np.float32).tiny
    return float((np.abs(got - want).max(axis=1) / np.maximum(largest, smallest)).max())


def embed_goldens(directory: Path, expected: Reference, contract: dict, command: str) -> None:
    """Puts a small golden pack, of four small sample photographs, into the directory."""
    with tempfile.TemporaryDirectory() as scratch:
        paths = []
        for name in EMBEDDED:
            with Image.open(sample_images.DIRECTORY / name) as image:
                image.thumbnail((EMBEDDED_SIDE, EMBEDDED_SIDE))
                image.save(Path(scratch) / name)
            paths.append(Path(scratch) / name)
        goldens.write(directory / manifest.GOLDENS, expected, contract, paths, command)


def _class_names(rows: Sequence[Sequence[str]] | None, loaded: recipe.Loaded) -> bytes | None:
    """What labels.json holds: ImageNet's class names, or the user's in the same form."""
    if rows is None:
        return IMAGENET.read_bytes() if loaded.imagenet_classes else None
    if loaded.headless:
        raise ExportError("class names: a model without its top has no classes")
    classes = loaded.model.output_shape[-1]
    if len(rows) != classes:
        raise ExportError(f"class names: expected {classes}, one for each class, got {len(rows)}")
    return encode(rows)


def check_replaceable(out: Path) -> None:
    """Raises ExportError unless the path is free, an empty directory, or an export of ours."""
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir():
        raise ExportError(f"{out}: is there and not a directory")
    if any(out.iterdir()) and not (out / manifest.PATH).is_file():
        raise ExportError(
            f"{out}: has other files in it; it is replaced only where it is an export "
            f"({manifest.PATH})"
        )


def replace(directory: Path, out: Path) -> None:
    """Moves a finished directory into place; others see the old one, the new one, or none."""
    old = directory.with_name("replaced")
    if out.exists():
        os.rename(out, old)
    os.rename(directory, out)
    if old.exists():
        shutil.rmtree(old)
