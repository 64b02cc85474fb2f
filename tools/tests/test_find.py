"""Contracts found from functions as people write them."""

import shutil
import tempfile
from pathlib import Path

import cv2
import keras_hub
import matplotlib.image
import numpy as np
import pytest
import tf_keras
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from PIL import Image, ImageOps

from kerasrun_export import find, find_contract
from kerasrun_export.backend import keras, tf
from kerasrun_export.contract import (
    MODES,
    Decode,
    Normalize,
    Resize,
    steps,
)
from kerasrun_export.errors import FindError
from predicting import SIZE, WIDTH_HEIGHT, decoded, model, near, network, rgb

BY_255 = Normalize(steps=steps(("divide", 255)))
TIMES = Normalize(steps=steps(("multiply", 1 / 255)))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BILINEAR = Resize("tensorflow", "bilinear")
grey, legacy = network(1), network(library=tf_keras)


def loaded(mode: str, **how):
    def predict(path: str):
        image = keras.utils.load_img(path, target_size=SIZE, **how)
        x = np.expand_dims(keras.utils.img_to_array(image), 0)
        return model.predict(
            keras.applications.imagenet_utils.preprocess_input(x, mode=mode), verbose=0
        )

    return predict


def load_img_grey(path: str):
    image = keras.utils.load_img(path, color_mode="grayscale", target_size=SIZE)
    return grey.predict(keras.utils.img_to_array(image)[np.newaxis] / 255.0, verbose=0)


def generator(path: str):
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "all").mkdir()
        shutil.copy(path, Path(directory) / "all")
        flow = ImageDataGenerator(rescale=1 / 255).flow_from_directory(
            directory, target_size=SIZE, class_mode=None, shuffle=False
        )
        return model.predict(flow, verbose=0)


def keras_2_generator(path: str):
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "all").mkdir()
        shutil.copy(path, Path(directory) / "all")
        flow = tf_keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255).flow_from_directory(
            directory, target_size=SIZE, interpolation="bilinear", class_mode=None, shuffle=False
        )
        return legacy.predict(flow, verbose=0)


def from_directory(**how):
    def predict(path: str):
        with tempfile.TemporaryDirectory() as directory:
            shutil.copy(path, directory)
            dataset = keras.utils.image_dataset_from_directory(
                directory, labels=None, image_size=SIZE, verbose=False, **how
            )
            return model.predict(dataset, verbose=0)

    return predict


def decode_jpeg(path: str):
    image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
    image = tf.image.resize(image, SIZE) / 255.0
    return model(image[tf.newaxis], training=False)


@tf.function
def graph(image: tf.Tensor):
    # TensorFlow's graph optimiser makes of a division by a constant a multiplication.
    return model(tf.image.resize(image, SIZE, "bicubic", antialias=True)[tf.newaxis] / 255.0)


def in_a_graph(path: str):
    return graph(tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False))


def opencv(path: str):
    return model.predict(cv2.resize(cv2.imread(path), WIDTH_HEIGHT)[np.newaxis], verbose=0)


def opencv_rgb(path: str):
    image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    image = cv2.resize(image, WIDTH_HEIGHT).astype("float32") / 255.0
    return model.predict_on_batch(image[np.newaxis])


def opencv_area(path: str):
    image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    image = cv2.resize(image, WIDTH_HEIGHT, interpolation=cv2.INTER_AREA)
    return model.predict((image.astype(np.float32) / 127.5 - 1.0)[np.newaxis], verbose=0)


def opencv_grey(path: str):
    image = cv2.resize(cv2.imread(path, cv2.IMREAD_GRAYSCALE), WIDTH_HEIGHT)
    return grey.predict(image[np.newaxis, ..., np.newaxis] / 255.0, verbose=0)


def pillow(path: str):
    image = Image.open(path).convert("RGB").resize(WIDTH_HEIGHT)
    return model.predict(np.array(image)[np.newaxis] / 255.0, verbose=0)


def pillow_turned(path: str):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    image = image.resize(WIDTH_HEIGHT, Image.Resampling.LANCZOS)
    return model.predict((np.array(image, np.float32) - 127.5)[np.newaxis] / 128, verbose=0)


