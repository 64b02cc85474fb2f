"""Contracts found from functions as people write them, and none where there is none."""

import io
import json
import shutil
import tempfile
from pathlib import Path

import cv2
import keras_hub
import numpy as np
import pytest
import tf_keras
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from PIL import Image, ImageOps

from kerasrun_export import find, find_contract, images, manifest, sample_images, saved_model
from kerasrun_export.backend import keras, tf
from kerasrun_export.cli import contract as cli
from kerasrun_export.cli import export, golden
from kerasrun_export.contract import (
    MODES,
    Decode,
    Normalize,
    Resize,
    input_from_json,
    steps,
)
from kerasrun_export.errors import FindError

SIZE = (56, 72)
WIDTH_HEIGHT = (72, 56)
BY_255 = Normalize(steps=steps(("divide", 255)))
TIMES = Normalize(steps=steps(("multiply", 1 / 255)))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def network(channels: int = 3, library=keras):
    inputs = library.Input((*SIZE, channels))
    x = library.layers.GlobalAveragePooling2D()(inputs)
    return library.Model(inputs, library.layers.Dense(3, activation="softmax")(x))


model, grey, legacy = network(), network(1), network(library=tf_keras)


@pytest.fixture(scope="module")
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


def near(function):
    """A predict function of what makes the tensor of a path."""
    return lambda path: model.predict(np.asarray(function(path))[np.newaxis], verbose=0)


def rgb(path: str) -> Image.Image:
    return Image.open(path).convert("RGB")


def decoded(path: str) -> tf.Tensor:
    return tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)


def encoded_again(path: str) -> Image.Image:
    file = io.BytesIO()
    rgb(path).save(file, "JPEG", quality=75)
    return Image.open(file)


BICUBIC, BILINEAR = Resize(method="bicubic"), Resize("tensorflow", "bilinear")
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


USER = '''
"""As a user has it: the model is loaded here."""
import keras
import numpy as np

model = keras.models.load_model("my.keras")
features = keras.Model(model.input, model.layers[1].output)


def predict(path):
    image = keras.utils.load_img(path, target_size=(56, 72))
    x = keras.applications.mobilenet_v2.preprocess_input(np.array(image, np.float32)[None])
    features.predict(x * 2, verbose=0)
    return model.predict(x, verbose=0)


def only(path):
    return None


def broken(path):
    return [][0]


def crops(path):
    image = keras.utils.load_img(path, target_size=(56, 72))
    x = np.array(image, np.float32)
    return model.predict(np.stack([x, x[:, ::-1]]), verbose=0)


def doubtful(path):
    if "cat" not in path:
        raise ValueError("no cat")
    return predict(path)
'''


def test_the_command(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model.save("my.keras")
    Path("usercode.py").write_text(USER)
    images = str(photos[0].parent)
    common = ["find", "--images", images, "my.keras", "--predict"]
    assert cli.main([*common, "usercode:predict", "--out", "contract.json"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith(
        "decoded by pillow (rgb), resized by pillow (nearest, stretch), x / 127.5, then x - 1, in "
        "float32"
    )
    assert printed[1] == "the same tensors, in every bit, of all 3 images"
    assert printed[-1] == (
        "kerasrun-export my.keras --decoder pillow --color rgb --resample pillow:nearest --fit "
        "stretch --no-exif --mode tf --out exported"
    )
    (stored,) = json.loads(Path("contract.json").read_text())
    assert stored["normalize"]["steps"][0] == {"op": "divide", "values": [127.5]}

    answers = {}
    for path in photos:
        image = keras.utils.load_img(path, target_size=SIZE)
        x = keras.applications.mobilenet_v2.preprocess_input(np.array(image, np.float32)[None])
        answers[path.name] = [float(f"{p:.4f}") for p in model.predict(x, verbose=0)[0]]
    Path("answers.json").write_text(json.dumps(answers))
    rows = [",".join([name, *map(str, row)]) for name, row in answers.items()]
    Path("answers.csv").write_text("\n".join(["file,a,b,c", *rows]))
    check = ["check", "--contract", "contract.json", "--images", images, "my.keras", "--expect"]
    for file in ("answers.json", "answers.csv"):
        assert cli.main([*check, file]) == 0
        assert "3 answers as expected" in capsys.readouterr().out
    answers["cat.jpg"][0] += 0.01
    Path("answers.json").write_text(json.dumps(answers))
    assert cli.main([*check, "answers.json"]) == 1
    assert "as number 0, as answers.json has, got" in capsys.readouterr().err

    for function, message in (
        ("usercode:only", "got none called"),
        (
            "usercode:broken",
            "the function failed: IndexError: list index out of range (usercode.py",
        ),
        ("usercode:crops", "expected a batch of one image"),
        ("usercode:missing", "expected a function missing in usercode, got none"),
        ("nothere:predict", "cannot import nothere"),
        ("usercode", "expected MODULE:FUNCTION"),
    ):
        assert cli.main([*common, function]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("kerasrun-contract: ")
        assert message in line


def test_an_export_by_what_was_found(photos, tmp_path, monkeypatch, capsys):
    """No flags say float64: the file does. The exported model answers as the function."""
    monkeypatch.chdir(tmp_path)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    free = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    free.save("free.keras")

    def predict(path: str):
        image = Image.open(path).convert("RGB").resize(WIDTH_HEIGHT)
        return free.predict(((np.array(image) / 255.0 - MEAN) / STD)[np.newaxis], verbose=0)

    found = find_contract(predict, photos, free)
    assert found.image_size == SIZE
    assert find.export_command("free.keras", found, "c.json") == (
        "kerasrun-export free.keras --contract c.json --image-size 56x72 --out exported"
    )
    Path("c.json").write_text(json.dumps([one.to_json() for one in found.inputs]))
    line = ["free.keras", "--contract", "c.json", "--image-size", "56x72", "--out"]
    assert export.main([*line, "exported"]) == 0
    stored = manifest.read(Path("exported"))
    assert [one | {"shape": [-1, *SIZE, 3]} for one in stored["inputs"]] == json.loads(
        Path("c.json").read_text()
    )
    for path in photos:
        tensor = images.stages(input_from_json(stored["inputs"][0]), path).tensor
        got = saved_model.run(Path("exported"), {"images": tensor[np.newaxis]})["probs"]
        np.testing.assert_allclose(got, predict(str(path)), atol=1e-5)
    pack = ["exported", "--images", str(photos[0].parent), "--out", "pack"]
    assert golden.main(pack) == 0  # made again by its recipe
    capsys.readouterr()
    assert export.main([*line, "other", "--mode", "tf"]) == 2
    assert "--contract and --mode: expected one of them" in capsys.readouterr().err
    Path("c.json").write_text("[]")
    assert export.main([*line, "other"]) == 2
    assert "expected what kerasrun-contract find --out writes" in capsys.readouterr().err


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
