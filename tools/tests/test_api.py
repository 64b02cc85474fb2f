"""What a notebook calls: `export` and `golden` of a live model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasrun_export
from kerasrun_export import ExportError, export, golden, manifest, sample_images, saved_model
from kerasrun_export.images import preprocess
from kerasrun_export.versions import check_keras, check_tensorflow

ROOT = Path(__file__).resolve().parents[2]


def trained(kind: str = "functional") -> keras.Model:
    """A small model after a step of training, with augmentation as Keras's tutorials have it."""
    keras.utils.set_random_seed(6)
    kinds = keras.layers
    stack = [
        kinds.RandomFlip("horizontal"),
        kinds.RandomRotation(0.2),
        kinds.Conv2D(8, 3, strides=2),
        kinds.BatchNormalization(),
        kinds.ReLU(),
        kinds.GlobalAveragePooling2D(),
        kinds.Dense(3, activation="softmax"),
    ]
    if kind == "sequential":
        model = keras.Sequential([keras.Input((40, 48, 3)), *stack])
    elif kind == "built by fit":
        model = keras.Sequential(stack)
    else:
        inputs = x = keras.Input((None, None, 3) if kind == "free size" else (40, 48, 3))
        for layer in stack:
            x = layer(x)
        model = keras.Model(inputs, x)
    model.compile("adam", "sparse_categorical_crossentropy")
    images = preprocess(sample_images.pixels(40, 48), "tf")
    model.fit(images, np.arange(len(images)) % 3, verbose=0)
    return model


@pytest.mark.parametrize("kind", ["functional", "sequential", "built by fit", "free size"])
@pytest.mark.parametrize("graph", ["optimized", "reference"])
def test_a_live_model(tmp_path, kind, graph):
    model = trained(kind)
    before = model.get_weights()
    fields = export(
        model,
        tmp_path / "mine",
        pipeline="load_img",
        mode="tf",
        class_names=["cat", "dog", "neither"],
        image_size=(40, 48) if kind == "free size" else None,
        graph=graph,
    )
    pixels = sample_images.pixels(40, 48)
    want = model.predict(preprocess(pixels, "tf"), verbose=0)
    got = saved_model.run(tmp_path / "mine", preprocess(pixels, "tf"))["probs"]
    assert np.abs(got - want).max() <= 1e-5
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    stored = manifest.read(tmp_path / "mine")
    assert stored["architecture"] == fields["architecture"] == model.name
    assert stored["graph"] == graph
    (taken,) = stored["inputs"]
    assert taken["decode"] == {"by": "pillow", "color": "rgb", "exif": False}
    assert [step["op"] for step in taken["normalize"]["steps"]] == ["divide", "subtract"]
    assert json.loads((tmp_path / "mine" / manifest.LABELS).read_text())["1"] == ["dog", "dog"]


def test_the_same_model_from_its_file_has_the_same_weights(tmp_path):
    model = trained()
    model.save(tmp_path / "own.keras")
    export(model, tmp_path / "a", pipeline="load_img", mode="none")
    export(
        keras.models.load_model(tmp_path / "own.keras"),
        tmp_path / "b",
        pipeline="load_img",
        mode="none",
    )
    first, second = (manifest.read(tmp_path / name) for name in "ab")
    assert first["weights"] == second["weights"]
    assert first["files"]["saved_model.pb"] == second["files"]["saved_model.pb"]


def unsized() -> keras.Model:
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])


