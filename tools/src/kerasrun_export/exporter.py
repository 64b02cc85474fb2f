"""Exports a Keras model as a SavedModel directory with its manifest, checked against Keras."""

import dataclasses
import os
import shutil
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from kerasrun_export import (
    answers,
    flops,
    goldens,
    image_files,
    manifest,
    node_names,
    outputs,
    pack,
    quantization,
    recipe,
    rewrite,
    sample_images,
    saved_model,
    scratch,
    serving,
    vouched,
)
from kerasrun_export import expected as expected_answers
from kerasrun_export.backend import keras, tf
from kerasrun_export.choices import numbers, said
from kerasrun_export.class_names import IMAGENET, encode, from_names
from kerasrun_export.comparison import DifferenceError, compare, image_paths
from kerasrun_export.contract import Input
from kerasrun_export.errors import ChoiceError, ExportError, GraphError
from kerasrun_export.inputs import describe
from kerasrun_export.outputs import Meaning
from kerasrun_export.reference import Reference, reference

GRAPHS = ("optimized", "reference")
QUANTIZED = ("int8",)
EMBEDDED = ("astronaut.png", "cat.jpg", "coffee.jpg", "flower.webp")
EMBEDDED_INT8 = 2  # of the user's images: the directory is to stay small
EMBEDDED_SIDE = 160  # pixels: four images of it and their arrays stay under 1.5 MB at 224 x 224


class ExportWarning(UserWarning):
    """Something in a model's answers that a right export seldom has."""


@dataclass(frozen=True)
class Options:
    """How a model is written, apart from what it computes.

    confirmed: that a preparation which contradicts the model is meant. images: the user's own, a
    directory; None: the samples. min_top1: the share of images that have to keep their top class.
    expect: the file of answers to some of these images, as `expected.check` takes it. quantize:
    whether a graph of int8 goes beside it.
    """

    meaning: Meaning = field(default_factory=Meaning)
    graph: str = "optimized"
    confirmed: bool = False
    images: Path | None = None
    min_top1: float | None = None
    expect: Path | None = None
    quantize: bool = False


