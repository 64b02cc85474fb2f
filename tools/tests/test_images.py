"""Tensors made as a contract says, against the Python that people write."""

import io
from pathlib import Path

import cv2
import keras_hub
import numpy as np
import pytest
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from PIL import Image, ImageOps

from kerasrun_export import images, sample_images
from kerasrun_export.backend import keras, tf
from kerasrun_export.contract import (
    METHODS,
    MODES,
    Decode,
    Input,
    Normalize,
    Resize,
    steps,
)
from kerasrun_export.errors import ImageError

SIZE = (49, 64)
PHOTOS = [sample_images.DIRECTORY / name for name in ("cat.jpg", "astronaut.png", "flower.webp")]
JPEG = PHOTOS[0]
UPRIGHT, NEAREST, UNCHANGED = Decode(), Resize(), Normalize()


def model_input(
    decode: Decode = UPRIGHT,
    resize: Resize = NEAREST,
    normalize: Normalize = UNCHANGED,
    *,
    size: tuple[int, int] = SIZE,
    dtype: str = "float32",
) -> Input:
    channels = {"grayscale": 1, "grayscale_of_rgb": 1, "rgba": 4}.get(decode.color, 3)
    shape = (-1, *size, channels)
    return Input("images", "image", dtype, shape, "NHWC", decode, resize, normalize)


def equal(got: np.ndarray, want: np.ndarray) -> None:
    want = np.asarray(want)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_array_equal(got, want)


@pytest.fixture(scope="module")
def turned(tmp_path_factory) -> Path:
    """A JPEG whose EXIF says that it lies on its side."""
    path = tmp_path_factory.mktemp("turned") / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(JPEG) as image:
        image.save(path, exif=exif, quality=95)
    return path


@pytest.mark.parametrize("color", ["rgb", "grayscale", "rgba"])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("method", METHODS["pillow"])
def test_load_img(color, keep, method):
    made = model_input(
        Decode(color=color), Resize(method=method, fit="crop" if keep else "stretch")
    )
    for path in PHOTOS:
        image = keras.utils.load_img(path, color, SIZE, method, keep_aspect_ratio=keep)
        got = images.stages(made, path)
        equal(got.tensor, keras.utils.img_to_array(image))
        equal(got.resized, keras.utils.img_to_array(image, dtype="uint8"))
        whole = keras.utils.load_img(path, color)
        equal(got.decoded, keras.utils.img_to_array(whole, dtype="uint8"))
        equal(images.stages(made, path.read_bytes()).tensor, got.tensor)


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_preprocess_input(mode):
    color = "bgr" if mode == "caffe" else "rgb"
    made = model_input(Decode(color=color), normalize=Normalize(steps=MODES[mode]))
    image = keras.utils.img_to_array(keras.utils.load_img(JPEG, target_size=SIZE))
    want = keras.applications.imagenet_utils.preprocess_input(image.copy(), mode=mode)
    equal(images.stages(made, JPEG).tensor, want)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("method", ["bilinear", "nearest", "bicubic", "area", "lanczos3"])
@pytest.mark.parametrize("color", ["rgb", "grayscale"])
def test_image_dataset_from_directory(fit, method, color, tmp_path):
    if (fit, method) == ("crop", "area"):
        pytest.skip("Keras has none")
    for path in PHOTOS[:2]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    dataset = keras.utils.image_dataset_from_directory(
        tmp_path,
        labels=None,
        color_mode=color,
        image_size=SIZE,
        interpolation=method,
        shuffle=False,
        crop_to_aspect_ratio=fit == "crop",
        pad_to_aspect_ratio=fit == "pad",
        verbose=False,
    )
    made = model_input(Decode("tensorflow", color), Resize("tensorflow", method, fit))
    (batch,) = dataset
    for path, want in zip(dataset.file_paths, batch.numpy(), strict=True):
        equal(images.stages(made, path).tensor, want.astype(np.float32))


def test_image_data_generator(tmp_path):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "cat.jpg").write_bytes(JPEG.read_bytes())
    flow = ImageDataGenerator(rescale=1 / 255).flow_from_directory(
        tmp_path, target_size=SIZE, class_mode=None
    )
    made = model_input(normalize=Normalize(steps=steps(("multiply", 1 / 255))))
    equal(images.stages(made, JPEG).tensor, flow[0][0])


@pytest.mark.parametrize("method", METHODS["tensorflow"])
@pytest.mark.parametrize("antialias", [False, True])
def test_tensorflow_by_hand(method, antialias):
    decoded = tf.io.decode_jpeg(JPEG.read_bytes(), channels=3)
    want = tf.image.resize(decoded, SIZE, method, antialias=antialias)
    want = tf.cast(want, tf.float32) / 255.0
    made = model_input(
        Decode("tensorflow"),
        Resize("tensorflow", method, antialias=antialias),
        Normalize(steps=steps(("divide", 255))),
    )
    equal(images.stages(made, JPEG).tensor, want.numpy())


