"""Packs of format 2: several inputs, outputs of any rank, tolerances that are measured."""

import json

import numpy as np
import pytest

from kerasrun_export import images, pack, sample_images
from kerasrun_export.backend import keras
from kerasrun_export.contract import Decode, Input, Normalize, Resize
from kerasrun_export.errors import GoldenError
from kerasrun_export.reference import Reference

SIZE = (24, 32)
PHOTOS = [sample_images.DIRECTORY / name for name in ("cat.jpg", "coffee.jpg", "flower.webp")]
IMAGE = Input(
    "image",
    "image",
    "float32",
    (-1, *SIZE, 3),
    "NHWC",
    Decode("tensorflow"),
    Resize("tensorflow", "bilinear", "crop"),
    Normalize(),
)
AGE = Input("age", "tensor", "float32", (-1, 4))


@pytest.fixture(scope="module")
def expected() -> Reference:
    """A model of an image and four numbers, which gives a map and probabilities."""
    keras.utils.set_random_seed(3)
    image, age = keras.Input((*SIZE, 3), name="image"), keras.Input((4,), name="age")
    pixels = keras.layers.Conv2D(2, 3, padding="same", name="map")(image)
    joined = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(pixels), age])
    probs = keras.layers.Dense(3, activation="softmax", name="probs")(joined)
    model = keras.Model({"image": image, "age": age}, {"map": pixels, "probs": probs})

    def predict(tensors):
        return model.predict(dict(tensors), verbose=0)

    return Reference("a small model", {"keras": keras.__version__}, predict)


def test_what_is_written(expected, tmp_path):
    made = pack.cases([IMAGE, AGE], PHOTOS, expected.predict, drawn=["age"])
    index = pack.write(
        tmp_path / "pack",
        [IMAGE, AGE],
        made,
        expected,
        kind="manifest",
        bounded=["probs"],
        command="kerasrun-golden",
    )
    stored = json.loads((tmp_path / "pack" / "goldens.json").read_text())
    assert json.loads(json.dumps(index)) == stored
    assert (index["format"], index["reference_kind"]) == (2, "manifest")
    assert index["inputs"] == [IMAGE.to_json(), AGE.to_json()]
    assert index["outputs"] == ["map", "probs"]
    largest = 0.0
    for case, photo in zip(index["cases"], PHOTOS, strict=True):
        assert (tmp_path / "pack" / case["image"]).read_bytes() == photo.read_bytes()
        arrays = np.load(tmp_path / "pack" / case["arrays"])
        stages = images.stages(IMAGE, photo)
        assert arrays["resized"].dtype == np.float32
        for name in ("decoded", "resized", "tensor"):
            np.testing.assert_array_equal(arrays[name], getattr(stages, name))
        assert arrays["inputs/age"].shape == (4,)
        assert np.ptp(arrays["inputs/age"]) > 0
        tensors = {"image": arrays["tensor"][np.newaxis], "age": arrays["inputs/age"][np.newaxis]}
        for name, want in expected.predict(tensors).items():
            np.testing.assert_array_equal(arrays[name], want[0])
        assert arrays["map"].shape == (*SIZE, 2)
        largest = max(largest, float(np.abs(arrays["map"]).max()))
    assert index["tolerance"]["decode"] == index["tolerance"]["tensor"] == 0
    assert index["tolerance"]["probs"] == 1e-5
    assert index["tolerance"]["map"] == pytest.approx(1e-4 * largest)
    assert 0 <= index["measured"]["map"] < 1e-4 * largest


def test_a_reference_that_moves_has_a_wider_tolerance():
    """In a batch of more than one image this one's answers are others."""

    def predict(tensors):
        (x,) = tensors.values()
        return {"probs": x.mean(axis=(1, 2)) / 255 + (len(x) > 1) * np.float32(1e-4)}

    made = pack.cases([IMAGE], PHOTOS[:1], predict)
    tolerance, measured = pack.tolerances(made, predict, ["probs"])
    assert measured["probs"] == pytest.approx(1e-4, rel=1e-2)
    assert tolerance["probs"] == 10 * measured["probs"]


def test_a_plain_tensor_is_not_guessed(expected):
    with pytest.raises(GoldenError, match=r"age: expected an input of images.*--predict"):
        pack.cases([IMAGE, AGE], PHOTOS, expected.predict)


def test_an_encoded_image(tmp_path):
    encoded = Input("bytes", "encoded", "string", (-1,))

    def predict(tensors):
        return {"length": np.array([[len(x)] for x in tensors["bytes"]], np.int64)}

    made = pack.cases([encoded], PHOTOS, predict)
    reference = Reference("lengths", {}, predict)
    options = {"kind": "manifest", "bounded": [], "command": ""}
    index = pack.write(tmp_path / "pack", [encoded], made, reference, **options)
    for case, photo in zip(index["cases"], PHOTOS, strict=True):
        arrays = np.load(tmp_path / "pack" / case["arrays"])
        assert dict(arrays) == {"length": [photo.stat().st_size]}


def test_images_of_one_name_in_folders_of_classes(expected, tmp_path):
    paths = []
    for photo, name in zip(
        PHOTOS[:2] * 2, ("a/1.jpg", "b/1.jpg", "c/1.PNG", "c/2.jpg"), strict=True
    ):
        paths.append(tmp_path / name)
        paths[-1].parent.mkdir(exist_ok=True)
        paths[-1].write_bytes(photo.read_bytes())
    made = pack.cases([IMAGE, AGE], paths, expected.predict, drawn=["age"])
    options = {"kind": "manifest", "bounded": [], "command": ""}
    index = pack.write(tmp_path / "pack", [IMAGE, AGE], made, expected, **options)
    assert [case["name"] for case in index["cases"]] == ["1_jpg", "1_jpg_1", "1_PNG", "2"]
    for case, path in zip(index["cases"], paths, strict=True):
        assert (tmp_path / "pack" / case["image"]).read_bytes() == path.read_bytes()
