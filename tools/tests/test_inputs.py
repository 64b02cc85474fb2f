"""What an input is whose shape may be that of grey images or of a sequence: said, or refused."""

import inspect
import json
import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kerasrun_export import (
    export,
    exporter,
    golden,
    manifest,
    recipe,
    sample_images,
    saved_model,
)
from kerasrun_export.cli import export as command
from kerasrun_export.errors import ChoiceError

KINDS = keras.layers
SIZE = (40, 48)


def sequences(*sides):
    """A model of rows of numbers, as of a time series."""
    keras.utils.set_random_seed(4)
    x = keras.Input(sides, name="steps")
    return keras.Model(x, KINDS.Dense(3, "softmax")(KINDS.LSTM(8)(x)))


def test_a_sequence_is_not_taken_for_a_grey_image(tmp_path):
    """Its shape may be either's: only what is said, or the graph, tells."""
    steps, out = sequences(20, 4), tmp_path / "out"
    asks = r"what the input steps \(-1, 20, 4\) is.*--input steps=tensor .*--input steps=image"
    with pytest.raises(ChoiceError, match=asks):
        export(steps, out)
    for kinds, options, message in (
        ({"stops": "tensor"}, {}, r"has no input stops; it takes steps float32 \(-1, 20, 4\)"),
        ({"steps": "table"}, {}, "--input steps=table: expected one of tensor, image"),
        ({"steps": "tensor"}, {"pipeline": "load_img"}, "expected no flags .*, got pipeline;"),
        ({"steps": "image"}, {}, "how images are loaded"),
    ):
        with pytest.raises(ChoiceError, match=message):
            export(steps, out, input_kinds=kinds, **options)
    for name, trained in ((20, steps), ("free", sequences(None, 4))):
        fields = export(trained, tmp_path / str(name), input_kinds={"steps": "tensor"})
        assert [each["kind"] for each in fields["inputs"]] == ["tensor"]
        rows = np.random.default_rng(1).normal(0, 2, (5, 20, 4)).astype(np.float32)
        got = saved_model.run(tmp_path / str(name), {"steps": rows})["probs"]
        np.testing.assert_allclose(got, trained.predict(rows, verbose=0), atol=1e-6)


def arguments(call: str, function) -> dict:
    """What the text of a call gives the function by name."""

    def bound(*positional: object, **named: object) -> dict:
        given = inspect.signature(function).bind(*positional, out="out", **named).arguments
        return {key: given[key] for key in given.keys() - {"model", "images", "out"}}

    names = {"kerasrun_export": SimpleNamespace(export=bound, golden=bound), "model": None}
    return eval(call, names)


def test_a_flag_or_a_layer_of_images_says_that_it_is_an_image(tmp_path):
    flat, other = keras.Input(SIZE), keras.Input(SIZE)
    grey = {"pipeline": "load_img", "color": "grayscale"}
    end = lambda x: KINDS.Dense(3, "softmax")(KINDS.Flatten()(x))  # noqa: E731
    scaled = keras.Model(flat, end(KINDS.Rescaling(1 / 255)(flat)))
    normal = keras.Model(flat, end(KINDS.Normalization(mean=1.0, variance=4.0)(flat)))
    with pytest.raises(ChoiceError, match="how images are loaded"):
        export(scaled, tmp_path / "out")
    with pytest.raises(ChoiceError, match="--input images=tensor"):
        export(normal, tmp_path / "out")
    two = keras.Model([flat, other], end(KINDS.Concatenate()([flat, other])))
    both = {"images_1": "image", "images_2": "tensor"}
    with pytest.raises(ChoiceError, match=r"what the input images_1 \(-1"):
        export(two, tmp_path / "out", **grey, divide=255)
    for trained, options, want in (
        (scaled, grey, ["image"]),
        (normal, grey | {"mode": "none"}, ["image"]),
        (two, grey | {"divide": 255, "input_kinds": both}, ["image", "tensor"]),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", exporter.ExportWarning)
            fields = export(trained, tmp_path / "out", **options)
        assert [each["kind"] for each in fields["inputs"]] == want
    assert fields["answer"] == "probs"
    index = json.loads((tmp_path / "out" / manifest.GOLDENS / "goldens.json").read_text())
    assert arguments(index["command"], export) == grey | {"divide": (255.0,), "input_kinds": both}
    said = grey | {"mode": "none", "input_kinds": {"images": "image"}}
    index = golden(normal, sample_images.DIRECTORY, tmp_path / "pack", **said)
    given = arguments(index["command"], golden)
    assert given["said"] | {"input_kinds": given["input_kinds"]} == said
    size = {"image_size": SIZE, "pipeline": "load_img", "divide": 255}
    photo, steps = keras.Input((None, None, 3), name="photo"), keras.Input((20, 4), name="steps")
    seen = [KINDS.GlobalAveragePooling2D()(photo), KINDS.LSTM(4)(steps)]
    mixed = keras.Model([photo, steps], KINDS.Dense(3, "softmax")(KINDS.Concatenate()(seen)))
    with pytest.raises(ChoiceError, match=r"what the input steps \(-1, 20, 4\) is"):
        export(mixed, tmp_path / "out", **size)
    fields = export(mixed, tmp_path / "out", **size, input_kinds={"steps": "tensor"})
    shapes = {each["name"]: each["shape"] for each in fields["inputs"]}
    assert shapes == {"photo": (-1, *SIZE, 3), "steps": (-1, 20, 4)}


def test_the_kind_of_an_input_by_the_command(tmp_path, capsys):
    sequences(20, 4).save(tmp_path / "steps.keras")
    line = [str(tmp_path / "steps.keras"), "--out", str(tmp_path / "out")]
    assert command.main(line) == 2
    assert f"kerasrun-export {line[0]} --input steps=tensor --out DIR" in capsys.readouterr().err
    assert command.main([*line, "--input", "steps=tensor"]) == 0
    stored = manifest.read(tmp_path / "out")
    assert recipe.from_manifest(stored).command() == (
        f"kerasrun-export {line[0]} --input steps=tensor"
    )
    with pytest.raises(SystemExit):
        command.main([*line, "--input", "steps"])
    assert "expected NAME=KIND, a kind of tensor, image" in capsys.readouterr().err