def test_tensorflow_makes_rgb_grey():
    decoded = tf.image.rgb_to_grayscale(tf.io.decode_image(JPEG.read_bytes(), channels=3))
    made = model_input(Decode("tensorflow", "grayscale_of_rgb"), Resize("tensorflow", "bilinear"))
    equal(images.stages(made, JPEG).tensor, tf.image.resize(decoded, SIZE).numpy())


@pytest.mark.parametrize("given", [np.uint8, np.float32])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad_first"])
def test_keras_hub(given, method, fit):
    if (given, fit) == (np.uint8, "pad_first"):
        pytest.skip("Keras cannot")
    scale, offset = [1 / 58.4, 1 / 57.1, 1 / 57.4], [-2.1, -2.0, -1.8]
    converter = keras_hub.layers.ImageConverter(
        SIZE,
        scale,
        offset,
        crop_to_aspect_ratio=fit == "crop",
        pad_to_aspect_ratio=fit == "pad_first",
        interpolation=method,
        antialias=True,
    )
    want = converter(np.asarray(keras.utils.load_img(JPEG), given))
    operations = steps(("multiply", scale), ("add", offset))
    if given is np.uint8:
        operations = (*steps(("round", ())), *operations)
    resize = Resize("tensorflow", method, fit, antialias=True)
    made = model_input(resize=resize, normalize=Normalize(steps=operations))
    equal(images.stages(made, JPEG).tensor, np.asarray(want))


def test_teachable_machine():
    image = Image.open(JPEG).convert("RGB")
    image = ImageOps.fit(image, SIZE[::-1], Image.Resampling.LANCZOS)
    want = (np.asarray(image).astype(np.float32) / 127.5) - 1
    made = model_input(
        resize=Resize("pillow", "lanczos", "imageops_fit"), normalize=Normalize(steps=MODES["tf"])
    )
    equal(images.stages(made, JPEG).tensor, want)


def test_pillow_pads():
    want = ImageOps.pad(Image.open(JPEG), SIZE[::-1], Image.Resampling.BICUBIC, (9, 9, 9))
    made = model_input(resize=Resize("pillow", "bicubic", "pad", fill=9))
    equal(images.stages(made, JPEG).tensor, np.asarray(want, np.float32))


def test_float64():
    pixels = np.asarray(Image.open(JPEG).resize(SIZE[::-1])) / 255.0
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    want = ((pixels - mean) / std).astype(np.float32)
    made = model_input(
        resize=Resize(method="bicubic"),
        normalize=Normalize("float64", steps(("divide", 255), ("subtract", mean), ("divide", std))),
    )
    equal(images.stages(made, JPEG).tensor, want)


@pytest.mark.parametrize("method", METHODS["opencv"])
@pytest.mark.parametrize("color", ["bgr", "rgb", "grayscale", "grayscale_of_rgb", "rgba"])
def test_opencv(method, color, turned):
    flag = {"grayscale": cv2.IMREAD_GRAYSCALE, "rgba": cv2.IMREAD_UNCHANGED}
    conversion = {
        "rgb": cv2.COLOR_BGR2RGB,
        "grayscale_of_rgb": cv2.COLOR_BGR2GRAY,
        "rgba": cv2.COLOR_BGR2RGBA,
    }
    made = model_input(Decode("opencv", color, color != "rgba"), Resize("opencv", method))
    for path in (*PHOTOS, turned):
        want = cv2.imread(str(path), flag.get(color, cv2.IMREAD_COLOR))
        if color in conversion:
            want = cv2.cvtColor(want, conversion[color])
        want = cv2.resize(want, SIZE[::-1], interpolation=getattr(cv2, f"INTER_{method.upper()}"))
        want = want.reshape(*SIZE, -1).astype(np.float32)
        equal(images.stages(made, path).tensor, want)


