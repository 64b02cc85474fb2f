"""Downloads a weights file: with progress, checked, cached, taken up where it broke off."""

import contextlib
import fcntl
import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import requests

from kerasrun_export.errors import UnreachableError, WeightsError

DECIDED_WITHIN = 9.0  # seconds until a server that has not answered counts as out of reach
STALLED_AFTER = 30.0  # seconds without a byte until a transfer counts as broken off
CHUNK = 1 << 16  # bytes; a connection that breaks loses at most these
FRUITLESS_TRIES = 3  # connections in a row that bring nothing until a broken transfer is given up


def cache() -> Path:
    """Where downloads are kept: kerasrun in XDG_CACHE_HOME, or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kerasrun"


def fetch(url: str, digest: str | None) -> Path:
    """The file at url, from the cache or downloaded. digest: its MD5 or SHA-256 in hexadecimal,
    None where none is published.

    Raises UnreachableError, and WeightsError where the file is not the one that the digest says.
    """
    target = cache() / url.rpartition("/")[2]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_name(target.name + ".lock")):
            if not (target.is_file() and _is_right(target, digest)):
                _download(url, digest, target)
    except OSError as error:  # requests' own are turned into UnreachableError where they arise
        raise WeightsError(f"{target}: {error.strerror or error}") from error
    return target


def hash_file(path: Path, like: str) -> str:
    """The file's digest in hexadecimal, of the kind that `like` has: MD5 or SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5" if len(like) == 32 else "sha256").hexdigest()


def _is_right(path: Path, digest: str | None) -> bool:
    return digest is None or hash_file(path, digest) == digest


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(url: str, digest: str | None, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    if digest is None:  # then nothing says that what lies there is the beginning of this file
        part.unlink(missing_ok=True)
    resumed = part.exists()
    _transfer(url, part)
    if resumed and not _is_right(
        part, digest
    ):  # what lay there may have been the beginning of something else
        part.unlink()
        _transfer(url, part)
    if not _is_right(part, digest):
        got, kind = hash_file(part, digest), "md5" if len(digest) == 32 else "sha256"
        part.unlink()
        raise WeightsError(
            f"{url}: not the published file: {kind} {got}, expected {digest}; it was not kept"
        )
    os.replace(part, target)


def _transfer(url: str, part: Path) -> None:
    """Brings the whole file, connecting again where the connection breaks."""
    tries = 0
    while True:
        have = part.stat().st_size if part.exists() else 0
        try:
            _receive(url, part, have)
            return
        except requests.RequestException as error:
            size = part.stat().st_size if part.exists() else 0
            tries = 1 if size > have else tries + 1
            if tries < FRUITLESS_TRIES:
                continue
            kept = "; the next run goes on from there" if size else ""
            raise UnreachableError(
                f"{url}: broken off after {size} bytes: {_reason(error)}{kept}"
            ) from error


def _receive(url: str, part: Path, have: int) -> None:
    """Appends one response to part, which has the file's first `have` bytes."""
    response = _connect(url, have)
    with response:
        if response.status_code == 416:  # nothing comes after what is there
            return
        if response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
            f"bytes {have}-"
        ):
            mode = "ab"
        elif response.status_code == 200:
            mode, have = "wb", 0
        else:
            raise UnreachableError(
                f"{url}: the server answered {response.status_code} {response.reason}"
            )
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        with part.open(mode) as file, _progress(part.name.removesuffix(".part"), total) as show:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                have += len(chunk)
                show(have)
        if total is not None and have < total:
            raise requests.ConnectionError(f"{total} bytes were announced")


def _connect(url: str, have: int) -> requests.Response:
    """The response to a GET from byte `have` on, its headers read.

    In a thread, because looking up a name takes as long as the system's resolver likes.
    """
    outcome: list[requests.Response | Exception] = []

    def get() -> None:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            outcome.append(
                requests.get(
                    url, headers=headers, stream=True, timeout=(DECIDED_WITHIN, STALLED_AFTER)
                )
            )
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    thread.join(DECIDED_WITHIN)
    if not outcome:
        raise UnreachableError(f"{url}: no answer within {DECIDED_WITHIN:.0f} seconds")
    if isinstance(outcome[0], requests.Response):
        return outcome[0]
    if isinstance(outcome[0], requests.RequestException):
        raise UnreachableError(f"{url}: cannot be reached: {_reason(outcome[0])}") from outcome[0]
    raise outcome[0]


def _reason(error: BaseException) -> str:
    """The innermost cause: "Connection refused", not "Max retries exceeded"."""
    while True:
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if isinstance(inner, BaseException):
            error = inner
            continue
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        return (str(error) or type(error).__name__).splitlines()[0]


@contextlib.contextmanager
def _progress(name: str, total: int | None) -> Iterator:
    """A line that rewrites itself on a terminal; elsewhere a line for every tenth."""
    terminal = sys.stderr.isatty()
    start, end = ("\r", "") if terminal else ("", "\n")
    shown = -1

    def show(have: int) -> None:
        nonlocal shown
        percent = 100 * have // total if total else 0
        step = percent if terminal else percent // 10
        if step != shown:
            shown = step
            line = f"{start}{name}: {have / 1e6:.1f} MB, {percent} %"
            print(line, end=end, file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if terminal:
            print(file=sys.stderr)
