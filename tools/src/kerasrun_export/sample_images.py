"""The sample photographs: found, read as Keras reads them, and, by `python -m tools.photos`, made.

Their sources, authors and licences are in testdata/photos/ATTRIBUTION.md. They come from the wheels of scikit-image and
scikit-learn and are kept small and of mixed sizes, shapes and formats.
"""

import importlib.resources
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tools.backend import keras

DIRECTORY = Path(__file__).resolve().parent.parent / "testdata" / "photos"
MODES = ("caffe", "tf", "torch", "none")


def paths() -> list[Path]:
    """The photographs, in order of name."""
    return sorted(path for path in DIRECTORY.iterdir() if path.suffix in (".jpg", ".png", ".webp"))


def load(height: int, width: int, mode: str) -> np.ndarray:
    """Every photograph as Keras feeds it, (n, height, width, 3) float32: load_img (nearest), then preprocess_input."""
    images = [keras.utils.load_img(path, target_size=(height, width)) for path in paths()]
    return preprocess(
        np.stack([keras.utils.img_to_array(image, data_format="channels_last") for image in images]), mode
    )


def preprocess(images: np.ndarray, mode: str) -> np.ndarray:
    """RGB 0 to 255, (..., 3), as Keras's mode of that name makes it, float32; "none" leaves it as it is."""
    images = np.asarray(images, np.float32)
    if mode == "none":
        return images
    return keras.applications.imagenet_utils.preprocess_input(images.copy(), data_format="channels_last", mode=mode)


@dataclass(frozen=True)
class Photo:
    """How one photograph is made: the package and file it comes from, its new size, Pillow's options for saving it."""

    package: str
    file: str
    size: tuple[int, int] | None = None
    options: dict = field(default_factory=lambda: {"quality": 85, "subsampling": "4:2:0"})


PHOTOS = {
    "astronaut.png": Photo("skimage.data", "astronaut.png", (256, 256), {"optimize": True}),
    "camera.jpg": Photo("skimage.data", "camera.png"),
    "cat.jpg": Photo("skimage.data", "chelsea.png"),
    "china.jpg": Photo("sklearn.datasets.images", "china.jpg", None, {"quality": 90, "subsampling": "4:4:4"}),
    "coffee.jpg": Photo("skimage.data", "coffee.png"),
    "flower.webp": Photo("sklearn.datasets.images", "flower.jpg", (320, 214), {"lossless": True}),
    "hubble.jpg": Photo("skimage.data", "hubble_deep_field.jpg", (500, 436), {"quality": 85, "progressive": True}),
    "retina.jpg": Photo("skimage.data", "retina.jpg", (480, 480)),
    "rocket.jpg": Photo("skimage.data", "rocket.jpg"),
}


def main() -> None:
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for name, photo in PHOTOS.items():
        with importlib.resources.files(photo.package).joinpath(photo.file).open("rb") as source:
            image = Image.open(source)
            image = image.resize(photo.size, Image.Resampling.LANCZOS) if photo.size else image.copy()
        image.info.clear()  # neither comments nor colour profiles come along
        image.save(DIRECTORY / name, **photo.options)
        print(f"{DIRECTORY / name}: {image.width}x{image.height}, {(DIRECTORY / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
