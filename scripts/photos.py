"""Makes the sample photographs of testdata/photos: python -m scripts.photos.

Their sources, authors and licences are in testdata/photos/ATTRIBUTION.md. They come from the wheels
of scikit-image and scikit-learn and are kept small and of mixed sizes, shapes and formats.
"""

import importlib.resources
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

DIRECTORY = Path(__file__).resolve().parent.parent / "testdata" / "photos"


@dataclass(frozen=True)
class Photo:
    """How one photograph is made: the package and file it comes from, its new size, Pillow's
    options for saving it.
    """

    package: str
    file: str
    size: tuple[int, int] | None = None
    options: dict = field(default_factory=lambda: {"quality": 85, "subsampling": "4:2:0"})


PHOTOS = {
    "astronaut.png": Photo("skimage.data", "astronaut.png", (256, 256), {"optimize": True}),
    "camera.jpg": Photo("skimage.data", "camera.png"),
    "cat.jpg": Photo("skimage.data", "chelsea.png"),
    "china.jpg": Photo(
        "sklearn.datasets.images", "china.jpg", None, {"quality": 90, "subsampling": "4:4:4"}
    ),
    "coffee.jpg": Photo("skimage.data", "coffee.png"),
    "flower.webp": Photo("sklearn.datasets.images", "flower.jpg", (320, 214), {"lossless": True}),
    "hubble.jpg": Photo(
        "skimage.data", "hubble_deep_field.jpg", (500, 436), {"quality": 85, "progressive": True}
    ),
    "retina.jpg": Photo("skimage.data", "retina.jpg", (480, 480)),
    "rocket.jpg": Photo("skimage.data", "rocket.jpg"),
}


def main() -> None:
    for name, photo in PHOTOS.items():
        with importlib.resources.files(photo.package).joinpath(photo.file).open("rb") as source:
            image = Image.open(source)
            image = (
                image.resize(photo.size, Image.Resampling.LANCZOS) if photo.size else image.copy()
            )
        image.info.clear()  # neither comments nor colour profiles come along
        image.save(DIRECTORY / name, **photo.options)
        print(
            f"{DIRECTORY / name}: {image.width}x{image.height}, "
            f"{(DIRECTORY / name).stat().st_size} bytes"
        )


if __name__ == "__main__":
    main()
