"""The sample photographs that come with the package: found, and read as Keras reads them.

An export is compared with Keras on them, and synthetic weights are calibrated on them. Their
sources, authors and licences are in photos/ATTRIBUTION.md.
"""

from pathlib import Path

import numpy as np

from kerasrun_export.backend import keras
from kerasrun_export.images import preprocess

DIRECTORY = Path(__file__).with_name("photos")


def paths() -> list[Path]:
    """The photographs, in order of name."""
    return sorted(path for path in DIRECTORY.iterdir() if path.suffix in (".jpg", ".png", ".webp"))


def pixels(height: int, width: int) -> np.ndarray:
    """Every photograph resized by load_img (nearest), (n, height, width, 3) uint8 RGB."""
    return np.stack(
        [np.asarray(keras.utils.load_img(path, target_size=(height, width))) for path in paths()]
    )


def load(height: int, width: int, mode: str) -> np.ndarray:
    """Every photograph as Keras feeds it, (n, height, width, 3) float32, preprocessed by mode."""
    return preprocess(pixels(height, width), mode)