def mean_and_std(path: str):
    image = Image.open(path).convert("RGB").resize(WIDTH_HEIGHT, Image.Resampling.BILINEAR)
    x = (np.array(image) / 255.0 - np.array(MEAN)) / np.array(STD)
    return model.predict(x[np.newaxis], verbose=0)


converter = keras_hub.layers.ImageConverter(
    SIZE,
    scale=[1 / (s * 255) for s in STD],
    offset=[-m / s for m, s in zip(MEAN, STD, strict=True)],
)


def keras_hub_converter(path: str):
    return model.predict(converter(np.array(keras.utils.load_img(path))[np.newaxis]), verbose=0)


def teachable_machine(path: str):
    data = np.ndarray(shape=(1, *SIZE, 3), dtype=np.float32)
    image = Image.open(path).convert("RGB")
    image = ImageOps.fit(image, WIDTH_HEIGHT, Image.Resampling.LANCZOS)
    data[0] = (np.asarray(image).astype(np.float32) / 127.5) - 1
    return model.predict(data, verbose=0)


def tensorflow(method: str = "bilinear", fit: str = "stretch", antialias: bool = False) -> tuple:
    return Decode("tensorflow"), Resize("tensorflow", method, fit, antialias)


def by_pillow(method: str, fit: str = "stretch", **decode) -> tuple:
    return Decode("pillow", **decode), Resize("pillow", method, fit)


def by_opencv(method: str, color: str) -> tuple:
    return Decode("opencv", color, exif=True), Resize("opencv", method)


