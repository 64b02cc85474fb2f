"""Golden packs: images and what Python Keras makes of them at every stage."""

import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerasrun_export import choices as choosing
from kerasrun_export import manifest, recipe, serving
from kerasrun_export.backend import keras, tf
from kerasrun_export.choices import Choices
from kerasrun_export.contract import (
    MODES,
    Decode,
    Input,
    Normalize,
    Resize,
    input_from_json,
)
from kerasrun_export.errors import GoldenError
from kerasrun_export.images import stages
from kerasrun_export.inputs import describe
from kerasrun_export.reference import Reference, reference

FORMAT = 1
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
TOP = 5
# Before the model everything is exact. Logits and features: relative to the case's largest; others:
# absolute.
TOLERANCES = {"decode": 0, "resize": 0, "tensor": 0}
RELATIVE, ABSOLUTE = 1e-4, 1e-5


def golden(
    model: keras.Model | str | os.PathLike,
    images: str | os.PathLike,
    out: str | os.PathLike,
    **said: object,
) -> dict:
    """Makes a golden pack: what Python Keras makes of a directory's images at every stage.

    model: a directory that `export` or kerasrun-export wrote, which is built again by its recipe;
        the path of a .keras or .h5 file; or a live Keras model, as `export` takes it.
    images: a directory; every .jpg, .jpeg, .png, .gif, .bmp and .webp file in it is a case.
    out: the pack to write, a directory that is empty or not there.
    said: how images become tensors, by the names that `export` has (pipeline, mode, ...); for a
        file or a live model, and only there.

    The pack has goldens.json, the image files, and for each an .npz with `decoded` and `resized`,
    (height, width, channels), `tensor`, as the model takes it, and each output, all without their
    batch dimension.

    Returns what goldens.json holds. Raises GoldenError (an ExportError) or another ExportError,
    each with a message of one paragraph, and OSError where files cannot be read or written; then no
    pack is left behind.
    """
    images, out, choices = Path(images), Path(out), choosing.said(**said)
    if not images.is_dir():
        raise GoldenError(f"{images}: no such directory")
    paths = sorted(path for path in images.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise GoldenError(f"{images}: no images ({', '.join(SUFFIXES)})")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise GoldenError(f"{out}: is there and not an empty directory")
    with tf.device("/CPU:0"):  # GPUs take TensorFloat-32
        loaded, model_input = _load(model, choices)
        served = serving.trace(
            loaded.model, size=loaded.image_size, headless=loaded.headless, caffe=loaded.caffe
        )
        if model_input is None:
            (model_input,) = describe(served.inputs, loaded, confirmed=False)
        expected = reference(served, loaded.architecture if loaded.published else "")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            pack = Path(scratch) / "pack"
            command = _command(model, images, choices)
            index = write(pack, expected, model_input, paths, command)
            os.rename(pack, out)
    return index


def _load(
    model: keras.Model | str | os.PathLike, choices: Choices
) -> tuple[recipe.Loaded, Input | None]:
    """The model and, of a directory, the manifest's description of its input."""
    if isinstance(model, keras.Model):
        return recipe.from_model(model, choices, None), None
    if not Path(model).is_dir():
        return recipe.Recipe(architecture=str(model), choices=choices).load(), None
    if choices != Choices():
        raise GoldenError(f"{model}: an exported directory says itself how images are made")
    stored = manifest.read(Path(model))
    loaded = recipe.from_manifest(stored).load()
    if loaded.weights["sha256"] != stored["weights"]["sha256"]:
        source = loaded.weights["source"]
        raise GoldenError(f"{model}: its weights are not those that {source} gives now")
    return loaded, input_from_json(stored["inputs"][0])


def _command(model: keras.Model | str | os.PathLike, images: Path, choices: Choices) -> str:
    """What makes the pack again, without where it goes."""
    if isinstance(model, keras.Model):
        words = [f"{key}={value!r}" for key, value in choices.to_manifest().items()]
        return f"kerasrun_export.golden({', '.join(['model', repr(str(images)), *words])})"
    flags = choosing.flags(choices.to_manifest())
    return shlex.join(["kerasrun-golden", str(model), "--images", str(images), *flags])


def write(
    directory: Path, expected: Reference, model_input: Input, paths: Sequence[Path], command: str
) -> dict:
    """Writes a pack: goldens.json, the image files, and an npz of arrays for each.

    The arrays are those of `golden`. Returns what goldens.json holds.
    """
    cases, outputs = [], []
    directory.mkdir(parents=True, exist_ok=True)
    for path in paths:
        name = case_name(path, paths)
        image = directory / f"{name}{path.suffix.lower()}"
        shutil.copyfile(path, image)
        made = stages(model_input, image)
        arrays = {"decoded": made.decoded, "resized": made.resized, "tensor": made.tensor}
        predicted = expected.predict({model_input.name: made.tensor[np.newaxis]})
        results = {key: value[0] for key, value in predicted.items()}
        outputs = sorted(results)
        np.savez_compressed(directory / f"{name}.npz", **arrays, **results)
        cases.append({"name": name, "image": image.name, "arrays": f"{name}.npz"})
    relative = {"logits": RELATIVE, "features": RELATIVE}
    index = {
        "format": FORMAT if first_input(model_input) else FORMAT + 1,
        "reference": expected.description,
        "command": command,
        "versions": expected.versions,
        "signature": "serving_default",
        "input": first_input(model_input) or model_input.to_json(),
        "outputs": outputs,
        "top": TOP,
        "tolerance": TOLERANCES | {key: relative.get(key, ABSOLUTE) for key in outputs},
        "cases": cases,
    }
    text = json.dumps(index, indent=2, ensure_ascii=False) + "\n"
    (directory / "goldens.json").write_text(text, encoding="utf-8")
    return index


def first_input(model_input: Input) -> dict | None:
    """The input as packs of format 1 say it; None where they cannot."""
    modes = {value: key for key, value in MODES.items()}
    mode = modes.get(model_input.normalize.steps)
    height, width = model_input.size
    color = "bgr" if mode == "caffe" else "rgb"
    plain = Input(
        model_input.name,
        "image",
        "float32",
        (-1, height, width, 3),
        "NHWC",
        Decode(color=color),
        Resize(method=model_input.resize.method),
        Normalize(steps=model_input.normalize.steps),
    )
    if mode is None or -1 in (height, width) or model_input != plain:
        return None
    return {
        "name": model_input.name,
        "dtype": "float32",
        "height": height,
        "width": width,
        "channels": 3,
        "layout": "NHWC",
        "color_order": color.upper(),
        "mode": mode,
        "resample": model_input.resize.method,
        "fit": "stretch",
    }


def case_name(path: Path, paths: Sequence[Path]) -> str:
    """The image's name without its suffix, or with it where another image has the same."""
    twins = [other for other in paths if other.stem.lower() == path.stem.lower()]
    return path.stem if len(twins) == 1 else path.name.replace(".", "_")