def export(
    model: keras.Model,
    out: str | os.PathLike,
    *,
    pipeline: str | None = None,
    decoder: Literal["pillow", "tensorflow", "opencv"] | None = None,
    color: Literal["rgb", "bgr", "grayscale", "grayscale_of_rgb", "rgba"] | None = None,
    resample: str | None = None,
    antialias: bool | None = None,
    fit: Literal["stretch", "crop", "imageops_fit", "pad", "short-side", "none"] | None = None,
    short_side: int | None = None,
    fill: float | None = None,
    exif: bool | None = None,
    mode: Literal["caffe", "tf", "torch", "none"] | None = None,
    scale: float | str | Sequence[float] | None = None,
    divide: float | str | Sequence[float] | None = None,
    offset: float | str | Sequence[float] | None = None,
    mean: float | str | Sequence[float] | None = None,
    std: float | str | Sequence[float] | None = None,
    contract: object = None,
    input_kinds: Mapping[str, Literal["tensor", "image"]] | None = None,
    class_names: Sequence[str] | None = None,
    activation: Literal["softmax", "sigmoid"] | None = None,
    threshold: float | Sequence[float] | None = None,
    kinds: Mapping[str, str] | None = None,
    image_size: tuple[int, int] | None = None,
    images: str | os.PathLike | None = None,
    expect: str | os.PathLike | None = None,
    min_top1: float | None = None,
    quantize: Literal["int8"] | None = None,
    graph: Literal["optimized", "reference"] = "optimized",
    confirm_preprocessing: bool = False,
) -> dict:
    """Exports a live Keras model, after training: writes a SavedModel directory with its manifest.

    model: a Keras model; the SavedModel takes the tensors that it takes. It is not changed.
        Augmentation and dropout do nothing in the export.
    out: the directory to write. An earlier export there is replaced; anything else there is an
        error.

    How images were loaded in training, which no model says:

    pipeline: "load_img", "ImageDataGenerator", "image_dataset_from_directory", "decode_image",
        "cv2", "pillow", "teachable_machine" or "keras_hub". Each sets the next four.
    decoder: the library whose pixels images are.
    color: the channels in the tensor's order. "grayscale" is the decoder's own.
    resample: a method of the decoder's library, or "LIBRARY:METHOD" of another.
    fit: "crop" cuts to the tensor's shape before it resizes, as Keras's crop_to_aspect_ratio does.
    antialias: of TensorFlow's methods. short_side: in pixels, of fit "short-side". fill: of fit
    "pad". exif: whether the orientation in EXIF is applied.

    What was done to their values, where the model does not do it itself:

    mode: of keras.applications' preprocess_input: "caffe" (BGR, 0 to 255, ImageNet's means
        subtracted), "tf" (x / 127.5 - 1), "torch" (x / 255, ImageNet's means subtracted, divided by
        its deviations) or "none" (0 to 255 as they are).
    scale or divide, offset, mean, std: x * scale or x / divide, then + offset, - mean, / std; each
        a number, a quotient as "1/255", or one number for each channel in the tensor's order.
    contract: all of the above, in place of it: what `find_contract` returns, or the file that
        kerasrun-contract find --out writes.
    input_kinds: by name of an input, "image" or "tensor", where its shape does not tell:
        (batch, 20, 4) may be a sequence's or a grey image's.
    confirm_preprocessing: that this is meant though the model begins with a preparation of its own.

    What comes out:

    class_names: a name for each class, in the order of the outputs; two for a single sigmoid.
    activation: of a last layer that has none and gives logits (from_logits=True).
    threshold: of a sigmoid's answers, one or one for each class.
    kinds: by name of an output, "probabilities", "logits", "binary", "multilabel", "regression",
        "embedding", "map" or "tensor", where the graph does not tell.

    image_size: (height, width) in pixels, where the model's own is free.
    images: a directory of your own images to compare on, in place of the samples that come with
        this package; the four smallest become the directory's goldens.
    expect: a JSON or CSV file of some of these images' paths in the directory and your notebook's
        answers to them, which Keras has to give on tensors made as you say.
    min_top1: the share of these images that have to keep their top class.
    quantize: "int8" writes a second graph, quantized on these images, into `int8` of the directory,
        with what was measured of it in its manifest; of those it was not quantized on, `min_top1`
        (0.99) have to keep Keras's class. Runs with --precision int8.
    graph: "optimized", rewritten to run faster with the same results, or "reference", as Keras has
        it.

    It prints what the model does to images itself. A model that ends in a softmax or sigmoid gives
    `probs` and `logits`, (batch, classes) float32, any other its own outputs. Before the directory
    is put in place the images are run through it: probabilities have to be within 1e-5 of Keras's,
    other outputs within 1e-5 (logits: 1e-4) of the image's largest. Where the optimized graph is
    not, the reference graph is written, with an ExportWarning. So are answers that a right export
    seldom has.

    That this user has exported the directory is remembered in the user's cache: kerasrun opens it
    without a probe.

    Returns the manifest's fields. Raises ExportError, whose message is one paragraph, where
    anything is left open or contradicts the model, and where the model cannot be exported or gives
    other results than Keras; OSError where files cannot be written. Then nothing is left behind and
    what was there stays.
    """
    if graph not in GRAPHS:
        raise ExportError(f"graph: expected one of {', '.join(GRAPHS)}, got {graph!r}")
    if quantize not in (None, *QUANTIZED):
        raise ExportError(f"quantize: expected {' or '.join(QUANTIZED)}, got {quantize!r}")
    choices = said(
        pipeline=pipeline,
        decoder=decoder,
        color=color,
        resample=resample,
        antialias=antialias,
        fit=fit,
        short_side=short_side,
        fill=fill,
        exif=exif,
        mode=mode,
        scale=scale,
        divide=divide,
        offset=offset,
        mean=mean,
        std=std,
        contract=contract,
        input=dict(input_kinds or {}),
    )
    rows = None if class_names is None else from_names(class_names)
    thresholds = None if threshold is None else numbers(threshold)
    meaning = Meaning(kinds or {}, activation, thresholds, rows)
    options = Options(
        meaning,
        graph,
        confirm_preprocessing,
        None if images is None else Path(images),
        min_top1,
        None if expect is None else Path(expect),
        quantize is not None,
    )
    with tf.device("/CPU:0"):
        loaded = recipe.from_model(_on_cpu(model), choices, image_size)
    command = f"kerasrun_export.export({', '.join(['model', *choices.arguments()])})"
    for line in loaded.preparation.found():
        print(f"{model.name}: {line}")
    return write(loaded, Path(out), {}, command, options)


