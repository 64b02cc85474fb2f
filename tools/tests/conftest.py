"""Fixtures of the exporter's tests."""

import os
import secrets
from pathlib import Path

import pytest
from PIL import Image

from kerasrun_export import (
    cli,  # noqa: F401  (first: it silences TensorFlow)
    sample_images,
)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    """The user's cache stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def seed() -> int:
    """A number drawn anew for each test and printed where the test fails; KERASRUN_SEED=N repeats
    it.
    """
    number = int(os.environ.get("KERASRUN_SEED") or secrets.randbelow(2**31))
    print(f"KERASRUN_SEED={number}")
    return number


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> list[Path]:
    """Small photographs, two JPEGs and a PNG, none with EXIF."""
    directory = tmp_path_factory.mktemp("photos")
    for source, name, size in (
        ("cat.jpg", "cat.jpg", (300, 201)),
        ("coffee.jpg", "coffee.jpg", (190, 241)),
        ("astronaut.png", "astronaut.png", (240, 240)),
    ):
        with Image.open(sample_images.DIRECTORY / source) as image:
            image.convert("RGB").resize(size).save(directory / name)
    return sorted(directory.iterdir())
