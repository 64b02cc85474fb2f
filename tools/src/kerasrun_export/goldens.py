"""Golden packs: images and what Python Keras makes of them at every stage."""

import os
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kerasrun_export import adopted, files, find, image_files, manifest, recipe, scratch, serving
from kerasrun_export import choices as choosing
from kerasrun_export import pack as packs
from kerasrun_export.backend import keras, tf
from kerasrun_export.choices import Choices
from kerasrun_export.contract import Input, input_from_json
from kerasrun_export.errors import GoldenError
from kerasrun_export.feeds import Predict, Target, feed, load_function
from kerasrun_export.images import stages
from kerasrun_export.inputs import describe
from kerasrun_export.pack import Case
from kerasrun_export.reference import Reference, reference


def golden(
    model: keras.Model | str | os.PathLike,
    images: str | os.PathLike,
    out: str | os.PathLike,
    *,
    predict: Predict | str | None = None,
    input_kinds: Mapping[str, str] | None = None,
    custom_objects: str | None = None,
    unsafe_lambda: bool = False,
    **said: object,
) -> dict:
    """Makes a golden pack: what Python Keras makes of a directory's images at every stage.

    model: a directory that `export` or kerasrun-export wrote, which is built again by its recipe,
        or, of an adopted SavedModel, run by TensorFlow in Python; the path of a .keras or .h5 file;
        or a live Keras model, as `export` takes it.
    images: a directory; every image in it and in those inside it is a case.
    out: the pack to write, a directory that is empty or not there.
    predict: your own function, or MODULE:FUNCTION of it: takes the path of an image, calls the
        model. Its tensors and its answers are then the reference; the contract has to make the same
        tensors. Where nothing says the contract it is found as `find_contract` does.
    custom_objects, unsafe_lambda: of a file, as kerasrun-export takes them.
    input_kinds, said: how images become tensors, by the names that `export` has (pipeline, mode,
        ...); for a file or a live model, and only there.

    docs/parity.md describes what is in a pack.

    Returns what goldens.json holds. Raises GoldenError (an ExportError) or another ExportError,
    each with a message of one paragraph, and OSError where files cannot be read or written; then no
    pack is left behind.
    """
    images, out = Path(images), Path(out)
    choices = choosing.said(**said, input=dict(input_kinds or {}))
    paths = image_files.below(images)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise GoldenError(f"{out}: is there and not an empty directory")
    function = load_function(predict) if isinstance(predict, str) else predict
    file = {"custom_objects": custom_objects, "unsafe_lambda": unsafe_lambda}
    with tf.device("/CPU:0"):  # GPUs take TensorFloat-32
        command = _command(model, images, choices, predict, file)
        stored = _stored(model, choices, file)
        if stored is not None and stored["graph"] == "adopted":
            if predict is not None:
                raise GoldenError(
                    f"{model}: a SavedModel that was adopted, of which --predict cannot see what a "
                    "function feeds it: leave --predict away"
                )
            return _put(out, lambda pack: _adopted(Path(model), stored, pack, paths, command))
        loaded, inputs = _load(model, choices, stored, file)
        if inputs is None and function is not None and choices == Choices():
            contract = find.find_contract(function, paths, loaded.model)
            inputs = list(contract.inputs)
            loaded = replace(loaded, image_size=contract.image_size)
        served = serving.trace(
            loaded.model,
            size=loaded.image_size,
            headless=loaded.headless,
            caffe=loaded.caffe,
            kinds=loaded.choices.input,
        )
        if inputs is None:
            inputs = describe(served.inputs, loaded, confirmed=False)
        packs.check_inputs(inputs)
        expected = reference(served, loaded.architecture if loaded.published else "")
        limited = bounded(served.outputs)
        if function is None:
            return _put(out, lambda pack: write(pack, expected, inputs, paths, command, limited))
        made = [_case(function, loaded.model, inputs, path, expected) for path in paths]
        words = predict if isinstance(predict, str) else getattr(predict, "__name__", "")
        described = replace(expected, description=f"{words} on {expected.description}")
        return _put(
            out,
            lambda pack: packs.write(
                pack,
                inputs,
                made,
                described,
                kind="function",
                bounded=limited,
                command=command,
            ),
        )


