"""Trains small networks on digits that Keras's own loaders read, and compares Go with Keras.

`python -m scripts.digits.loaders` (or `make digits`). The digits are written as colour JPEG files
of odd sizes, one folder a digit. For each loader a network is trained on what it gives, exported as
the README says, and both answer the test files: the tensors have to be equal in every bit, the top
classes the same, and the accuracies with them.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from kerasrun_export import cli, export  # noqa: F401  cli silences TensorFlow
from kerasrun_export.backend import keras, tf
from scripts.digits.__main__ import OUT, ROOT, SEED, split

SIZE = (28, 24)  # height, width of the tensors
EPOCHS, BATCH = 12, 32
ACCURACY, TOLERANCE = 0.95, 1e-5
NAMES = [str(digit) for digit in range(10)]


@dataclass(frozen=True)
class Loader:
    """name: of the loader. batches: (images, classes) of a folder, without shuffling. first: the
    layers that a tutorial puts first. channels: of its tensors. flags: of the export.
    """

    name: str
    batches: Callable[[Path], list[tuple[np.ndarray, np.ndarray]]]
    first: Callable[[], list[keras.Layer]]
    channels: int
    flags: dict[str, str]


def dataset(color: str) -> Callable[[Path], list[tuple[np.ndarray, np.ndarray]]]:
    def batches(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
        images = keras.utils.image_dataset_from_directory(
            folder, image_size=SIZE, batch_size=BATCH, shuffle=False, color_mode=color, verbose=0
        )
        return [(x.numpy(), y.numpy()) for x, y in images]

    return batches


def generator(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    flow = tf.keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255).flow_from_directory(
        str(folder), target_size=SIZE, batch_size=BATCH, shuffle=False, class_mode="sparse"
    )
    return [flow[i] for i in range(len(flow))]


LOADERS = (
    Loader(
        "image_dataset_from_directory",
        dataset("rgb"),
        lambda: [keras.layers.Rescaling(1 / 255)],
        3,
        {"pipeline": "image_dataset_from_directory"},
    ),
    Loader(
        "ImageDataGenerator",
        generator,
        lambda: [],
        3,
        {"pipeline": "ImageDataGenerator", "scale": "1/255"},
    ),
    Loader(
        "grayscale",
        dataset("grayscale"),
        lambda: [keras.layers.Rescaling(1 / 255)],
        1,
        {"pipeline": "image_dataset_from_directory", "color": "grayscale"},
    ),
)


def write(images: np.ndarray, target: np.ndarray, folder: Path, draw: np.random.Generator) -> None:
    """Writes each digit as a colour JPEG of a size of its own, in its digit's folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for i, (image, digit) in enumerate(zip(images, target, strict=True)):
        width, height = draw.integers(25, 61, 2)
        ink, paper = draw.integers(120, 256, 3), draw.integers(0, 60, 3)
        share = image[:, :, np.newaxis] / 255
        pixels = (share * ink + (1 - share) * paper).astype(np.uint8)
        path = folder / str(digit) / f"{i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(
            path, quality=int(draw.integers(60, 96))
        )


def train(loader: Loader, folder: Path) -> keras.Model:
    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((*SIZE, loader.channels)),
            *loader.first(),
            layers.Conv2D(24, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(48, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    images, target = (np.concatenate(part) for part in zip(*loader.batches(folder), strict=True))
    model.fit(images, target, BATCH, EPOCHS, verbose=0)
    return model


def kerasrun(*arguments: str | Path) -> None:
    subprocess.run([ROOT / "bin" / "kerasrun", *arguments], check=True)


def compare(loader: Loader, model: keras.Model, folder: Path, out: Path) -> bool:
    """Exports the model and compares Go with it on the folder; whether they agree."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    exported = out / "model"
    export(model, exported, class_names=NAMES, **loader.flags)
    kerasrun("preprocess", "--model", exported, "-o", out / "tensors.npy", folder)
    scores = out / "scores.jsonl"
    kerasrun("score", "-q", "--model", exported, "--outputs", "probs", "-o", scores, folder)
    images, target = (np.concatenate(part) for part in zip(*loader.batches(folder), strict=True))
    want = model.predict(images, verbose=0)
    rows = [json.loads(line) for line in scores.read_text().splitlines()]
    got = np.array([row["probs"] for row in rows], np.float32)
    same_bits = np.array_equal(
        np.load(out / "tensors.npy").view(np.uint32), images.astype(np.float32).view(np.uint32)
    )
    difference = np.abs(got - want).max()
    flips = int((got.argmax(1) != want.argmax(1)).sum())
    right, keras_right = (int((p.argmax(1) == target).sum()) for p in (got, want))
    print(
        f"{loader.name}: tensors {'equal to the bit' if same_bits else 'DIFFER'}; of {len(target)} "
        f"Go has {right} right, Keras {keras_right}; top classes that differ: {flips}; largest "
        f"difference of a probability: {difference:.1e}",
        flush=True,
    )
    learned = right > ACCURACY * len(target)
    return same_bits and not flips and bool(difference <= TOLERANCE) and learned


def main() -> int:
    train_images, test_images, train_target, target = split()
    draw = np.random.default_rng(SEED)
    folders = OUT / "train-jpeg", OUT / "test-jpeg"
    write(train_images, train_target, folders[0], draw)
    write(test_images, target, folders[1], draw)
    agree = [
        compare(loader, train(loader, folders[0]), folders[1], OUT / loader.name)
        for loader in LOADERS
    ]
    return 0 if all(agree) else 1


if __name__ == "__main__":
    sys.exit(main())
