"""The stage at which functions leave what a contract can say."""

import io

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerasrun_export import find, find_contract
from kerasrun_export.contract import Resize
from kerasrun_export.errors import FindError
from predicting import SIZE, WIDTH_HEIGHT, decoded, model, near, rgb

BICUBIC, BILINEAR = Resize(method="bicubic"), Resize("tensorflow", "bilinear")


def noisy(path: str):
    image = np.asarray(Image.open(path).convert("RGB").resize(WIDTH_HEIGHT), np.float32)
    noise = np.random.default_rng().normal(0, 2, image.shape).astype(np.float32)
    return model.predict((image + noise)[np.newaxis], verbose=0)


def always_the_same_noise(path: str):
    image = np.asarray(Image.open(path).convert("RGB").resize(WIDTH_HEIGHT), np.float32)
    noise = np.random.default_rng(7).normal(0, 2, image.shape).astype(np.float32)
    return model.predict((image + noise)[np.newaxis], verbose=0)


def clahe(path: str):
    lab = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2LAB)
    lab[..., 0] = cv2.createCLAHE(2.0, (8, 8)).apply(lab[..., 0])
    image = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return model.predict(cv2.resize(image, WIDTH_HEIGHT)[np.newaxis] / 255.0, verbose=0)


def nearly(path: str):
    """The arithmetic alone is another: with a number for each place."""
    image = np.asarray(Image.open(path).convert("RGB").resize(WIDTH_HEIGHT), np.float32)
    image = image * np.linspace(1, 1 + 1e-5, SIZE[1], dtype=np.float32)[:, np.newaxis]
    return model.predict(image[np.newaxis], verbose=0)


def test_it_says_none_at_random(photos):
    with pytest.raises(FindError, match="does something at random"):
        find_contract(noisy, photos)


@pytest.mark.parametrize(
    ("predict", "stage", "near"),
    [
        (always_the_same_noise, "resize", Resize(method="bicubic")),
        (clahe, "decode", None),
        (nearly, "normalize", Resize(method="bicubic")),
    ],
)
def test_it_says_none(predict, stage, near, photos):
    with pytest.raises(find.NoContractError) as caught:
        find_contract(predict, photos, accept=1e-9)
    nearest = caught.value.nearest
    assert nearest.stage == stage
    assert near in (None, nearest.preprocessing.resize)
    assert nearest.largest > nearest.mean > 0
    assert f"by stage {stage}" in str(caught.value)
    assert "no contract makes the tensors of all 3 images" in str(caught.value)
    difference = find.difference_image(nearest)
    assert difference.size == WIDTH_HEIGHT
    if stage == "normalize":
        accepted = find_contract(predict, photos, accept=nearest.largest)
        assert accepted.difference == nearest.largest
        assert accepted.inputs[0].resize == near


def encoded_again(path: str) -> Image.Image:
    file = io.BytesIO()
    rgb(path).save(file, "JPEG", quality=75)
    return Image.open(file)


# What each does, the stage at which it leaves what a contract can say, the decoder and the resize
# that come nearest; None: any.
NEAR_MISSES = {
    "convert_image_dtype before the resize": (
        lambda path: tf.image.resize(tf.image.convert_image_dtype(decoded(path), tf.float32), SIZE),
        ("normalize", "tensorflow", BILINEAR),
    ),
    "JPEG encoded again": (
        lambda path: np.array(encoded_again(path).resize(WIDTH_HEIGHT)) / 255.0,
        ("decode", "pillow", BICUBIC),
    ),
    "adjust_jpeg_quality": (
        lambda path: tf.image.resize(tf.image.adjust_jpeg_quality(decoded(path), 75), SIZE) / 255.0,
        ("decode", "tensorflow", BILINEAR),
    ),
    "gamma": (
        lambda path: (np.array(rgb(path).resize(WIDTH_HEIGHT)) / 255.0) ** 2.2,
        ("normalize", "pillow", BICUBIC),
    ),
    "gamma of floats": (
        lambda path: (tf.image.resize(decoded(path), SIZE) / 255.0) ** (1 / 2.2),
        ("normalize", "tensorflow", BILINEAR),
    ),
    "resized twice": (
        lambda path: np.array(rgb(path).resize((128, 128)).resize(WIDTH_HEIGHT)) / 255.0,
        ("resize", "pillow", None),
    ),
    "resized twice by TensorFlow": (
        lambda path: tf.image.resize(tf.image.resize(decoded(path), (128, 128)), SIZE) / 255.0,
        ("resize", "tensorflow", None),
    ),
    "the image's own mean": (
        lambda path: tf.image.per_image_standardization(tf.image.resize(decoded(path), SIZE)),
        ("normalize", "tensorflow", BILINEAR),
    ),
    "colours of another image": (
        lambda path: tf.image.adjust_hue(tf.image.resize(decoded(path), SIZE) / 255.0, 0.1),
        ("decode", "tensorflow", BILINEAR),
    ),
    "the middle of the image": (
        lambda path: tf.image.resize(tf.image.central_crop(decoded(path), 0.875), SIZE) / 255.0,
        ("resize", None, None),
    ),
    "turned round": (
        lambda path: np.array(rgb(path).resize(WIDTH_HEIGHT))[:, ::-1] / 255.0,
        ("resize", None, None),
    ),
}


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_the_stage_of_near_misses(name, photos):
    function, (stage, decoder, resize) = NEAR_MISSES[name]
    with pytest.raises(find.NoContractError) as caught:
        find_contract(near(function), photos)
    got = caught.value.nearest
    assert got.stage == stage
    assert decoder in (None, got.preprocessing.decode.by)
    assert resize in (None, got.preprocessing.resize)
    assert got.largest > 0
