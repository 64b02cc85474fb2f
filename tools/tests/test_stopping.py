"""Commands that a signal ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kerasrun_export import manifest
from kerasrun_export.backend import keras

# The moments are drawn once: shares of an export's events.
MOMENTS = (0.03, 0.11, 0.24, 0.38, 0.45, 0.57, 0.69, 0.76, 0.88, 0.97, "place", "place")
NAMES = {signal.SIGINT: "Interrupt", signal.SIGTERM: "Terminated", signal.SIGHUP: "Hangup"}

# Before the commands are imported: the program is one of them.
COMMAND = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
sys.argv = ["kerasrun-export", "--help"]
"""
# The same without TensorFlow, which takes seconds.
INSTALLED = """
import importlib.util
from kerasrun_export import scratch
path = os.path.join(os.path.dirname(scratch.__file__), "cli", "stopping.py")
spec = importlib.util.spec_from_file_location("stopping", path)
stopping = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stopping)
stopping.install()
"""


def python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


def assert_whole(directory: Path) -> None:
    stored = manifest.read(directory)["files"]
    found = {p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file()}
    assert found == {*stored, manifest.PATH.as_posix()}
    for name, file in stored.items():
        assert manifest.sha256(directory / name) == file["sha256"], name


def test_an_export_that_is_stopped_leaves_nothing_half_written(tmp_path):
    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(2, activation="softmax")])
    model.save(tmp_path / "own.keras")
    (tmp_path / "here").mkdir()
    signals = list(NAMES)
    asked = [[moment, signals[i % 3], i % 2 == 1] for i, moment in enumerate(MOMENTS)]
    done = subprocess.run(
        [
            *(sys.executable, Path(__file__).with_name("stopped_exports.py")),
            *(tmp_path / "own.keras", tmp_path / "here" / "out"),
        ],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    happened = json.loads(done.stdout)
    assert len(happened) == len(asked)
    for (moment, number, replaced), one in zip(asked, happened, strict=True):
        assert one["status"] == 128 + number, (moment, one)
        last = one["stderr"].splitlines()[-1]
        assert last == f"kerasrun-export: stopped by a signal: {NAMES[number]}", (moment, one)
        assert "Traceback" not in one["stderr"]
        assert one["left"] == [], (moment, one)
        if replaced or moment == "place":
            assert one["whole"], (moment, one)
        if one["whole"]:
            assert_whole(tmp_path / "here" / one["whole"])


@pytest.mark.parametrize("number", NAMES)
def test_a_signal_while_tensorflow_is_imported(number):
    done = python(
        COMMAND
        + f"""
def event(name, args):
    if name == "import" and args[0] == "tensorflow":
        os.kill(os.getpid(), {int(number)})
sys.addaudithook(event)
import kerasrun_export.cli.export
"""
    )
    assert done.returncode == 128 + number
    assert done.stderr == f"kerasrun-export: stopped by a signal: {NAMES[number]}\n"


def test_what_is_ignored_stays_ignored():
    """As nohup starts a program."""
    done = python(
        COMMAND
        + "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
        + INSTALLED
        + """
os.kill(os.getpid(), signal.SIGHUP)
os.kill(os.getpid(), signal.SIGTERM)
signal.pause()
"""
    )
    assert done.returncode == 143


def test_a_signal_to_a_child_is_the_childs():
    """A user's function may start processes, and stop them."""
    done = python(
        COMMAND
        + INSTALLED
        + """
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(-signal.SIGTERM)), done.stderr
