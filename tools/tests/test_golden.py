"""Golden packs against what Keras makes of the same images in the same run."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerasrun_export import exporter, manifest, sample_images, saved_model
from kerasrun_export.backend import keras
from kerasrun_export.cli import contract, export, golden


@pytest.fixture
def own(tmp_path) -> Path:
    """A small model file of a user's own."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((32, 40, 3))
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(8, 5, strides=3)(inputs))
    keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(x)).save(tmp_path / "own.keras")
    return tmp_path / "own.keras"


@pytest.fixture
def images(tmp_path) -> Path:
    """Images of three formats, two of them of one name, and a file that is none."""
    directory = tmp_path / "images"
    directory.mkdir()
    for source, name in (
        ("cat.jpg", "cat.JPG"),
        ("astronaut.png", "cat.png"),
        ("flower.webp", "flower.webp"),
    ):
        (directory / name).write_bytes((sample_images.DIRECTORY / source).read_bytes())
    (directory / "notes.txt").write_text("not an image")
    return directory


def check(pack: Path, images: Path, predict) -> dict:
    """Compares every array of a pack with Keras; returns its index. predict: a batch to outputs."""
    index = json.loads((pack / "goldens.json").read_text())
    size = tuple(index["inputs"][0]["shape"][1:3])
    assert [case["name"] for case in index["cases"]] == sorted(
        {case["name"] for case in index["cases"]}
    )
    for case in index["cases"]:
        arrays = np.load(pack / case["arrays"])
        image = pack / case["image"]
        assert any(image.read_bytes() == path.read_bytes() for path in images.iterdir())
        decoded = keras.utils.img_to_array(keras.utils.load_img(image))
        resized = keras.utils.img_to_array(keras.utils.load_img(image, target_size=size))
        tensor = keras.applications.imagenet_utils.preprocess_input(resized.copy(), mode="caffe")
        for key, want in {"decoded": decoded, "resized": resized, "tensor": tensor}.items():
            assert arrays[key].dtype == (np.float32 if key == "tensor" else np.uint8)
            np.testing.assert_array_equal(arrays[key], want)
        want = predict(tensor[np.newaxis])
        assert set(arrays) == {"decoded", "resized", "tensor", *index["outputs"]}
        for key in index["outputs"]:
            np.testing.assert_allclose(
                arrays[key], want[key][0], atol=index["tolerance"][key], err_msg=key
            )
    return index


