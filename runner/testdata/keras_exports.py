"""Writes what Keras's own model.export makes of three of its applications, and their answers:
keras_exports.py OUT
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np


def main(out: Path) -> None:
    images = np.random.default_rng(0).uniform(-100, 100, (2, 64, 64, 3)).astype("float32")
    answers = {"images": images}
    for name in ("MobileNetV2", "ResNet50", "EfficientNetB0"):
        keras.utils.set_random_seed(0)
        model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=10)
        model.export(out / name, verbose=False)
        answers[name] = model.predict(images, verbose=0)
        keras.backend.clear_session()
    np.savez(out / "answers.npz", **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
