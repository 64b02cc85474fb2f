"""The preprocessing modes of `keras.applications`, by name."""

import numpy as np

from kerasrun_export.backend import keras

MODES = ("caffe", "tf", "torch", "none")
MODE_NEEDED = (
    "a model file does not say how images are to be preprocessed: expected --trained-with "
    "caffe (BGR, 0 to 255, ImageNet's means subtracted), tf (RGB, -1 to 1), "
    "torch (RGB, 0 to 1, ImageNet's means subtracted, divided by its deviations) "
    "or none (RGB, 0 to 255)"
)


def preprocess(images: np.ndarray, mode: str) -> np.ndarray:
    """RGB 0 to 255, (..., 3), as Keras's mode of that name makes it, float32; "none": unchanged."""
    images = np.asarray(images, np.float32)
    if mode == "none":
        return images
    return keras.applications.imagenet_utils.preprocess_input(
        images.copy(), data_format="channels_last", mode=mode
    )
