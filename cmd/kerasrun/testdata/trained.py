"""Keras's answers of EfficientNet-Lite0 for cmd/kerasrun/trained_test.go: trained.py DIRECTORY.

Prints {"cat.jpg": [the probability of each class], ...} of the images in the directory. They are
loaded as users of the weights load them, with Pillow and NumPy alone: nothing is taken from the
exported directory.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from kerasrun_export import cli  # noqa: F401  first: it silences TensorFlow

# isort: split
from kerasrun_export import efficientnet_lite0, model

SUFFIXES = (".jpg", ".png", ".webp")


def load(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        resized = image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    return (np.asarray(resized, np.float32) - np.float32(127)) / np.float32(128)


if __name__ == "__main__":
    trained = model.build(efficientnet_lite0.NAME)
    efficientnet_lite0.load_published(trained, None)
    paths = sorted(path for path in Path(sys.argv[1]).iterdir() if path.suffix in SUFFIXES)
    probs = trained.predict(np.stack([load(path) for path in paths]), verbose=0)
    answers = {path.name: row.tolist() for path, row in zip(paths, probs, strict=True)}
    json.dump(answers, sys.stdout)
