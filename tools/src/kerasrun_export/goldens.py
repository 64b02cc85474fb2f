"""Golden packs: images and what Python Keras makes of them at every stage."""

import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from kerasrun_export import manifest, recipe, serving
from kerasrun_export.backend import keras, tf
from kerasrun_export.errors import GoldenError
from kerasrun_export.preprocessing import MODE_NEEDED, preprocess
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
    *,
    trained_with: Literal["caffe", "tf", "torch", "none"] | None = None,
) -> dict:
    """Makes a golden pack: what Python Keras makes of a directory's images at every stage.

    model: a directory that `export` or kerasrun-export wrote, which is built again by its recipe;
        the path of a .keras or .h5 file; or a live Keras model, as `export` takes it.
    images: a directory; every .jpg, .jpeg, .png, .gif, .bmp and .webp file in it is a case.
    out: the pack to write, a directory that is empty or not there.
    trained_with: as of `export`; needed for a file or a live model, and only there.

    The pack has goldens.json, the image files, and for each an .npz with `decoded`, (height, width,
    3) uint8 RGB of the file's own size; `resized`, the same of the model's size; `tensor`, (height,
    width, 3) float32 caffe style; and each output without its batch dimension, float32.

    Returns what goldens.json holds. Raises GoldenError (an ExportError) or another ExportError,
    each with a message of one line, and OSError where files cannot be read or written; then no pack
    is left behind.
    """
    images, out = Path(images), Path(out)
    if not images.is_dir():
        raise GoldenError(f"{images}: no such directory")
    paths = sorted(path for path in images.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise GoldenError(f"{images}: no images ({', '.join(SUFFIXES)})")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise GoldenError(f"{out}: is there and not an empty directory")
    with tf.device("/CPU:0"):  # GPUs take TensorFloat-32
        loaded, contract = _load(model, trained_with)
        served = serving.trace(loaded.model, headless=loaded.headless, caffe=loaded.mode)
        expected = reference(served, loaded.architecture if loaded.published else "")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            pack = Path(scratch) / "pack"
            index = write(pack, expected, contract, paths, _command(model, images, trained_with))
            os.rename(pack, out)
    return index


def _load(model: keras.Model | str | os.PathLike, mode: str | None) -> tuple[recipe.Loaded, dict]:
    """The model and the manifest's description of its input."""
    if isinstance(model, keras.Model):
        if mode is None:
            raise GoldenError(f"{model.name}: {MODE_NEEDED}")
        loaded = recipe.from_model(model, mode, None)
        return loaded, manifest.input_contract(*loaded.size)
    if not Path(model).is_dir():
        loaded = recipe.Recipe(architecture=str(model), trained_with=mode).load()
        return loaded, manifest.input_contract(*loaded.size)
    if mode is not None:
        raise GoldenError(f"{model}: an exported directory says itself what it was trained with")
    stored = manifest.read(Path(model))
    loaded = recipe.from_manifest(stored).load()
    if loaded.weights["sha256"] != stored["weights"]["sha256"]:
        source = loaded.weights["source"]
        raise GoldenError(f"{model}: its weights are not those that {source} gives now")
    return loaded, stored["input"]


def _command(model: keras.Model | str | os.PathLike, images: Path, mode: str | None) -> str:
    """What makes the pack again, without where it goes."""
    if isinstance(model, keras.Model):
        return f"kerasrun_export.golden(model, {str(images)!r}, trained_with={mode!r})"
    words = ["kerasrun-golden", str(model), "--images", str(images)]
    return shlex.join([*words, "--trained-with", mode] if mode else words)


def write(
    directory: Path, expected: Reference, contract: dict, paths: Sequence[Path], command: str
) -> dict:
    """Writes a pack: goldens.json, the image files, and an npz of arrays for each.

    contract: the input as the manifest has it. The arrays are those of `golden`. Returns what
        goldens.json holds.
    """
    size = (contract["height"], contract["width"])
    cases, outputs = [], []
    directory.mkdir(parents=True, exist_ok=True)
    for path in paths:
        name = case_name(path, paths)
        image = directory / f"{name}{path.suffix.lower()}"
        shutil.copyfile(path, image)
        try:
            arrays = {"decoded": np.asarray(keras.utils.load_img(image))}
            arrays["resized"] = np.asarray(
                keras.utils.load_img(image, target_size=size, interpolation=contract["resample"])
            )
        except Exception as error:  # Pillow raises whatever its decoders raise
            raise GoldenError(f"{path}: Keras cannot read it: {error}") from error
        arrays["tensor"] = preprocess(arrays["resized"], contract["mode"])
        predicted = expected.predict({"images": arrays["tensor"][np.newaxis]})
        results = {key: value[0] for key, value in predicted.items()}
        outputs = sorted(results)
        np.savez_compressed(directory / f"{name}.npz", **arrays, **results)
        cases.append({"name": name, "image": image.name, "arrays": f"{name}.npz"})
    relative = {"logits": RELATIVE, "features": RELATIVE}
    index = {
        "format": FORMAT,
        "reference": expected.description,
        "command": command,
        "versions": expected.versions,
        "signature": "serving_default",
        "input": contract,
        "outputs": outputs,
        "top": TOP,
        "tolerance": TOLERANCES | {key: relative.get(key, ABSOLUTE) for key in outputs},
        "cases": cases,
    }
    text = json.dumps(index, indent=2, ensure_ascii=False) + "\n"
    (directory / "goldens.json").write_text(text, encoding="utf-8")
    return index


def case_name(path: Path, paths: Sequence[Path]) -> str:
    """The image's name without its suffix, or with it where another image has the same."""
    twins = [other for other in paths if other.stem.lower() == path.stem.lower()]
    return path.stem if len(twins) == 1 else path.name.replace(".", "_")