def write(loaded: recipe.Loaded, out: Path, made_by: dict, command: str, options: Options) -> dict:
    """Writes the directory, checked against the reference, and returns its manifest's fields.

    made_by: the recipe, as the manifest keeps it. command: what makes the goldens again.
    """
    check_replaceable(out)
    if options.quantize and options.images is None:
        raise ChoiceError(
            "--quantize int8: expected --images too, a directory of images such as the model will "
            "see: the ranges of its layers are those of their tensors"
        )
    with tf.device("/CPU:0"):  # GPUs take TensorFloat-32
        served = serving.trace(
            loaded.model,
            size=loaded.image_size,
            headless=loaded.headless,
            caffe=loaded.caffe,
            kinds=loaded.choices.input,
        )
        inputs = describe(served.inputs, loaded, options.confirmed)
        meaning, class_bytes = _class_names(options.meaning, loaded)
        signatures, answer = outputs.classify(served, meaning, manifest.LABELS.as_posix())
        outputs.check_maps(inputs, served.outputs, signatures)
        if all(each.kind == "tensor" for each in inputs):
            answer = ""  # there is no image that it could answer
        expected = reference(served, loaded.architecture if loaded.published else "")
        paths = image_paths(options.images, inputs)
        if options.quantize:
            answering = quantization.check(served, signatures[outputs.DEFAULT], answer)
        if options.expect is not None:
            _check_expected(expected, inputs, answer, options)
        out.parent.mkdir(parents=True, exist_ok=True)
        with scratch.directory(beside=out) as made:
            directory = made / out.name
            graph, difference = _write_checked(
                served, directory, options, expected, inputs, paths, signatures, answer
            )
            for text in answers.untrained(loaded.model):
                warnings.warn(text, ExportWarning, stacklevel=2)
            (directory / manifest.LABELS.parent).mkdir(exist_ok=True)
            if class_bytes:
                (directory / manifest.LABELS).write_bytes(class_bytes)
            has_goldens = embed_goldens(
                directory,
                expected,
                inputs,
                command,
                options.images,
                paths,
                goldens.bounded(served.outputs),
            )
            fields = {
                "architecture": loaded.architecture,
                "graph": graph,
                "precision": _precision(served),
                "parameters": flops.parameters(loaded.model),
                "weights": loaded.weights,
                "conversion": serving.CONVERSIONS[loaded.caffe] if loaded.caffe else "",
                "reference_difference": difference,
                "inputs": [each.to_json() for each in inputs],
                "outputs": {
                    key: [output.to_json() for output in found] for key, found in signatures.items()
                },
                "answer": answer,
                "goldens": manifest.GOLDENS.as_posix() if has_goldens else "",
                "recipe": made_by,
            }
            if operations := flops.count(loaded.model):
                fields["flops"] = operations
            if options.quantize:
                quantized = quantization.quantize(
                    served,
                    expected,
                    inputs,
                    paths,
                    answering,
                    quantization.MIN_TOP1 if options.min_top1 is None else options.min_top1,
                    meaning.names,
                )
                _write_quantized(quantized, served, directory, inputs, command, options, fields)
            manifest.write(directory, fields)
            replace(directory, out)
    vouched.remember(out)
    if options.quantize:
        vouched.remember(out / quantization.DIRECTORY)
    return fields


def _write_quantized(
    quantized: quantization.Quantized,
    served: serving.Served,
    directory: Path,
    inputs: Sequence[Input],
    command: str,
    options: Options,
    fields: dict,
) -> None:
    """Writes the graph of int8 as a directory of its own in the exported one.

    fields: of the exported one's manifest.
    """
    if not quantized.parity.held_out:
        warnings.warn(
            f"--quantize int8: {quantized.calibration_images} images are too few to say how often "
            "it keeps Keras's class, and those measured are those it was quantized on: give "
            f"{quantization.FEW}, better a few hundred of what the model will see",
            ExportWarning,
            stacklevel=3,
        )
    inside = directory / quantization.DIRECTORY
    saved_model.write_rewritten(quantized.graph, served, inside, frozen=True)
    (inside / manifest.LABELS.parent).mkdir()
    if (directory / manifest.LABELS).exists():
        shutil.copyfile(directory / manifest.LABELS, inside / manifest.LABELS)
    paths = sorted(image_files.below(options.images), key=lambda path: path.stat().st_size)
    embed_goldens(
        inside,
        quantized.reference,
        inputs,
        command,
        options.images,
        paths[:EMBEDDED_INT8],
        goldens.bounded(served.outputs),
        simulation=quantized.simulation,
    )
    measured = {
        "graph": "optimized",
        "precision": "int8",
        "reference_difference": quantized.parity.largest,
        "quantization": quantized.to_json(),
    }
    manifest.write(inside, fields | measured)


