"""What the scripts that run jobs on clusters share: the inputs, and the processes of a cluster."""

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
KERASRUN = ROOT / "bin" / "kerasrun"
MODEL = ROOT / "models" / "resnext50-32"
IMAGES = 480
BATCH = 8


def make_images(folder: Path) -> pa.Table:
    """Small images, of which a few are none, and a table of them with columns to keep."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 40, 40, 3), dtype=np.uint8)
    paths = []
    for i in range(IMAGES):
        path = folder / f"{i:05d}.png"
        paths.append(str(path))
        if i % 120 == 7:
            path.write_bytes(b"no image")
        elif i % 120 != 8:  # that one is not there
            Image.fromarray(pixels[i]).save(path)
    places = list(range(IMAGES))
    return pa.table({"place": places, "id": [f"row {i}" for i in places], "path": paths})


def descendants(pid: int) -> dict[int, str]:
    """The processes that a process and its children started, with their command lines."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(after[1]), []).append(int(stat.parent.name))
    found, left = {}, [pid]
    while left:
        for child in parents.get(left.pop(), []):
            left.append(child)
            try:
                found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
    return found


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
