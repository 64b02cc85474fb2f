"""The preprocessing modes of `keras.applications`, by name."""

import numpy as np

from kerasrun_export.backend import keras


def preprocess(images: np.ndarray, mode: str) -> np.ndarray:
    """RGB 0 to 255, (..., 3), as Keras's mode of that name makes it, float32; "none": unchanged."""
    images = np.asarray(images, np.float32)
    if mode == "none":
        return images
    return keras.applications.imagenet_utils.preprocess_input(
        images.copy(), data_format="channels_last", mode=mode
    )
