"""kerasrun-contract, and exports by the contract that it finds."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from kerasrun_export import find, find_contract, images, manifest, saved_model
from kerasrun_export.backend import keras
from kerasrun_export.cli import contract as cli
from kerasrun_export.cli import export, golden
from kerasrun_export.contract import input_from_json
from predicting import SIZE, WIDTH_HEIGHT, model

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
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


def uneven(path):
    image = keras.utils.load_img(path, target_size=(56, 72))
    x = np.array(image, np.float32)
    x[:28] += 5
    return model.predict(x[None], verbose=0)


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

    assert cli.main([*common, "usercode:uneven", "--diff-image", "diff.png"]) == 1
    assert "no contract makes the tensors of all 3 images" in capsys.readouterr().err
    with Image.open("diff.png") as shown:
        assert shown.size == WIDTH_HEIGHT
        half = np.asarray(shown.convert("L")).reshape(2, 28, 72)
    assert half[0].mean() != half[1].mean()
    assert cli.main([*common, "usercode:uneven", "--accept", "6"]) == 0
    assert "accepted: tensors differ by up to" in capsys.readouterr().out


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
