"""Adopts a SavedModel that something else wrote: its files as they are, with a manifest."""

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerasrun_export import adopted, comparison, exporter, goldens, manifest, outputs, scratch
from kerasrun_export.backend import tf
from kerasrun_export.choices import Choices
from kerasrun_export.class_names import encode
from kerasrun_export.errors import ExportError, ModelError, paragraph
from kerasrun_export.inputs import describe
from kerasrun_export.preparation import Preparation
from kerasrun_export.recipe import Loaded
from kerasrun_export.reference import Reference
from kerasrun_export.serving import RANDOM, Served

# How often a graph with operations that draw is asked again: TensorFlow 1's dropout has them where
# it is off, and a random flip often changes nothing.
REPEATED = 16


def adopt(
    directory: Path,
    out: Path,
    choices: Choices,
    options: exporter.Options,
    *,
    signature: str | None = None,
    size: tuple[int, int] | None = None,
) -> dict:
    """Copies a SavedModel, byte for byte, and writes the manifest, class names and goldens beside.

    signature: as `adopted.find` takes it; size: as `adopted.inputs` does. choices: how images are
        made; the graph is not looked at for what it does to them itself.

    Returns the manifest's fields. Raises ExportError, and OSError where files cannot be written;
    then nothing is left behind.
    """
    exporter.check_replaceable(out)
    found = adopted.find(directory, signature)
    meaning, labels = options.meaning, manifest.LABELS.as_posix()
    specs = adopted.inputs(found, size, choices)
    origin = {"source": found.name, "sha256": adopted.sha256(directory)}
    loaded = Loaded(None, found.name, choices, Preparation(), False, origin, False, False)
    described = describe(specs, loaded, options.confirmed)
    expected = adopted.reference(found)
    served = Served(
        None, tuple(specs), tuple(adopted.results(found)), frozenset(), None, False, False
    )
    signatures, answer = outputs.classify(served, meaning, labels, found.signature)
    paths = comparison.image_paths(options.images, described)
    if options.images is None and any(each.kind == "encoded" for each in described):
        paths = _answered(expected, described, paths, directory)
    drawing = any(node.op in RANDOM for node in adopted.reachable(found.meta, found.signature))
    try:
        _check_repeatable(expected, described, paths, directory, REPEATED if drawing else 1)
    except tf.errors.OpError as error:
        taken = ", ".join(f"{each.name} {each.dtype} {each.shape}" for each in described)
        raise ModelError(
            f"{directory}: expected a graph that answers {taken}, which it was said to take, got: "
            f"{paragraph(error)}"
        ) from error
    outputs.check_maps(described, served.outputs, signatures)
    compared = comparison.compare(
        expected,
        directory,
        described,
        paths,
        signatures[found.signature],
        answer,
        options.min_top1,
        found.signature,
        found.tags,
    )
    for text in compared.warnings:
        warnings.warn(text, exporter.ExportWarning, stacklevel=2)
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch.directory(beside=out) as made:
        copy = made / out.name
        copy_files(directory, copy)
        (copy / manifest.LABELS.parent).mkdir(exist_ok=True)
        if meaning.names is not None:
            _new(copy / manifest.LABELS).write_bytes(encode(meaning.names))
        _new(copy / manifest.GOLDENS)
        command = f"kerasrun-export --saved-model {directory} --signature {found.signature}"
        has_goldens = exporter.embed_goldens(
            copy,
            expected,
            described,
            command,
            options.images,
            paths,
            goldens.bounded(served.outputs),
            found.signature,
        )
        fields = {
            "architecture": found.name,
            "graph": "adopted",
            "precision": "float32",
            "parameters": adopted.parameters(found),
            "weights": origin,
            "conversion": "",
            "reference_difference": compared.difference,
            "inputs": [each.to_json() for each in described],
            "outputs": {key: [o.to_json() for o in made] for key, made in signatures.items()},
            "answer": answer,
            "goldens": manifest.GOLDENS.as_posix() if has_goldens else "",
            "recipe": {},
        }
        if found.signature != outputs.DEFAULT:
            fields["signature"] = found.signature
        manifest.write(copy, fields)
        exporter.replace(copy, out)
    return fields


def _check_repeatable(
    expected: Reference, described: Sequence, paths: Sequence[Path], directory: Path, times: int
) -> None:
    tensors = next(comparison.batches(described, paths[:2]))
    first = expected.predict(tensors)
    for _ in range(times):
        again = expected.predict(tensors)
        for key, value in first.items():
            if not np.array_equal(value, again[key], equal_nan=value.dtype.kind == "f"):
                raise ModelError(
                    f"{directory}: expected the same answer for the same image, got another {key} "
                    "when asked again: the graph draws random numbers, as layers do in training. "
                    "Give kerasrun-export the .keras file itself"
                )


def _answered(
    expected: Reference, described: Sequence, paths: Sequence[Path], directory: Path
) -> list[Path]:
    """The samples that the graph itself decodes: one for JPEG alone reads no GIF, for instance.

    Raises ModelError where it reads none.
    """
    found, reason = [], ""
    for path in paths:
        try:
            expected.predict(next(comparison.batches(described, [path])))
            found.append(path)
        except tf.errors.OpError as error:
            reason = paragraph(error)
    if not found:
        raise ModelError(
            f"{directory}: expected a graph that answers the bytes of an image file, got none for "
            f"any sample: {reason}"
        )
    return found


def copy_files(source: Path, target: Path) -> None:
    """Copies every file; links are followed, and Kubernetes' own (`..data`) left out."""
    shutil.copytree(source, target, ignore=lambda _, names: [n for n in names if n[:2] == ".."])


def _new(path: Path) -> Path:
    if path.exists():
        raise ExportError(f"{path.name}: the SavedModel has it already, in {path.parent.name}")
    return path