def test_a_pack_for_a_model_file(tmp_path, own, images):
    pack = tmp_path / "pack"
    flags = [
        str(own),
        "--pipeline",
        "load_img",
        "--mode",
        "caffe",
        "--images",
        str(images),
        "--out",
        str(pack),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "kerasrun_export.cli.golden", *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    model = keras.models.load_model(own)

    def predict(batch: np.ndarray) -> dict[str, np.ndarray]:
        logits = keras.Model(model.input, model.layers[-1].input)(batch) @ model.layers[-1].kernel
        return {
            "probs": model.predict(batch, verbose=0),
            "logits": logits.numpy() + model.layers[-1].bias.numpy(),
        }

    index = check(pack, images, predict)
    assert [case["name"] for case in index["cases"]] == ["cat_JPG", "cat_png", "flower"]
    assert [case["image"] for case in index["cases"]] == [
        "cat_JPG.jpg",
        "cat_png.png",
        "flower.webp",
    ]
    assert (index["format"], index["reference_kind"]) == (2, "manifest")
    assert index["signature"] == "serving_default"
    assert index["outputs"] == ["logits", "probs"]
    assert index["tolerance"]["probs"] == 1e-5
    (taken,) = index["inputs"]
    assert (taken["name"], taken["shape"]) == ("images", [-1, 32, 40, 3])
    assert taken["decode"]["color"] == "bgr"


def test_packs_of_an_exported_resnext(tmp_path, images):
    out = tmp_path / "model"
    arguments = [
        "resnext50",
        "--image-size",
        "32x32",
        "--classes",
        "5",
        "--mode",
        "torch",
        "--weights",
        "synthetic:3",
    ]
    assert export.main([*arguments, "--out", str(out)]) == 0
    stored = manifest.read(out)
    embedded = out / stored["goldens"]
    assert sum(path.stat().st_size for path in embedded.iterdir()) < 1_500_000
    pack = tmp_path / "pack"
    assert golden.main([str(out), "--images", str(images), "--out", str(pack)]) == 0

    def predict(batch: np.ndarray) -> dict[str, np.ndarray]:
        return saved_model.run(out, batch)

    made = check(pack, images, predict)
    index = json.loads((embedded / "goldens.json").read_text())
    assert len(index["cases"]) == len(exporter.EMBEDDED)
    for reference in (made["reference"], index["reference"]):
        assert reference == "keras_applications 1.0.8 resnext.ResNeXt50 on tf_keras 2.21.0"
    assert made["inputs"] == index["inputs"] == stored["inputs"]
    assert {"keras_applications", "tf_keras", "tensorflow", "keras", "python"} <= made[
        "versions"
    ].keys()


USER = """
import keras, numpy as np

model = keras.models.load_model("own.keras")


def predict(path):
    image = keras.utils.load_img(path, target_size=(32, 40), interpolation="bilinear")
    return model.predict(np.array(image)[None] / 255.0, verbose=0)


def name(path):
    return ["a", "b", "c", "d"][predict(path).argmax()]


def other(path):
    image = keras.utils.load_img(path, target_size=(32, 40))
    return model.predict(np.array(image)[None] / 255.0, verbose=0)
"""


def test_packs_of_a_users_own_function(tmp_path, own, images, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("golden_user.py").write_text(USER)
    flags = ["--images", str(images), "--predict"]
    assert golden.main(["own.keras", *flags, "golden_user:predict", "--out", "found"]) == 0
    said = ["--pipeline", "load_img", "--resample", "bilinear", "--divide", "255"]
    assert export.main(["own.keras", *said, "--out", "exported"]) == 0
    assert golden.main(["exported", *flags, "golden_user:name", "--out", "named"]) == 0
    model = keras.models.load_model(own)
    for pack, function in (("found", "predict"), ("named", "name")):
        index = json.loads(Path(pack, "goldens.json").read_text())
        assert (index["format"], index["reference_kind"]) == (2, "function")
        assert index["reference"].startswith(f"golden_user:{function} on keras ")
        (made,) = index["inputs"]
        assert made["name"] == "images"
        assert made["resize"]["method"] == "bilinear"
        assert made["normalize"]["steps"] == [{"op": "divide", "values": [255.0]}]
        assert index["outputs"] == ["logits", "probs"]
        assert index["tolerance"]["probs"] == 1e-5
        for case in index["cases"]:
            arrays = np.load(Path(pack, case["arrays"]))
            image = keras.utils.load_img(
                Path(pack, case["image"]), target_size=(32, 40), interpolation="bilinear"
            )
            batch = np.array(image)[np.newaxis] / 255.0
            np.testing.assert_array_equal(arrays["tensor"], batch[0].astype(np.float32))
            want = model.predict(batch, verbose=0)[0]
            np.testing.assert_allclose(arrays["probs"], want, atol=0 if pack == "found" else 1e-6)
    capsys.readouterr()
    assert golden.main(["exported", *flags, "golden_user:other", "--out", "wrong"]) == 1
    error = capsys.readouterr().err
    assert "The contract is not how your function makes it" in error
    assert not Path("wrong").exists()


def test_what_cannot_be_made(tmp_path, own, images, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    Image.new("RGB", (64, 64)).save(broken / "whole.png")
    (broken / "cut.png").write_bytes((broken / "whole.png").read_bytes()[:60])
    changed = tmp_path / "changed"
    manifest.write(changed, {"inputs": [{"name": "caffe"}]})
    first = tmp_path / "first"
    (first / manifest.PATH).parent.mkdir(parents=True)
    of_go = Path(__file__).parents[2] / "contract/testdata/kerasrun.json"
    (first / manifest.PATH).write_bytes(of_go.read_bytes())
    assert manifest.read(changed)["inputs"] == [{"name": "caffe"}]
    (changed / manifest.PATH).write_text(
        (changed / manifest.PATH).read_text().replace("caffe", "torch")
    )
    for model, paths, out, message in (
        (own, tmp_path / "none", "a", "none: no such directory"),
        (own, empty, "b", "empty: no images"),
        (own, broken, "c", "cut.png: pillow cannot read it"),
        (own, images, "images", "images: is there and not an empty directory"),
        (tmp_path / "none.keras", images, "d", "none.keras: no such file"),
        (empty, images, "e", "not a manifest"),
        (first, images, "g", "expected a manifest of format 2, got 1: export the model again"),
        (changed, images, "f", "expected the manifest as it was written"),
    ):
        said = ["--pipeline", "load_img", "--mode", "caffe"]
        flags = said if model.suffix == ".keras" else []
        arguments = [
            str(model),
            *flags,
            "--images",
            str(paths),
            "--out",
            str(tmp_path / out),
        ]
        assert golden.main(arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("kerasrun-golden: ")
        assert message in line
        assert out == "images" or not (tmp_path / out).exists()
    with pytest.raises(SystemExit) as exit_status:
        golden.main([str(own)])
    assert exit_status.value.code == 2


def test_a_file_is_loaded_as_the_exporter_does(tmp_path, images, capsys, monkeypatch):
    """Of Keras 2, with a user's own class and a Lambda layer."""
    monkeypatch.chdir(tmp_path)
    Path("golden_own.py").write_text(OWN)
    Path("golden_write.py").write_text(WRITE)
    subprocess.run([sys.executable, "golden_write.py"], check=True, capture_output=True)
    arguments = ["own.h5", "--pipeline", "load_img", "--mode", "tf", "--images", str(images)]
    for more, message in (
        ([], "the Lambda layer 'twice' holds code"),
        (["--unsafe-lambda"], "--custom-objects MODULE names the module"),
    ):
        assert golden.main([*arguments, *more, "--out", "pack"]) == 1
        assert message in capsys.readouterr().err
    flags = ["--unsafe-lambda", "--custom-objects", "golden_own"]
    assert golden.main([*arguments, *flags, "--out", "pack"]) == 0
    index = json.loads(Path("pack/goldens.json").read_text())
    assert index["reference"].startswith("tf_keras ")
    assert "--custom-objects golden_own --unsafe-lambda" in index["command"]
    want = np.load("want.npz")
    for case in index["cases"]:
        arrays = np.load(Path("pack", case["arrays"]))
        np.testing.assert_allclose(arrays["probs"], want[Path(case["image"]).stem], atol=1e-5)

    Path("golden_notebook.py").write_text(NOTEBOOK)
    find = ["find", "--predict", "golden_notebook:predict", "--out", "contract.json"]
    answers = {"cat.JPG": [round(float(x), 5) for x in want["cat_JPG"]]}
    Path("answers.json").write_text(json.dumps(answers))
    check = ["check", "--contract", "contract.json", "--expect", "answers.json"]
    for command in (find, check):
        command += ["--images", str(images), "own.h5"]
        assert contract.main(command) == 1
        assert "the Lambda layer 'twice' holds code" in capsys.readouterr().err
        assert contract.main([*command, *flags]) == 0
    assert "1 answers as expected" in capsys.readouterr().out


# The notebook that reads it again.
NOTEBOOK = """
import numpy as np, tf_keras
from golden_own import Halved

own = {"Halved": Halved}
model = tf_keras.models.load_model("own.h5", custom_objects=own, compile=False, safe_mode=False)


def predict(path):
    image = tf_keras.utils.load_img(path, target_size=(12, 16))
    return model.predict(np.array(image, "float32")[None] / 127.5 - 1, verbose=0)
"""

OWN = """
import tf_keras


class Halved(tf_keras.layers.Layer):
    def call(self, x):
        return x * 0.5
"""
# What a notebook with tf_keras writes, and what its model predicts of the images.
WRITE = """
import numpy as np, tf_keras
from pathlib import Path
from golden_own import Halved

kinds = tf_keras.layers
inputs = tf_keras.Input((12, 16, 3))
x = Halved()(kinds.Lambda(lambda x: x * 2.0, name="twice")(inputs))
x = kinds.Dense(3, activation="softmax")(kinds.Flatten()(x))
model = tf_keras.Model(inputs, x)
model.save("own.h5")
want = {}
for path, name in (("cat.JPG", "cat_JPG"), ("cat.png", "cat_png"), ("flower.webp", "flower")):
    image = tf_keras.utils.load_img(Path("images", path), target_size=(12, 16))
    batch = np.array(image, "float32")[None] / 127.5 - 1
    want[name] = model.predict(batch, verbose=0)[0]
np.savez("want.npz", **want)
"""


def test_preprocessing_is_asked_for_where_it_is_not_known(tmp_path, own, images, capsys):
    arguments = [str(own), "--images", str(images), "--out", str(tmp_path / "pack")]
    assert golden.main(arguments) == 2
    assert f"{own}: expected to be told what the model does not say" in capsys.readouterr().err