def _check_expected(
    reference: Reference, inputs: Sequence[Input], answer: str, options: Options
) -> None:
    """Raises ExportError where Keras, on tensors made as the inputs say, answers otherwise than the
    user expects: then the inputs are not how these answers were made.
    """
    if options.images is None:
        raise ChoiceError("--expect: expected --images too, the directory that its paths are in")

    class Keras:
        def predict(self, batch: np.ndarray, verbose: int = 0) -> np.ndarray:
            return reference.predict({inputs[0].name: batch})[answer]

    print(expected_answers.check(Keras(), inputs, options.expect, options.images))


def _precision(served: serving.Served) -> str:
    """The narrowest type that the graph computes in."""
    if not served.mixed:
        return "float32"
    layers = served.model._flatten_layers()
    types = {getattr(layer, "compute_dtype", "float32") for layer in layers}
    return "bfloat16" if "bfloat16" in types else "float16"


def _on_cpu(model: keras.Model) -> keras.Model:
    """The model itself where its weights are on the CPU, else a copy there."""
    # Those of tf_keras are TensorFlow's own.
    held = [v if isinstance(v, tf.Variable) else v.value for v in model.variables]
    if not any("GPU" in variable.device for variable in held):
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


def _write_checked(
    served: serving.Served,
    directory: Path,
    options: Options,
    expected: Reference,
    inputs: Sequence[Input],
    paths: Sequence[Path],
    signatures: dict,
    answer: str,
) -> tuple[str, float]:
    """Writes the graph, compared with Keras; which one it is and the largest difference."""
    kind = options.graph
    try:
        write_graph(served, directory, kind)
    except GraphError as error:
        kind = "reference"
        write_graph(served, directory, kind)
        warnings.warn(f"{error}: the reference graph is written", ExportWarning, stacklevel=3)
    found = signatures[outputs.DEFAULT]
    try:
        compared = compare(expected, directory, inputs, paths, found, answer, options.min_top1)
    except DifferenceError as error:
        if kind == "reference":
            raise
        shutil.rmtree(directory)
        kind = "reference"
        write_graph(served, directory, kind)
        compared = compare(expected, directory, inputs, paths, found, answer, options.min_top1)
        warnings.warn(
            f"the optimized graph is out of tolerance ({error}): the reference graph is written, "
            "which is Keras's own and slower",
            ExportWarning,
            stacklevel=3,
        )
    for text in compared.warnings:
        warnings.warn(text, ExportWarning, stacklevel=3)
    return kind, compared.difference


def embed_goldens(
    directory: Path,
    expected: Reference,
    inputs: Sequence[Input],
    command: str,
    own: Path | None,
    paths: Sequence[Path],
    bounded: Collection[str],
    signature: str = outputs.DEFAULT,
    simulation: pack.Predict | None = None,
) -> bool:
    """Puts a small golden pack of a signature into the directory: of small sample photographs, or
    of the user's smallest images. Plain inputs get drawn numbers. False where the model takes no
    image, or more than one. simulation: as `pack.write` takes it.
    """
    taken = [each.name for each in inputs if each.kind != "tensor"]
    if len(taken) > 1:
        warnings.warn(
            f"the export has no goldens, for the model takes several images ({', '.join(taken)}) "
            "and a case of a pack is one: kerasrun verify has nothing to compare",
            ExportWarning,
            stacklevel=3,
        )
    if len(taken) != 1:
        return False
    with scratch.directory() as samples:
        if own is not None:
            chosen = sorted(paths, key=lambda path: path.stat().st_size)[: len(EMBEDDED)]
        else:
            read = {path.name for path in paths}
            chosen = [samples / name for name in EMBEDDED if name in read]
            for path in chosen:
                with Image.open(sample_images.DIRECTORY / path.name) as image:
                    image.thumbnail((EMBEDDED_SIDE, EMBEDDED_SIDE))
                    image.save(path)
        drawn = [each.name for each in inputs if each.kind == "tensor"]
        goldens.write(
            directory / manifest.GOLDENS,
            expected,
            inputs,
            sorted(chosen),
            command,
            bounded,
            drawn,
            signature,
            simulation,
        )
    return True


def _class_names(meaning: Meaning, loaded: recipe.Loaded) -> tuple[Meaning, bytes | None]:
    """What labels.json holds: ImageNet's class names, or the user's in the same form."""
    if meaning.names is not None:
        if loaded.headless:
            raise ExportError("class names: a model without its top has no classes")
        return meaning, encode(meaning.names)
    if not loaded.imagenet_classes:
        return meaning, None
    rows = [("", "")] * recipe.IMAGENET_CLASSES
    return dataclasses.replace(meaning, names=rows), IMAGENET.read_bytes()


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
    with scratch.whole():
        if out.exists():
            os.rename(out, old)
        os.rename(directory, out)
    if old.exists():
        shutil.rmtree(old)
