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
from kerasrun_export.backend import keras


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    """The user's cache stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def seed() -> int:
    """What a test draws from, also the weights of its Keras models: the same in every run, so that
    a commit that passes once passes again. KERASRUN_SEED=N sets another one, KERASRUN_SEED=new
    draws one; it is printed where a test fails.
    """
    text = os.environ.get("KERASRUN_SEED") or "1"
    number = secrets.randbelow(2**31) if text == "new" else int(text)
    print(f"KERASRUN_SEED={number}")
    keras.utils.set_random_seed(number)
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