def _put(out: Path, fill: Callable[[Path], dict]) -> dict:
    """Has a pack written, and puts it into place when it is whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch.directory(beside=out) as directory:
        index = fill(directory / "pack")
        os.rename(directory / "pack", out)
    return index


def _stored(
    model: keras.Model | str | os.PathLike, choices: Choices, file: dict[str, object]
) -> dict | None:
    """The manifest of an exported directory; None of a file or a live model."""
    if not isinstance(model, (str, os.PathLike)) or not Path(model).is_dir():
        return None
    if choices != Choices() or any(file.values()):
        raise GoldenError(
            f"{model}: an exported directory says itself how images are made and its model is "
            "loaded: expected no flags of these"
        )
    files.check_tree(Path(model))
    stored = manifest.read(Path(model))
    if "quantization" in stored:
        raise GoldenError(
            f"{model}: expected a model in float32, as in the directory around it, got one of "
            "int8: Keras's answers are no goldens of it"
        )
    return stored


def _adopted(
    directory: Path, stored: dict, pack: Path, paths: Sequence[Path], command: str
) -> dict:
    """Writes a pack of an adopted SavedModel, which TensorFlow in Python runs."""
    if adopted.sha256(directory) != stored["weights"]["sha256"]:
        raise GoldenError(
            f"{directory}: expected the graph and variables that were adopted, got others: adopt "
            "the SavedModel again"
        )
    found = adopted.read(directory, stored.get("signature", packs.SIGNATURE))
    return write(
        pack,
        adopted.reference(found),
        [input_from_json(one) for one in stored["inputs"]],
        paths,
        command,
        bounded(adopted.results(found)),
        signature=found.signature,
    )


def _load(
    model: keras.Model | str | os.PathLike,
    choices: Choices,
    stored: dict | None,
    file: dict[str, object],
) -> tuple[recipe.Loaded, list[Input] | None]:
    """The model and, of a directory, the manifest's description of its inputs."""
    if not isinstance(model, (str, os.PathLike)):
        return recipe.from_model(model, choices, None), None
    if stored is None:
        return recipe.Recipe(architecture=str(model), choices=choices, **file).load(), None
    loaded = recipe.from_manifest(stored).load()
    if loaded.weights["sha256"] != stored["weights"]["sha256"]:
        source = loaded.weights["source"]
        raise GoldenError(f"{model}: its weights are not those that {source} gives now")
    return loaded, [input_from_json(one) for one in stored["inputs"]]


def bounded(outputs: Sequence[serving.Output]) -> set[str]:
    """The names of those that a softmax or sigmoid gives."""
    return {one.name for one in outputs if one.activation in ("softmax", "sigmoid")}


def _case(
    predict: Predict, model: object, inputs: Sequence[Input], path: Path, expected: Reference
) -> Case:
    """What the function makes of an image. Raises GoldenError where the contract makes another
    tensor of it."""
    fed = feed(predict, Target(model), path)
    names = find.serving_names(fed.model, list(fed.inputs))
    tensors = {names[key]: value for key, value in fed.inputs.items()}
    for one in inputs:
        if one.kind != "image":
            continue
        got, want = stages(one, path).tensor, tensors[one.name]
        if not np.array_equal(got, want):
            same = got.shape == want.shape
            by = f"differs by up to {np.abs(got - want).max():.3g}" if same else f"is {got.shape}"
            raise GoldenError(
                f"{path}: expected the tensor that your function feeds {one.name}, {want.shape}; "
                f"that of the contract {by}. The contract is not how your function makes it: find "
                "the right one with kerasrun-contract find --predict, and export again"
            )
    answers = expected.predict({key: value[np.newaxis] for key, value in tensors.items()})
    outputs = {key: value[0] for key, value in answers.items()}
    return Case(path, tensors, outputs | _answers(fed.answer, outputs))


def _answers(answer: object, outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the function returned, as the outputs that it is; none where it returned anything else,
    such as names of classes."""
    if isinstance(answer, dict):
        pairs = [(key, value) for key, value in answer.items() if key in outputs]
    else:
        pairs = [(key, answer) for key in outputs]
    found = {}
    for key, value in pairs:
        try:
            array = np.asarray(value)
        except ValueError:
            continue
        want = outputs[key]
        if array.shape == (1, *want.shape):
            array = array[0]
        if array.dtype.kind != "f" or array.shape != want.shape:
            continue
        if np.allclose(array, want, rtol=1e-3, atol=1e-3 * np.max(np.abs(want), initial=0)):
            found[key] = array.astype(want.dtype)
    return found


def _command(
    model: keras.Model | str | os.PathLike,
    images: Path,
    choices: Choices,
    predict: Predict | str | None,
    file: dict[str, object],
) -> str:
    """What makes the pack again, without where it goes."""
    if not isinstance(model, (str, os.PathLike)):
        words = choices.arguments()
        words += [f"predict={getattr(predict, '__name__', predict)}"] if predict else []
        return f"kerasrun_export.golden({', '.join(['model', repr(str(images)), *words])})"
    said = {key: value for key, value in file.items() if value}
    flags = choosing.flags(said | choices.to_manifest())
    if predict is not None:
        flags += ["--predict", predict if isinstance(predict, str) else "MODULE:FUNCTION"]
    return shlex.join(["kerasrun-golden", str(model), "--images", str(images), *flags])


def write(
    directory: Path,
    expected: Reference,
    inputs: Sequence[Input],
    paths: Sequence[Path],
    command: str,
    bounded: Collection[str],
    drawn: Collection[str] = (),
    signature: str = packs.SIGNATURE,
    simulation: packs.Predict | None = None,
) -> dict:
    """Writes a pack whose tensors are made as the inputs say; returns what goldens.json holds.

    bounded: the outputs of a softmax or sigmoid. drawn: plain inputs that get drawn numbers.
    signature: that the reference answers as. simulation: as `pack.write` takes it.
    """
    packs.check_inputs(inputs)
    made = packs.cases(inputs, paths, expected.predict, drawn)
    return packs.write(
        directory,
        inputs,
        made,
        expected,
        kind="manifest",
        bounded=bounded,
        command=command,
        signature=signature,
        simulation=simulation,
    )