def subclassed() -> keras.Model:
    class Own(keras.Model):
        def call(self, images):
            return images

    return Own(name="own")


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (trained, {"mode": "rgb"}, "--mode: expected one of caffe, tf, torch, none, got 'rgb'"),
        (trained, {"scale": 2, "mode": "tf"}, "--mode tf and --scale: expected one of them"),
        (trained, {"graph": "fast"}, "graph: expected one of optimized, reference, got 'fast'"),
        (trained, {"class_names": ["a"]}, "class names: expected 3, one for each class, got 1"),
        (trained, {"class_names": "abc"}, "class names: expected a list of strings, got 'abc'"),
        (
            trained,
            {"class_names": [1, 2, 3]},
            "class names: expected a name, a string, for each class, got 1",
        ),
        (trained, {"image_size": (9, 9)}, "takes 40x48, got 9x9"),
        (lambda: trained("free size"), {}, "--image-size HxW"),
        (unsized, {}, "expected a model that knows the shape of its input"),
        (subclassed, {}, "own: expected a model that knows the shape of its input"),
    ],
)
def test_what_cannot_be_exported(tmp_path, model, options, message):
    with pytest.raises(ExportError) as caught:
        export(model(), tmp_path / "out", **{"pipeline": "load_img", "mode": "none"} | options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_golden_packs(tmp_path):
    model = trained()
    said = {"pipeline": "load_img", "mode": "tf"}
    index = golden(model, sample_images.DIRECTORY, tmp_path / "live", **said)
    assert len(index["cases"]) == len(sample_images.paths())
    model.save(tmp_path / "own.keras")
    golden(tmp_path / "own.keras", sample_images.DIRECTORY, tmp_path / "file", **said)
    for case in index["cases"]:
        live, file = (np.load(tmp_path / name / case["arrays"]) for name in ("live", "file"))
        assert set(live) == set(file) == {"decoded", "resized", "tensor", "logits", "probs"}
        for key in live:
            np.testing.assert_array_equal(live[key], file[key])
        want = model.predict(preprocess(live["resized"][None], "tf"), verbose=0)[0]
        assert np.abs(live["probs"] - want).max() <= 1e-5

    export(model, tmp_path / "exported", pipeline="load_img", mode="tf")
    for source, options, message in (
        (model, {}, "expected to be told what the model does not say"),
        (tmp_path / "exported", {}, "exported from a live model"),
        (tmp_path / "exported", said, "an exported directory says itself"),
    ):
        with pytest.raises(ExportError, match=message):
            golden(source, sample_images.DIRECTORY, tmp_path / "none", **options)
    assert not (tmp_path / "none").exists()


def test_importing_changes_nothing():
    """Neither the environment, nor what is imported before something is asked for."""
    program = """
import os, sys
before = dict(os.environ)
import kerasrun_export
assert "tensorflow" not in sys.modules
import tensorflow, keras
during = dict(os.environ)
from kerasrun_export import export, golden
assert dict(os.environ) == during
print(len(before))
"""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("TF_", "CUDA", "KERAS"))
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", [None, "2.16.2", "2.22.0", "3.0.0-rc1"])
def test_another_tensorflow_is_refused_in_one_line(version):
    found = version or "none"
    with pytest.raises(
        ImportError, match=rf"tensorflow: expected 2\.17 to 2\.21, found {found}: pip install"
    ):
        check_tensorflow(version)


def test_the_keras_that_is_refused():
    check_tensorflow("2.17.1")
    check_keras("3.5.0", "tensorflow")
    with pytest.raises(ImportError, match=r"keras: expected 3\.5 to 3\.15, found 2\.15\.0"):
        check_keras("2.15.0", "tensorflow")
    with pytest.raises(ImportError, match=r"expected the backend tensorflow .*, found jax"):
        check_keras("3.9.0", "jax")


def test_one_version():
    version = (ROOT / "internal/version/VERSION").read_text().strip()
    assert kerasrun_export.__version__ == manifest.versions()["kerasrun"] == version


def test_declared_ranges_are_the_checked_ones():
    import tomllib

    from kerasrun_export.versions import KERAS, TENSORFLOW

    project = tomllib.loads((ROOT / "tools/pyproject.toml").read_text())["project"]

    def declared(limits: tuple) -> str:
        (first, oldest), (_, newest) = limits
        return f">={first}.{oldest},<{first}.{newest + 1}"

    assert f"keras{declared(KERAS)}" in project["dependencies"]
    extras = project["optional-dependencies"]
    assert extras["cpu"] == [f"tensorflow-cpu{declared(TENSORFLOW)}"]
    assert extras["tensorflow"] == [f"tensorflow{declared(TENSORFLOW)}"]
    assert extras["gpu"] == [f"tensorflow[and-cuda]{declared(TENSORFLOW)}"]
