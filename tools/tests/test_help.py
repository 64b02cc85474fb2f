"""The examples that end each command's help: they run as they stand."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from kerasrun_export import sample_images
from kerasrun_export.backend import keras, tf
from kerasrun_export.cli import contract, export, golden

MODULE = """
import keras, numpy as np

model = keras.models.load_model("my.keras")


def predict(path):
    image = keras.utils.load_img(path, target_size=(24, 32))
    return model.predict(np.array(image, "float32")[None] / 127.5 - 1, verbose=0)
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """What the examples name, in a directory."""
    directory = tmp_path_factory.mktemp("help")
    keras.utils.set_random_seed(5)
    inputs = keras.Input((24, 32, 3))
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(8, 5)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    model.save(directory / "my.keras")
    model.export(directory / "saved", verbose=False)
    (directory / "names.txt").write_text("cat\ndog\nbird\n")
    (directory / "mymodule.py").write_text(MODULE)
    (directory / "photos").mkdir()
    answers = {}
    for name in ("cat.jpg", "coffee.jpg"):
        shutil.copy(sample_images.DIRECTORY / name, directory / "photos")
        image = keras.utils.load_img(directory / "photos" / name, target_size=(24, 32))
        tensor = tf.constant(image, tf.float32)[None] / 127.5 - 1
        answers[name] = [round(float(x), 5) for x in model.predict(tensor, verbose=0)[0]]
    (directory / "answers.json").write_text(json.dumps(answers))
    return directory


# In this order: the second's take what the first's made.
@pytest.mark.parametrize("command", [export, contract, golden])
def test_examples(directory, command, monkeypatch, capsys):
    monkeypatch.chdir(directory)
    with pytest.raises(SystemExit) as exit_status:
        command.main(["--help"])
    assert exit_status.value.code == 0
    help_ = capsys.readouterr().out
    lines = help_.partition("\nexamples:\n")[2].strip().splitlines()
    assert 2 <= len(lines) <= 3
    if command is golden:  # of the last example of kerasrun-export
        assert export.main(shlex.split(export.__doc__.strip().splitlines()[2])[1:]) == 0
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == command.PROGRAM
        shutil.rmtree("pack", ignore_errors=True)
        assert command.main(arguments) == 0, capsys.readouterr().err