AS_IS = Normalize()
ROUNDED = Normalize(
    steps=steps(
        ("round", ()),
        ("multiply", [1 / (s * 255) for s in STD]),
        ("add", [-m / s for m, s in zip(MEAN, STD, strict=True)]),
    )
)
FUNCTIONS = {
    "load_img, caffe": (loaded("caffe"), *by_pillow("nearest", color="bgr"), MODES["caffe"]),
    "load_img bilinear, tf": (
        loaded("tf", interpolation="bilinear"),
        *by_pillow("bilinear"),
        MODES["tf"],
    ),
    "load_img keep_aspect_ratio, torch": (
        loaded("torch", keep_aspect_ratio=True),
        *by_pillow("nearest", "crop"),
        MODES["torch"],
    ),
    "load_img grayscale": (load_img_grey, *by_pillow("nearest", color="grayscale"), BY_255.steps),
    "ImageDataGenerator": (generator, *by_pillow("nearest"), TIMES.steps),
    "Keras 2": (keras_2_generator, *by_pillow("bilinear"), TIMES.steps),
    "image_dataset_from_directory": (from_directory(), *tensorflow(), ()),
    "crop_to_aspect_ratio": (
        from_directory(crop_to_aspect_ratio=True),
        *tensorflow(fit="crop"),
        (),
    ),
    "pad_to_aspect_ratio": (from_directory(pad_to_aspect_ratio=True), *tensorflow(fit="pad"), ()),
    "decode_jpeg": (decode_jpeg, *tensorflow(), BY_255.steps),
    "tf.function": (in_a_graph, *tensorflow("bicubic", antialias=True), TIMES.steps),
    "cv2": (opencv, *by_opencv("linear", "bgr"), ()),
    "cv2 BGR2RGB": (opencv_rgb, *by_opencv("linear", "rgb"), BY_255.steps),
    "cv2 area": (opencv_area, *by_opencv("area", "rgb"), MODES["tf"]),
    "cv2 grey": (opencv_grey, *by_opencv("linear", "grayscale"), BY_255.steps),
    "Pillow": (pillow, *by_pillow("bicubic"), BY_255.steps),
    "Pillow, EXIF": (
        pillow_turned,
        *by_pillow("lanczos", exif=True),
        steps(("subtract", 127.5), ("divide", 128)),
    ),
    "mean and std in float64": (
        mean_and_std,
        *by_pillow("bilinear"),
        steps(("divide", 255), ("subtract", MEAN), ("divide", STD)),
    ),
    "KerasHub": (
        keras_hub_converter,
        Decode(),
        Resize("tensorflow", "bilinear", "crop"),
        ROUNDED.steps,
    ),
    "Teachable Machine": (
        teachable_machine,
        *by_pillow("lanczos", "imageops_fit"),
        MODES["tf"],
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_finds(name, photos):
    predict, decode, resize, operations = FUNCTIONS[name]
    found = find_contract(predict, photos)
    (got,) = found.inputs
    dtype = "float64" if "float64" in name else "float32"
    assert found.difference == 0
    assert found.images == 3
    assert got.shape[1:3] == SIZE
    assert (got.decode, got.resize) == (decode, resize)
    assert got.normalize.dtype == dtype
    assert [step.op for step in got.normalize.steps] == [step.op for step in operations]
    for step, want in zip(got.normalize.steps, operations, strict=True):
        np.testing.assert_allclose(step.values, want.values, rtol=1e-7)


def by_keras(*layers, decode=decoded, dtype="float32"):
    """Layers before the model, as a Sequential of their own that has no weights."""
    prepare = keras.Sequential(layers)
    return near(lambda path: prepare(tf.cast(decode(path), dtype)[np.newaxis])[0])


def padding(method: str = "bilinear", antialias: bool = False, fill: float = 127) -> Resize:
    return Resize("tensorflow", method, "pad_first", antialias, fill)


RESIZING = keras.layers.Resizing
PADDED = {"pad_to_aspect_ratio": True, "fill_value": 127}


def short_side(path: str) -> np.ndarray:
    """torchvision's Resize(97) and CenterCrop."""
    image = rgb(path)
    shape = np.array(image).shape[:2]
    height, width = (97, int(97 * shape[1] / shape[0]))
    if shape[1] < shape[0]:
        height, width = int(97 * shape[0] / shape[1]), 97
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    top, left = round((height - SIZE[0]) / 2), round((width - SIZE[1]) / 2)
    return np.array(image)[top : top + SIZE[0], left : left + SIZE[1]] / 255.0


FITS = {
    "Resizing": (by_keras(RESIZING(*SIZE)), BILINEAR),
    "Resizing, crop": (
        by_keras(RESIZING(*SIZE, crop_to_aspect_ratio=True)),
        Resize("tensorflow", "bilinear", "crop"),
    ),
    "Resizing, pad": (by_keras(RESIZING(*SIZE, pad_to_aspect_ratio=True)), padding(fill=0)),
    "Resizing, fill": (by_keras(RESIZING(*SIZE, **PADDED)), padding()),
    "Resizing, bytes": (by_keras(RESIZING(*SIZE, **PADDED), dtype="uint8"), padding()),
    "Resizing, bicubic": (
        by_keras(RESIZING(*SIZE, "bicubic", antialias=True, **PADDED)),
        padding("bicubic", True),
    ),
    "keras.ops": (
        near(
            lambda path: (
                keras.ops.image.resize(
                    tf.cast(decoded(path), tf.float32),
                    SIZE,
                    pad_to_aspect_ratio=True,
                    fill_value=255.0,
                )
                / 127.5
                - 1
            )
        ),
        padding(fill=255),
    ),
    "ImageOps.pad": (
        near(
            lambda path: (
                np.array(ImageOps.pad(rgb(path), WIDTH_HEIGHT, color=(114, 114, 114))) / 255.0
            )
        ),
        Resize("pillow", "bicubic", "pad", fill=114),
    ),
    "a short side of its own": (
        near(short_side),
        Resize("pillow", "bilinear", "short_side", short_side=97),
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_fits_are_exact(name, photos):
    function, want = FITS[name]
    found = find_contract(function, photos)
    assert found.difference == 0
    assert found.inputs[0].resize == want
    assert found.equivalent == ()


def test_what_pads_shows_in_any_of_the_images(photos, tmp_path):
    """The smallest image has the tensor's shape, so that nothing is padded."""
    with Image.open(photos[0]) as image:
        image.resize(WIDTH_HEIGHT).save(tmp_path / "small.png")
    found = find_contract(FITS["Resizing, fill"][0], [tmp_path / "small.png", *photos])
    assert found.inputs[0].resize == padding()


def test_an_input_beside_the_image(photos):
    """A state that is always the same is a tensor; one that is no image has to be named."""
    image, state = keras.Input((*SIZE, 3), name="photo"), keras.Input((20, 10), name="state")
    x = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(image), state[:, 0]])
    both = keras.Model([image, state], keras.layers.Dense(3)(x))

    def predict(path: str, **state):
        pixels = np.asarray(rgb(path).resize(WIDTH_HEIGHT), np.float32)[np.newaxis]
        number = 0.0 if not state else np.sin(pixels[:, :20, :10, 0])
        return both.predict([pixels, np.zeros((1, 20, 10)) + number], verbose=0)

    found = find_contract(predict, photos, both)
    assert [one.kind for one in found.inputs] == ["image", "tensor"]
    line = find.export_command("my.keras", found, "c.json")
    assert "--input state=tensor" in line
    told = lambda path: predict(path, told=True)  # noqa: E731
    asks = r"input state \(-1, 20, 10\).*--input state=tensor .*--input state=image says"
    with pytest.raises(FindError, match=asks):
        find_contract(told, photos, both)
    found = find_contract(told, photos, both, input_kinds={"state": "tensor"})
    assert [one.kind for one in found.inputs] == ["image", "tensor"]
    with pytest.raises(find.NoContractError, match="The nearest is"):
        find_contract(told, photos, both, input_kinds={"state": "image"})
    with pytest.raises(FindError, match="expected an input of photo, state and one of tensor"):
        find_contract(told, photos, both, input_kinds={"stats": "tensor"})


def test_what_the_images_do_not_tell(photos, tmp_path):
    """The function takes no image made to tell contracts apart, so nothing is guessed."""

    def predict(path: str):
        if not path.startswith(str(photos[0].parent)):
            raise ValueError("of my own images only")
        return pillow(path)

    with pytest.raises(FindError, match="a JPEG with an orientation in EXIF, which fails on it"):
        find_contract(predict, photos)
    with Image.open(photos[0]) as image:
        exif = Image.Exif()
        exif[0x0112] = 8
        image.convert("RGB").save(photos[0].parent / "turned.jpg", exif=exif)
    try:
        found = find_contract(predict, [*photos, photos[0].parent / "turned.jpg"])
    finally:
        (photos[0].parent / "turned.jpg").unlink()
    assert found.inputs[0].decode == Decode("pillow")


def test_grey_images_tell_the_order_of_channels(photos, tmp_path):
    """Probes are in colours where the user's images are not."""
    with Image.open(photos[0]) as image:
        image.convert("L").save(tmp_path / "grey.png")

    def predict(path: str):
        pixels = cv2.resize(cv2.imread(path), WIDTH_HEIGHT)
        return model.predict(pixels[np.newaxis] / 255, verbose=0)

    found = find.find_contract(predict, tmp_path)
    assert found.inputs[0].decode == Decode("opencv", "bgr", exif=True)
    assert found.equivalent == ()


def test_what_becomes_of_other_kinds_of_files_is_said(photos):
    def predict(path: str):
        image = Image.open(path).convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image).convert("RGB").resize(WIDTH_HEIGHT)
        return model.predict(np.asarray(image)[np.newaxis] / 255, verbose=0)

    found = find.find_contract(predict, photos)
    assert found.unlike == ("a PNG with transparency",)


def test_kinds_of_files_that_a_reader_scales_otherwise(photos):
    """matplotlib gives PNG from 0 to 1 and everything else from 0 to 255."""
    jpegs = [path for path in photos if path.suffix == ".jpg"]

    def predict(path: str):
        pixels = cv2.resize(matplotlib.image.imread(path)[..., :3], WIDTH_HEIGHT)
        return model.predict(pixels[np.newaxis] / 255, verbose=0)

    def late(path: str):
        image = Image.open(path).resize(WIDTH_HEIGHT).convert("RGB")
        return model.predict(np.asarray(image)[np.newaxis] / 255, verbose=0)

    png = ("a PNG", "a PNG with transparency", "a PNG with a palette")
    assert set(png) <= set(find.find_contract(predict, jpegs).unlike)
    unlike = find.find_contract(late, photos).unlike
    assert {"a PNG with a palette", "a PNG of 1 bit", "a GIF"} <= set(unlike)
    assert not {"a PNG", "a grey PNG", "a BMP", "a WebP", "a grey JPEG"} & set(unlike)


def test_floats_that_are_cast_to_a_model_of_bytes(photos):
    inputs = keras.Input((*SIZE, 3), dtype="uint8")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    whole = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))

    def predict(path: str):
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return whole.predict(tf.image.resize(image, SIZE)[np.newaxis], verbose=0)

    found = find.find_contract(predict, photos)
    assert found.inputs[0].resize == Resize("tensorflow", "bilinear", "stretch")
    assert found.inputs[0].normalize == Normalize()