def test_orientation(turned):
    image = ImageOps.exif_transpose(Image.open(turned)).convert("RGB")
    for exif, want in ((True, image), (False, Image.open(turned))):
        got = images.stages(model_input(Decode(exif=exif)), turned)
        equal(got.decoded, np.asarray(want))
        equal(got.resized, np.asarray(want.resize(SIZE[::-1], Image.Resampling.NEAREST)))
    for color in ("rgb", "grayscale", "rgba"):  # as load_img where there is nothing to turn
        for path in PHOTOS:
            upright = images.stages(model_input(Decode(color=color, exif=True)), path)
            equal(upright.tensor, images.stages(model_input(Decode(color=color)), path).tensor)
    ignored = cv2.imread(str(turned), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    equal(images.decode(Decode("opencv", "bgr"), turned.read_bytes()), ignored[..., ::-1])


def test_libraries_together():
    decoded = keras.utils.img_to_array(keras.utils.load_img(JPEG))
    want = tf.image.resize(decoded, SIZE).numpy()
    equal(images.stages(model_input(resize=Resize("tensorflow", "bilinear")), JPEG).tensor, want)
    read = cv2.cvtColor(cv2.imread(str(JPEG)), cv2.COLOR_BGR2RGB)
    want = np.asarray(Image.fromarray(read).resize(SIZE[::-1]), np.float32)
    made = model_input(Decode("opencv", exif=True), Resize("pillow", "bicubic"))
    equal(images.stages(made, JPEG).tensor, want)


def test_types_and_layouts():
    rgb = np.asarray(keras.utils.load_img(JPEG, target_size=SIZE))
    resized = tf.image.resize(tf.io.decode_jpeg(JPEG.read_bytes()), SIZE)
    whole = Image.open(JPEG)
    grey = Resize(), Normalize(steps=steps(("divide", 255)))
    tf_way = Decode("tensorflow"), Resize("tensorflow", "bilinear"), Normalize()
    for made, want in (
        (
            Input("x", "image", "uint8", (-1, *SIZE, 3), "NHWC", Decode(), *grey[:1], Normalize()),
            rgb,
        ),
        (
            Input("x", "image", "float32", (-1, 3, *SIZE), "NCHW", Decode(), Resize(), Normalize()),
            rgb.transpose(2, 0, 1).astype(np.float32),
        ),
        (
            Input("x", "image", "float16", (-1, *SIZE), "NHW", Decode(color="grayscale"), *grey),
            (
                np.asarray(keras.utils.load_img(JPEG, "grayscale", SIZE), np.float32)
                / np.float32(255)
            ).astype(np.float16),
        ),
        (
            Input("x", "image", "uint8", (-1, *SIZE, 3), "NHWC", *tf_way),
            tf.cast(resized, tf.uint8).numpy(),
        ),
        (
            Input(
                "x",
                "image",
                "float32",
                (-1, -1, -1, 3),
                "NHWC",
                Decode(),
                Resize(fit="none"),
                Normalize(),
            ),
            np.asarray(whole, np.float32),
        ),
    ):
        equal(images.stages(made, JPEG).tensor, want)


@pytest.mark.parametrize(
    ("made", "data", "message"),
    [
        (model_input(), b"GIF89a", "an image of 6 bytes: pillow cannot read it"),
        (model_input(Decode("tensorflow")), b"GIF89a", "tensorflow cannot read it"),
        (model_input(Decode("opencv")), b"GIF89a", "OpenCV cannot read it"),
        (model_input(Decode("tensorflow", exif=True)), None, "does not read the orientation"),
        (model_input(resize=Resize("opencv", "linear", "pad")), None, "expected stretch, short"),
        (model_input(resize=Resize(method="area")), None, "expected nearest, box"),
        (model_input(resize=Resize(antialias=True)), None, "antialias: expected false"),
        (model_input(resize=Resize(fit="none")), None, "expected an image of 64 x 49, got 451 x"),
        (model_input(size=(-1, -1)), None, "fit: expected none"),
        (model_input(resize=Resize(fit="pad", fill=300)), None, "a whole number from 0 to 255"),
        (model_input(resize=Resize(fit="pad", fill=0.5)), None, "a whole number from 0 to 255"),
        (model_input(resize=Resize("tensorflow", "area", "crop")), None, "expected bilinear, nea"),
        (model_input(resize=Resize(fit="short_side", short_side=50)), None, "at least 64"),
    ],
)
def test_what_cannot_be_made(made, data, message):
    with pytest.raises(ImageError, match=message):
        images.stages(made, JPEG.read_bytes() if data is None else data)


def test_short_side():
    """torchvision's Resize and CenterCrop on Pillow, the numbers worked by hand: 451 x 300."""
    image = Image.open(io.BytesIO(JPEG.read_bytes()))
    assert image.size == (451, 300)
    want = image.resize((105, 70), Image.Resampling.BILINEAR)  # int(70 * 451 / 300)
    want = want.crop((20, 10, 84, 59))  # round(20.5) is 20, round(10.5) is 10
    made = model_input(resize=Resize("pillow", "bilinear", "short_side", short_side=70))
    equal(images.stages(made, JPEG).resized, np.asarray(want))
