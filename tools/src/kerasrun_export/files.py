"""Opens the files that a user names: regular ones, up to a size. No pipe is waited for, and nothing
that has no end is read.
"""

import json
import os
import stat
from pathlib import Path

from kerasrun_export.errors import FileError

TEXT = 16 << 20  # bytes of JSON, CSV, lists and Python
IMAGE = 256 << 20
GRAPH = 1 << 30  # of a saved_model.pb, which is in memory when it is read
MODEL = 16 << 30  # of a model's or weights file, or all those of a SavedModel
MOST_FILES = 10_000  # of a SavedModel
CHUNK = 64 << 10

KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check(path: str | os.PathLike, limit: int) -> int:
    """The size of a regular file, or of one that a link leads to.

    Raises FileError where it is none or has more than `limit` bytes, and OSError.
    """
    try:
        found = os.stat(path)
    except ValueError as error:  # a NUL in the name
        raise FileError(f"{os.fspath(path)!r}: expected the name of a file: {error}") from error
    if not stat.S_ISREG(found.st_mode):
        kind = KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise FileError(f"{path}: expected a file, got {kind}")
    _check_size(path, found.st_size, limit)
    return found.st_size


def _check_size(path: str | os.PathLike, size: int, limit: int) -> None:
    if size > limit:
        raise FileError(f"{path}: expected at most {limit >> 20:,} MiB, got {size:,} bytes")


def read(path: str | os.PathLike, limit: int) -> bytes:
    """What is in a file. Raises as `check` does."""
    size = check(path, limit)
    with open(path, "rb") as file:
        data = file.read(size)
        # Some of Linux's own files say that they have 0 bytes.
        while more := file.read(min(CHUNK, limit + 1 - len(data))):
            data += more
    _check_size(path, len(data), limit)
    return data


def parse_json(text: str | bytes, **options: object) -> object:
    """As json.loads. Raises ValueError for all that is no JSON, or is nested too deep."""
    try:
        return json.loads(text, **options)
    except RecursionError as error:
        raise ValueError("JSON that is nested too deep") from error


def check_tree(directory: Path) -> None:
    """Raises FileError where a model's directory has anything in it but directories and files, more
    than it may, or a link that leads around in a circle; and OSError.

    The links `..data` and their like, which Kubernetes makes, are left out.
    """
    pending, count, size = [(directory, frozenset())], 0, 0
    while pending:
        path, above = pending.pop()
        real = os.path.realpath(path)
        if real in above:
            raise FileError(f"{path}: expected a model's directory, got a link that holds itself")
        with os.scandir(path) as entries:
            found = [entry for entry in entries if not entry.name.startswith("..")]
        count += len(found)
        if count > MOST_FILES:
            raise FileError(f"{directory}: expected at most {MOST_FILES:,} files, got more")
        for entry in found:
            if entry.is_dir():
                pending.append((Path(entry.path), above | {real}))
                continue
            size += check(entry.path, MODEL)
            _check_size(directory, size, MODEL)
