"""Exports of keras_applications' ResNeXt for cmd/kerasrun/parity_test.go: parity.py SEED DIRECTORY.

Each export is made from a weights file of the official layout, which the published model itself
wrote after its weights were drawn; its golden pack holds what keras_applications answers. That
those answers are the drawn model's own is checked here, so that nothing on the way from the file to
the pack is taken on trust.
"""

import sys
from pathlib import Path

import numpy as np

from kerasrun_export import cli  # noqa: F401  first: it silences TensorFlow

# isort: split
import published
from kerasrun_export import sample_images
from kerasrun_export.backend import keras
from kerasrun_export.cli import export
from kerasrun_export.images import preprocess

SIDE = 64
# name, architecture, options of the published model, options of the exporter
CASES = [
    ("reference", "resnext50", {}, ["--graph", "reference"]),
    ("torch", "resnext50", {}, ["--mode", "torch"]),
    ("classes", "resnext50", {"classes": 7}, ["--classes", "7"]),
    (
        "avg",
        "resnext50",
        {"include_top": False, "pooling": "avg"},
        ["--no-top", "--pooling", "avg"],
    ),
    (
        "max",
        "resnext50",
        {"include_top": False, "pooling": "max"},
        ["--no-top", "--pooling", "max"],
    ),
    ("none", "resnext50", {"include_top": False}, ["--no-top"]),
    ("resnext101", "resnext101", {}, []),
]


def make(
    name: str, architecture: str, options: dict, flags: list[str], seed: int, directory: Path
) -> None:
    model = published.build(architecture, input_shape=(SIDE, SIDE, 3), **options)
    published.draw(model, seed)
    if "--no-top" not in flags:
        published.calibrate(model, sample_images.load(SIDE, SIDE, "caffe"))
    weights = directory / f"{name}.h5"
    model.save_weights(weights)
    out = directory / name
    arguments = [architecture, "--weights", str(weights), "--image-size", f"{SIDE}x{SIDE}", *flags]
    if export.main([*arguments, "--out", str(out)]) != 0:
        raise SystemExit(f"{name}: not exported")
    weights.unlink()
    for pack in (out / "assets.extra" / "goldens").glob("*.npz"):
        with np.load(pack) as arrays:
            images = preprocess(arrays["resized"][None], "torch" if name == "torch" else "caffe")
            key = "features" if "--no-top" in flags else "probs"
            difference = np.abs(model(images, training=False).numpy()[0] - arrays[key]).max()
            if not difference <= 1e-5 * max(1, np.abs(arrays[key]).max()):
                raise SystemExit(
                    f"{name}: {pack.name}: the pack is {difference:.2g} from the drawn model's "
                    "answer"
                )
    keras.backend.clear_session()


if __name__ == "__main__":
    for number, case in enumerate(CASES):
        make(*case, int(sys.argv[1]) + number, Path(sys.argv[2]))
