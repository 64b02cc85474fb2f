"""Trains ResNeXt50 on scikit-learn's digits, and compares Go's results with Keras's.

`python -m scripts.digits` (or `make digits`, which builds bin/kerasrun first). Everything goes to
out/digits: the trained model, its export, the test digits as PNG files, Go's answers, and
confusion.png. The exit status is 1 unless Go answers each image as Keras does and over 97 % of them
right.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from kerasrun_export import cli, export  # noqa: F401  cli silences TensorFlow
from kerasrun_export.backend import keras, tf
from kerasrun_export.images import preprocess
from kerasrun_export.model import build
from scripts.digits.confusion_matrix import draw
from scripts.digits.twin import twin

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "digits"
SIDE = 32  # the smallest input that the builder takes; a digit has 8 x 8 pixels
SEED = 0
BATCH = 32
ACCURACY, TOLERANCE = 0.97, 1e-5


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images to train on, (n, 8, 8) uint8, those to test on, and the digits of both; a quarter is
    for the test.
    """
    digits = load_digits()
    pixels = (digits.images * 255 / 16).round().astype(np.uint8)
    return train_test_split(
        pixels, digits.target, test_size=0.25, random_state=SEED, stratify=digits.target
    )


def train(images: np.ndarray, target: np.ndarray, epochs: int) -> keras.Model:
    """ResNeXt50 of the published layers and names, from random weights, on images as the pipeline
    prepares them.
    """
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    model = build("resnext50", input_shape=(SIDE, SIDE, 3), classes=10, data_format="channels_last")
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # Keras's 0.99 is for more steps than these
            if layer.name.endswith("_3_bn"):
                # Each block begins as the identity (Goyal et al. 2017, 5.1): a third of the epochs
                # reach as far.
                layer.gamma.assign(np.zeros(layer.gamma.shape))
    student, large = twin(model), enlarged(images)
    steps = epochs * -(-len(large) // BATCH)
    student.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(
                5e-5, steps, warmup_target=1e-3, warmup_steps=steps // 10
            )
        ),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy"],
        jit_compile=False,  # XLA takes longer to compile it than it saves
    )
    draw_moves = np.random.default_rng(SEED)
    for epoch in range(epochs):
        shown = preprocess(moved(large, draw_moves), "caffe")
        student.fit(
            shown, np.eye(10)[target], BATCH, initial_epoch=epoch, epochs=epoch + 1, verbose=2
        )
    model.set_weights(student.get_weights())
    return model


def enlarged(images: np.ndarray) -> np.ndarray:
    """What the pipeline makes of grey images before it normalises: (n, SIDE, SIDE, 3)."""
    factor = SIDE // images.shape[1]
    large = images.repeat(factor, axis=1).repeat(factor, axis=2)
    return np.stack([large] * 3, axis=-1)


def moved(images: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Each image moved by up to one of its own pixels in both directions, with black behind it."""
    step = SIDE // 8
    padded = np.pad(images, ((0, 0), (step, step), (step, step), (0, 0)))
    corners = draw.integers(0, 2 * step + 1, (len(images), 2))
    return np.stack(
        [p[y : y + SIDE, x : x + SIDE] for p, (y, x) in zip(padded, corners, strict=True)]
    )


def write_images(images: np.ndarray, folder: Path) -> list[Path]:
    """Writes each as a grey PNG file of its own size and returns their paths, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    paths = [folder / f"{i:04}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


def keras_answers(model: keras.Model, paths: list[Path]) -> np.ndarray:
    """Keras's probabilities for image files, (n, 10), read as its users read them."""
    images = [
        keras.utils.img_to_array(keras.utils.load_img(path, target_size=(SIDE, SIDE)))
        for path in paths
    ]
    return model.predict(preprocess(np.stack(images), "caffe"), verbose=0)


def go_answers(exported: Path, paths: list[Path], output: Path) -> np.ndarray:
    """kerasrun score's probabilities for image files, (n, 10)."""
    for old in output.parent.glob(f"{output.name}*"):
        old.unlink()
    command = [
        ROOT / "bin" / "kerasrun",
        "score",
        "--model",
        exported,
        "--output",
        output,
        "--outputs",
        "probs",
    ]
    subprocess.run([*command, paths[0].parent], check=True)
    frame = pd.read_parquet(output)
    if list(frame.path) != [str(path) for path in paths] or frame.error.notna().any():
        raise SystemExit(
            f"digits: {output} does not answer each of {len(paths)} images once and in order"
        )
    return np.stack(frame.probs)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.digits", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--epochs", type=int, default=16)
    epochs = parser.parse_args().epochs
    train_images, test_images, train_target, target = split()
    print(
        f"training on {len(train_images)} digits, {epochs} epochs; {len(test_images)} others "
        "are for the test"
    )
    start = time.monotonic()
    model = train(train_images, train_target, epochs)
    print(f"trained in {time.monotonic() - start:.0f} s")
    OUT.mkdir(parents=True, exist_ok=True)
    trained, exported = OUT / "resnext50.keras", OUT / "model"
    model.save(trained)
    names = [str(digit) for digit in range(10)]
    export(model, exported, pipeline="load_img", mode="caffe", class_names=names)

    paths = write_images(test_images, OUT / "test")
    ours = go_answers(exported, paths, OUT / "scores.parquet")
    keras_own = keras_answers(keras.models.load_model(trained), paths)
    difference = np.abs(ours - keras_own).max()
    flips = int((ours.argmax(axis=1) != keras_own.argmax(axis=1)).sum())
    right, keras_right = ((probs.argmax(axis=1) == target).sum() for probs in (ours, keras_own))
    print(
        f"{len(target)} test digits: Go has {right} right ({right / len(target):.2%}), Keras "
        f"{keras_right}; "
        f"top classes that differ: {flips}; largest difference of a probability: {difference:.1e}"
    )
    draw(ours.argmax(axis=1), target, OUT / "confusion.png")
    print(f"confusion matrix: {OUT / 'confusion.png'}")
    if flips or not difference <= TOLERANCE:
        print("digits: Go's answers are not Keras's", file=sys.stderr)
        return 1
    if right <= ACCURACY * len(target):
        print(f"digits: want an accuracy over {ACCURACY:.0%}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
