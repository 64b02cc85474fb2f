"""The package in fresh environments, with the oldest and the newest of its dependencies."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1]
KERASRUN = TOOLS.parent / "bin" / "kerasrun"

TRAIN = """
import numpy as np
import keras
from kerasrun_export import export, golden

keras.utils.set_random_seed(0)
kinds = keras.layers
model = keras.Sequential([
    keras.Input((32, 32, 3)), kinds.RandomFlip("horizontal"), kinds.Conv2D(8, 3),
    kinds.BatchNormalization(), kinds.ReLU(), kinds.GlobalAveragePooling2D(),
    kinds.Dense(3, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy")
images = np.random.default_rng(0).uniform(-1, 1, (16, 32, 32, 3))
model.fit(images, np.arange(16) % 3, epochs=1, verbose=0)
export(model, "live", pipeline="load_img", mode="tf", class_names=["a", "b", "c"])
model.save("own.keras")
inputs = keras.Input((32, 32, 3))
x = keras.Sequential([kinds.RandomFlip(), kinds.RandomRotation(0.1)])(inputs)
x = kinds.GlobalAveragePooling2D()(kinds.Conv2D(8, 3)(kinds.Rescaling(1 / 255)(x)))
keras.Model(inputs, kinds.Dense(3, activation="softmax")(x)).save("tutorial.keras")
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("resolution", "tensorflow", "keras"),
    [("lowest-direct", "2.17.", "3.5."), ("highest", "2.21.", "3.15.")],
)
def test_a_fresh_environment(tmp_path, resolution, tensorflow, keras):
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))}

    def run(*command: str | Path, status: int = 0) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == status, f"{command}\n{done.stdout}{done.stderr}"
        return done.stderr if status else done.stdout

    programs = tmp_path / "venv" / "bin"
    run(uv, "venv", "-q", "--python", sys.executable, "venv")
    install = (uv, "pip", "install", "-q", "--python", programs / "python")
    # Without a project only what is named counts as direct: its pyproject.toml comes first.
    named = (f"tensorflow-cpu=={tensorflow}*", "-r", TOOLS / "pyproject.toml", "--extra", "cpu")
    run(*install, "--resolution", resolution, *named)
    run(*install, f"{TOOLS}[cpu]")
    run(uv, "pip", "check", "-q", "--python", programs / "python")

    run(programs / "python", "-c", TRAIN)
    trained = ("own.keras", "--pipeline", "load_img", "--mode", "tf")
    run(programs / "kerasrun-export", *trained, "--out", "file")
    run(programs / "kerasrun-export", "resnext50", "--image-size", "32x32", "--out", "named")
    run(
        programs / "kerasrun-golden",
        *trained,
        "--images",
        TOOLS.parent / "testdata/photos",
        "--out",
        "pack",
    )
    # What the model does itself is found behind augmentation; OpenCV is not installed.
    tutorial = (programs / "kerasrun-export", "tutorial.keras", "--out", "tutorial", "--pipeline")
    assert "multiplies by 1/255" in run(*tutorial, "load_img")
    assert "would be prepared twice" in run(*tutorial, "load_img", "--scale", "1/255", status=2)
    assert "pip install opencv-python-headless" in run(*tutorial, "cv2", status=1)
    for name in ("live", "file", "named", "tutorial"):
        stored = json.loads((tmp_path / name / "assets.extra/kerasrun.json").read_text())
        assert stored["versions"]["tensorflow"].startswith(tensorflow)
        assert stored["versions"]["keras"].startswith(keras)
        if KERASRUN.exists():
            run(KERASRUN, "verify", name)
    if KERASRUN.exists():
        run(KERASRUN, "verify", "--goldens", "pack", "file")
