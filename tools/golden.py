"""Golden packs: pictures and what Python Keras makes of them at every stage, for `kerasrun verify` and golden.

python -m tools.golden --model models/resnext50 --images photos/ --out goldens/
python -m tools.golden --model my.keras --trained-with tf --images photos/ --out goldens/
"""

import argparse
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tools import manifest, recipe
from tools.backend import keras
from tools.model import MODE_NEEDED, MODES, is_file, preprocess
from tools.reference import Reference, reference

FORMAT = 1
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
TOP = 5
# Nothing is forgiven before the model. Logits and features: relative to the case's largest; others: absolute.
TOLERANCES = {"decode": 0, "resize": 0, "tensor": 0}
RELATIVE, ABSOLUTE = 1e-4, 1e-5


class GoldenError(ValueError):
    """The pack cannot be made. The message is one line for the user."""


def write(directory: Path, expected: Reference, contract: dict, pictures: Sequence[Path], command: str) -> None:
    """Writes a pack: goldens.json, the picture files, and an npz of arrays for each.

    contract: the input as the manifest has it. The arrays are `decoded` (height, width, 3) and `resized`, uint8 RGB,
    `tensor`, float32 caffe style, and one for each output, without a batch dimension.
    """
    size = (contract["height"], contract["width"])
    cases, outputs = [], []
    directory.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        name = case_name(picture, pictures)
        image = directory / f"{name}{picture.suffix.lower()}"
        shutil.copyfile(picture, image)
        try:
            arrays = {"decoded": np.asarray(keras.utils.load_img(image))}
            arrays["resized"] = np.asarray(
                keras.utils.load_img(image, target_size=size, interpolation=contract["resample"])
            )
        except Exception as error:  # Pillow raises whatever its decoders raise
            raise GoldenError(f"{picture}: Keras cannot read it: {error}") from error
        arrays["tensor"] = preprocess(arrays["resized"], contract["mode"])
        results = {key: value[0] for key, value in expected.predict(arrays["resized"][np.newaxis]).items()}
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
    (directory / "goldens.json").write_text(json.dumps(index, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def case_name(picture: Path, pictures: Sequence[Path]) -> str:
    """The picture's name without its suffix, or with it where another picture has the same."""
    twins = [other for other in pictures if other.stem.lower() == picture.stem.lower()]
    return picture.stem if len(twins) == 1 else picture.name.replace(".", "_")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.golden", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", required=True, help="an exported directory, or a .keras or .h5 file")
    parser.add_argument("--trained-with", choices=MODES, help="the preprocessing that a file's weights expect")
    parser.add_argument(
        "--images", required=True, type=Path, metavar="DIR", help="the pictures, every file of a kind that is read"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="the pack; a directory that is empty or not there"
    )
    options = parser.parse_args(arguments)
    if is_file(options.model) and not options.trained_with:
        parser.error(f"{options.model}: {MODE_NEEDED}")
    if options.trained_with and not is_file(options.model):
        parser.error("--trained-with goes with a model file: an exported directory says it itself")
    try:
        _make(options)
    except (GoldenError, manifest.ManifestError, *recipe.ERRORS, OSError) as error:
        print(f"golden: {error}", file=sys.stderr)
        return 1
    return 0


def _make(options: argparse.Namespace) -> None:
    if not options.images.is_dir():
        raise GoldenError(f"{options.images}: no such directory")
    pictures = sorted(path for path in options.images.iterdir() if path.suffix.lower() in SUFFIXES)
    if not pictures:
        raise GoldenError(f"{options.images}: no pictures ({', '.join(SUFFIXES)})")
    if options.out.exists() and not (options.out.is_dir() and not any(options.out.iterdir())):
        raise GoldenError(f"{options.out}: is there and not an empty directory")
    if Path(options.model).is_dir():
        stored = manifest.read(Path(options.model))
        loaded = recipe.from_manifest(stored).load()
        contract = stored["input"]
        if loaded.weights["sha256"] != stored["weights"]["sha256"]:
            raise GoldenError(f"{options.model}: its weights are not those that {loaded.weights['source']} gives now")
    else:
        loaded = recipe.Recipe(architecture=options.model, trained_with=options.trained_with).load()
        contract = manifest.input_contract(*loaded.size)
    expected = reference(loaded.model, loaded.mode, loaded.headless)
    flags = ["--model", options.model, "--images", str(options.images)]
    if options.trained_with:
        flags += ["--trained-with", options.trained_with]
    command = f"python -m tools.golden {shlex.join(flags)}"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{options.out.name}.", dir=options.out.parent) as scratch:
        pack = Path(scratch) / "pack"
        write(pack, expected, contract, pictures, command)
        os.rename(pack, options.out)
    print(f"{options.out}: {len(pictures)} cases from {expected.description}")


if __name__ == "__main__":
    sys.exit(main())
