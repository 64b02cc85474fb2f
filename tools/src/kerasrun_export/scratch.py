"""Temporary directories that are gone when the program has ended, also where a signal ends it."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TRIES = 100  # to remove a directory that another thread still writes into

_lock = threading.RLock()
_live: set[Path] = set()
_whole = threading.local()


@contextmanager
def directory(beside: Path | None = None) -> Iterator[Path]:
    """A directory of its own, which is removed at the end.

    beside: a path that will be written; the directory lies next to it. None: where the system has
        temporary files.
    """
    prefix, parent = (f".{beside.name}.", beside.parent) if beside else (None, None)
    with whole():
        made = tempfile.TemporaryDirectory(prefix=prefix, dir=parent)
        path = Path(made.name)
        _live.add(path)
    try:
        yield path
    finally:
        with whole():
            made.cleanup()
            _live.discard(path)


@contextmanager
def whole() -> Iterator[None]:
    """What is done inside is done whole, or not begun, before `remove_all` returns."""
    # Counted before the lock is had and until it is free: who sees 0 does not hold it.
    _whole.depth = getattr(_whole, "depth", 0) + 1
    try:
        with _lock:
            yield
    finally:
        _whole.depth -= 1


def is_whole() -> bool:
    """Whether this thread is inside of `whole`."""
    return getattr(_whole, "depth", 0) > 0


def remove_all() -> None:
    """Removes every directory, for a program that ends: afterwards no thread gets one, or into
    `whole`. What another thread still writes into one is removed too.
    """
    _lock.acquire()
    for path in _live:
        for _ in range(TRIES):
            shutil.rmtree(path, ignore_errors=True)
            if not path.exists():
                break
