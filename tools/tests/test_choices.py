"""What users say of how images become tensors, against the Python functions that it names."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasrun_export import choices, contract, images, sample_images
from kerasrun_export.choices import decide, said
from kerasrun_export.errors import ChoiceError
from kerasrun_export.preparation import Preparation

SIZE = (40, 48)
PHOTOGRAPH = sample_images.DIRECTORY / "cat.jpg"
NOTHING = Preparation()


def tensor(found: Preparation = NOTHING, channels: int = 3, **options) -> np.ndarray:
    """The photograph as the choices make it."""
    made = decide(said(**options), found, channels, "my.keras")
    shape = (-1, *SIZE, channels)
    parts = (made.decode, made.resize, made.normalize)
    return images.stages(
        contract.Input("images", "image", "float32", shape, "NHWC", *parts), PHOTOGRAPH
    ).tensor


def load_img(**options) -> np.ndarray:
    return keras.utils.img_to_array(keras.utils.load_img(PHOTOGRAPH, target_size=SIZE, **options))


def tensorflow(**options) -> np.ndarray:
    pixels = tf.io.decode_image(PHOTOGRAPH.read_bytes(), channels=3, expand_animations=False)
    return np.asarray(tf.image.resize(pixels, SIZE, **options))


def generator(directory, **options) -> np.ndarray:
    """What ImageDataGenerator gives, of a directory with this one photograph."""
    (directory / "class").mkdir()
    (directory / "class" / "cat.jpg").write_bytes(PHOTOGRAPH.read_bytes())
    flow = keras.src.legacy.preprocessing.image.ImageDataGenerator(**options)
    return next(flow.flow_from_directory(directory, SIZE))[0][0]


def dataset(directory, **options) -> np.ndarray:
    (directory / "class").mkdir()
    (directory / "class" / "cat.jpg").write_bytes(PHOTOGRAPH.read_bytes())
    made = keras.utils.image_dataset_from_directory(
        directory, image_size=SIZE, verbose=False, **options
    )
    return np.asarray(next(iter(made))[0][0])


def by_cv2() -> np.ndarray:
    import cv2

    return cv2.resize(cv2.imread(str(PHOTOGRAPH)), (SIZE[1], SIZE[0])).astype(np.float32)


def by_pillow() -> np.ndarray:
    from PIL import Image

    resized = Image.open(PHOTOGRAPH).convert("RGB").resize((SIZE[1], SIZE[0]))
    return np.array(resized).astype(np.float32)


def teachable_machine() -> np.ndarray:
    """The lines that Teachable Machine exports, for this size."""
    from PIL import Image, ImageOps

    image = Image.open(PHOTOGRAPH).convert("RGB")
    image = ImageOps.fit(image, (SIZE[1], SIZE[0]), Image.Resampling.LANCZOS)
    image_array = np.asarray(image)
    return (image_array.astype(np.float32) / 127.5) - 1


def torch_by_hand() -> np.ndarray:
    x = load_img() / np.float32(255)
    x -= np.array([0.485, 0.456, 0.406], np.float32)
    return x / np.array([0.229, 0.224, 0.225], np.float32)


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ({"pipeline": "load_img", "mode": "none"}, load_img),
        (
            {"pipeline": "load_img", "mode": "caffe"},
            lambda: keras.applications.resnet.preprocess_input(load_img()),
        ),
        (
            {"pipeline": "load_img", "mode": "tf"},
            lambda: keras.applications.mobilenet_v2.preprocess_input(load_img()),
        ),
        (
            {"pipeline": "load_img", "mode": "torch"},
            lambda: keras.applications.densenet.preprocess_input(load_img()),
        ),
        (
            {"pipeline": "load_img", "resample": "bicubic", "fit": "crop", "divide": 255},
            lambda: load_img(interpolation="bicubic", keep_aspect_ratio=True) / np.float32(255),
        ),
        (
            {
                "pipeline": "load_img",
                "divide": 255,
                "mean": "0.485,0.456,0.406",
                "std": [0.229, 0.224, 0.225],
            },
            torch_by_hand,
        ),
        ({"pipeline": "decode_image", "mode": "none"}, tensorflow),
        (
            {"pipeline": "decode_image", "resample": "lanczos3", "antialias": True, "scale": 2},
            lambda: tensorflow(method="lanczos3", antialias=True) * np.float32(2),
        ),
        (
            {"pipeline": "load_img", "resample": "tensorflow:bilinear", "divide": 255},
            lambda: np.asarray(
                tf.image.resize(np.asarray(keras.utils.load_img(PHOTOGRAPH)), SIZE) / 255.0
            ),
        ),
        ({"pipeline": "cv2", "mode": "none"}, by_cv2),
        ({"pipeline": "cv2", "color": "rgb", "mode": "none"}, lambda: by_cv2()[..., ::-1]),
        ({"pipeline": "pillow", "mode": "none"}, by_pillow),
        ({"pipeline": "teachable_machine"}, teachable_machine),
        (
            {
                "decoder": "pillow",
                "color": "bgr",
                "resample": "nearest",
                "fit": "stretch",
                "mode": "none",
            },
            lambda: load_img()[..., ::-1],
        ),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_tensors(options, want):
    np.testing.assert_array_equal(tensor(**options), want())


def test_tensors_of_training_pipelines(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
    np.testing.assert_array_equal(
        tensor(pipeline="ImageDataGenerator", scale="1/255"),
        generator(tmp_path / "a", rescale=1.0 / 255),
    )
    np.testing.assert_array_equal(
        tensor(pipeline="image_dataset_from_directory", mode="none"), dataset(tmp_path / "b")
    )
    np.testing.assert_array_equal(
        tensor(pipeline="image_dataset_from_directory", fit="crop", mode="none"),
        dataset(tmp_path / "c", crop_to_aspect_ratio=True),
    )


def test_grey_tensors():
    want = keras.utils.img_to_array(
        keras.utils.load_img(PHOTOGRAPH, target_size=SIZE, color_mode="grayscale")
    )
    got = tensor(channels=1, pipeline="load_img", color="grayscale", mode="none")
    np.testing.assert_array_equal(got, want)


PREPARED = Preparation(("multiplies by 1/255 (layer rescaling)",), values=True)
SCALED_BEFORE = Preparation(("subtracts 0.5 (layer normalization)",), scaled_before=True)
SUBCLASSED = Preparation(("multiplies by 1/255 (layer rescaling)",), readable=False)


@pytest.mark.parametrize(
    ("options", "found", "channels", "message"),
    [
        ({}, NOTHING, 3, "how images are loaded: --pipeline load_img"),
        ({}, NOTHING, 3, "--mode caffe (BGR"),
        ({}, NOTHING, 3, "kerasrun-export my.keras --pipeline load_img --scale 1/255 --out DIR"),
        ({}, PREPARED, 3, "kerasrun-export my.keras --pipeline load_img --out DIR"),
        ({"pipeline": "ImageDataGenerator"}, NOTHING, 3, "--pipeline ImageDataGenerator --scale"),
        ({"decoder": "pillow", "mode": "none"}, NOTHING, 3, "--color, --fit, --resample too"),
        ({"pipeline": "load_img"}, SCALED_BEFORE, 3, "numbers of images that were scaled before"),
        ({"pipeline": "load_img"}, SUBCLASSED, 3, "as in a subclassed model"),
        ({"pipeline": "load_img"}, SUBCLASSED, 3, "--pipeline load_img --mode none --out DIR"),
        ({"pipeline": "load_img", "mode": "none"}, NOTHING, 1, "--color grayscale|grayscale_of"),
        ({"pipeline": "load_img", "mode": "none"}, NOTHING, 4, "--color rgba"),
        ({"pipeline": "cv2", "mode": "caffe"}, NOTHING, 3, "--color bgr|rgb"),
        ({"pipeline": "keras_hub"}, NOTHING, 3, "expected a KerasHub model with a preprocessor"),
        ({"pipeline": "load_img", "mode": "tf"}, PREPARED, 3, "Expected no --mode, or --mode none"),
        ({"pipeline": "load_img", "scale": 2}, PREPARED, 3, "Expected no --scale"),
        ({"pipeline": "teachable_machine"}, PREPARED, 3, "no --pipeline teachable_machine"),
        ({"pipeline": "load_image"}, NOTHING, 3, "--pipeline: expected one of load_img"),
        ({"mode": "tf", "scale": 2}, NOTHING, 3, "--mode tf and --scale: expected one of them"),
        ({"scale": 2, "divide": 2}, NOTHING, 3, "--scale and --divide: expected one of them"),
        ({"divide": 0}, NOTHING, 3, "--divide: expected numbers other than 0"),
        ({"fit": "short-side"}, NOTHING, 3, "--short-side N and --fit short-side"),
        ({"short_side": 9}, NOTHING, 3, "--short-side N and --fit short-side"),
        ({"fill": 9}, NOTHING, 3, "--fill goes with --fit pad"),
        ({"fit": "none", "resample": "nearest"}, NOTHING, 3, "nothing is resized"),
        ({"pipeline": "load_img", "resample": "lanczos3"}, NOTHING, 3, "a method of pillow"),
        ({"pipeline": "load_img", "resample": "torch:area"}, NOTHING, 3, "LIBRARY:METHOD"),
        ({"pipeline": "load_img", "antialias": True}, NOTHING, 3, "--antialias is tf.image"),
        ({"pipeline": "load_img", "decoder": "opencv"}, NOTHING, 3, "expected --resample too"),
        ({"pipeline": "load_img", "color": "rgb", "mode": "caffe"}, NOTHING, 3, "--color bgr"),
        ({"pipeline": "load_img", "color": "rgba", "mode": "none"}, NOTHING, 3, "rgb or bgr"),
        ({"pipeline": "load_img", "scale": [1, 2]}, NOTHING, 3, "expected 1 number or 3"),
        (
            {"pipeline": "load_img", "color": "grayscale", "mode": "torch"},
            NOTHING,
            1,
            "a model of 3 channels",
        ),
        ({"size": 3}, NOTHING, 3, "expected options of pipeline"),
        ({"scale": "1/0"}, NOTHING, 3, "expected numbers"),
        ({"scale": "a"}, NOTHING, 3, "expected numbers"),
        ({"scale": float("nan")}, NOTHING, 3, "expected finite numbers"),
    ],
)
def test_what_is_open_or_contradicts(options, found, channels, message):
    with pytest.raises(ChoiceError) as caught:
        decide(said(**options), found, channels, "my.keras")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_contradicts_can_be_meant():
    options = said(pipeline="load_img", scale="1/255")
    made = decide(options, PREPARED, 3, "my.keras", confirmed=True)
    assert made.normalize.steps == contract.steps(("multiply", 1 / 255))
    assert decide(said(pipeline="load_img"), PREPARED, 3, "my.keras").normalize.steps == ()
    assert decide(said(pipeline="load_img", mode="none"), PREPARED, 3, "a").normalize.steps == ()


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1/255", (1 / 255,)),
        ("0.5,1/2", (0.5, 0.5)),
        (3, (3.0,)),
        ([1, 2.5], (1.0, 2.5)),
        ("-1", (-1.0,)),
    ],
)
def test_numbers(text, want):
    assert choices.numbers(text) == want


def test_flags_are_read_as_they_are_written():
    from kerasrun_export.cli import flags
    from kerasrun_export.cli.export import parser

    given = said(
        pipeline="decode_image",
        color="bgr",
        antialias=False,
        offset="-1,-2,-3",
        divide=127.5,
        input={"photo": "image", "steps": "tensor"},
    )
    words = ["my.keras", "--out", "x", *choices.flags(given.to_manifest())]
    assert flags.read(parser().parse_args(words)) == given
