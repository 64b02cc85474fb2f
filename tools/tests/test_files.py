"""What the commands say of files that are none: each with one error, soon, and in little memory."""

import json
import os
import re
import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest
from PIL import Image

from kerasrun_export import files
from kerasrun_export.backend import keras
from kerasrun_export.cli import contract, export, golden
from kerasrun_export.errors import FileError

MEMORY = 2 << 30  # bytes more than before
SECONDS = 60  # after which a command hangs


@pytest.fixture
def bounded() -> Iterator[None]:
    """What takes more memory than that raises MemoryError, and what hangs TimeoutError: neither is
    an error of a command."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, limits[1]))

    def hangs(*_: object) -> None:
        pytest.exit(f"the command has not ended after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def holding(data: bytes):
    return lambda path: path.write_bytes(data)


def sparse(size: int):
    def write(path: Path) -> None:
        path.write_bytes(b"[")
        os.truncate(path, size)

    return write


def bind(path: Path) -> None:
    """A socket; its address has at most 107 bytes."""
    here = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


# By what it is: how it is made, and what is said of it.
HOSTILE = {
    "zeros": (lambda path: path.symlink_to("/dev/zero"), "expected a file, got a device"),
    "pipe": (os.mkfifo, "expected a file, got a pipe"),
    "socket": (bind, "expected a file, got a socket"),
    "directory": (Path.mkdir, "expected a file, got a directory|a directory"),
    "itself": (
        lambda path: path.symlink_to(path.name),
        "symbolic links|no such file|unknown weights",
    ),
    "large": (sparse(files.MODEL + 1), "expected at most [0-9,]+ MiB, got 17,179,869,185 bytes"),
    "long": (sparse(300 << 20), ""),
    "deep": (holding(b"[" * 100_000), ""),
    "a long line": (holding(b"1" * 200_000 + b"\n\n1\n"), ""),
    "nul": (holding(b'{"a\\u0000b": [1]}'), ""),
    "bytes": (holding(bytes(range(128, 256)) * 100), ""),
    "not a number": (holding(b'{"a.png": [NaN, 0.5]}'), ""),
    "an exponent": (holding(b'{"a.png": [1e999999999, 0.5]}'), ""),
}
OUT = ("--out", "out")
LOADED = ("--pipeline", "load_img", "--mode", "tf")
CHECK = ("check", "--images", "photos", "own.keras")
WEIGHTS = ("MobileNet", "--image-size", "32x32", "--weights", "bad.h5")
VARIABLES = "adopted/variables/variables.data-00000-of-00001"
# By the file of a command: its name, and the command line.
ARGUMENTS = {
    "a .keras file": ("bad.keras", export, ("bad.keras", *LOADED, *OUT)),
    "an .h5 file": ("bad.h5", export, ("bad.h5", *LOADED, *OUT)),
    "weights": ("bad.h5", export, (*WEIGHTS, *OUT)),
    "class names": ("names.txt", export, ("own.keras", "--class-names", "names.txt", *OUT)),
    "a contract": ("contract.json", export, ("own.keras", "--contract", "contract.json", *OUT)),
    "a graph": ("saved/saved_model.pb", export, ("--saved-model", "saved", *LOADED, *OUT)),
    "variables": (VARIABLES, export, ("--saved-model", "adopted", *LOADED, *OUT)),
    "an image": ("images/a.jpg", golden, ("own.keras", "--images", "images", *LOADED, *OUT)),
    "a manifest": (
        "exported/assets.extra/kerasrun.json",
        golden,
        ("exported", "--images", "photos", *OUT),
    ),
    "a contract to check": (
        "contract.json",
        contract,
        (*CHECK, "--contract", "contract.json", "--expect", "good.json"),
    ),
    "answers": ("bad.json", contract, (*CHECK, "--contract", "good.json", "--expect", "bad.json")),
    "answers in CSV": ("a.csv", contract, (*CHECK, "--contract", "good.json", "--expect", "a.csv")),
    "a function": (
        "bad.py",
        contract,
        ("find", "--predict", "bad.py:predict", "--images", "photos", "own.keras"),
    ),
}
# Directories may be there, and hold nothing.
ALLOWED = {"an image": "no images", "variables": "Is a directory"}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A directory with a model, images, a contract and a SavedModel that are as they should be."""
    directory = tmp_path_factory.mktemp("world")
    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(2, activation="softmax")])
    model.save(directory / "own.keras")
    model.export(directory / "adopted", verbose=False)
    (directory / "photos").mkdir()
    Image.new("RGB", (9, 9), "red").save(directory / "photos" / "a.png")
    for name in ("saved/variables", "images", "exported/assets.extra"):
        (directory / name).mkdir(parents=True)
    image = {
        "decode": {"by": "pillow"},
        "resize": {"by": "pillow"},
        "normalize": {"dtype": "float32", "steps": []},
    }
    tensor = {"name": "x", "kind": "image", "dtype": "float32", "shape": [-1, 8, 8, 3]}
    good = [{**tensor, "layout": "NHWC", **image}]
    (directory / "good.json").write_text(json.dumps(good))
    return directory


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("argument", ARGUMENTS)
def test_a_file_that_is_none(world, argument, kind, monkeypatch, capsys, bounded):
    monkeypatch.chdir(world)
    name, command, line = ARGUMENTS[argument]
    make, said = HOSTILE[kind]
    if kind == "directory":
        said = ALLOWED.get(argument, said)
    path, kept = world / name, world / "kept"
    if path.exists():
        path.rename(kept)
    make(path)
    try:
        status = command.main(line)
    finally:
        path.rmdir() if kind == "directory" else path.unlink()
        if kept.exists():
            kept.rename(path)
    text = capsys.readouterr().err
    lines = [x for x in text.splitlines() if ": warning: " not in x]
    assert status in (1, 2), text
    assert len(lines) == 1 and lines[0].startswith(f"{command.PROGRAM}: "), text
    assert name.partition("/")[0] in text
    assert re.search(said, text), text
    assert not (world / "out").exists()


def test_a_configuration_of_32_mb(tmp_path, capsys, bounded):
    """In an attribute of the newest layout: older ones have 64 KiB."""
    path = tmp_path / "large.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["model_config"] = "[" * (32 << 20)
    assert export.main([str(path), *LOADED, "--out", str(tmp_path / "out")]) == 1
    assert f"{path}: expected a model" in capsys.readouterr().err


def test_a_tree_may_be_linked_together(tmp_path):
    """As Kubernetes mounts a volume."""
    (tmp_path / "..1" / "variables").mkdir(parents=True)
    (tmp_path / "..1" / "variables" / "a").write_text("a")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "variables").symlink_to("..data/variables")
    files.check_tree(tmp_path)


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_a_tree_that_holds_itself(tmp_path, target):
    (tmp_path / "model" / "assets").mkdir(parents=True)
    (tmp_path / "model" / "assets" / "more").symlink_to(target)
    with pytest.raises(FileError, match="got a link that holds itself"):
        files.check_tree(tmp_path / "model")


def test_a_tree_of_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_FILES", 3)
    for number in range(4):
        (tmp_path / str(number)).touch()
    with pytest.raises(FileError, match="expected at most 3 files, got more"):
        files.check_tree(tmp_path)


def test_a_file_that_says_it_is_empty():
    """Linux's own files say so."""
    with pytest.raises(FileError, match="/proc/self/maps: expected at most 0 MiB, got 11 bytes"):
        files.read("/proc/self/maps", 10)
