"""Remembers, in the user's cache, which directories this user has exported: kerasrun opens those
without trying them in a process of their own first.
"""

import hashlib
import os
import secrets
import warnings
from pathlib import Path

from kerasrun_export import download, manifest


def content(directory: Path, files: dict) -> str:
    """The SHA-256 of a directory that was just written, as `kerasrun inspect` prints it.

    files: those of its manifest. Of each file, in the order of the names, its SHA-256, two blanks,
    its name and a zero byte, as sha256sum -z prints them.
    """
    sums = {name: file["sha256"] for name, file in files.items()}
    sums[manifest.PATH.as_posix()] = manifest.sha256(directory / manifest.PATH)
    lines = [
        sums[name].encode() + b"  " + os.fsencode(name) + b"\0"
        for name in sorted(sums, key=os.fsencode)
    ]
    return hashlib.sha256(b"".join(lines)).hexdigest()


def remember(directory: Path) -> None:
    """Vouches for a directory that this user has exported. Where there is no cache it warns: then
    kerasrun tries the directory itself.
    """
    found = content(directory, manifest.read(directory)["files"])
    try:
        kept = download.cache() / "vouched"
        if not kept.is_absolute():
            raise OSError(f"{kept}: expected an absolute path")
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = kept / f".{found}.{secrets.token_hex(8)}"
        partial.touch(mode=0o600, exist_ok=False)
        partial.write_text(f'{{"sha256":"{found}","by":"export"}}\n')
        partial.replace(kept / f"{found}.export")
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        warnings.warn(
            f"{directory}: that you exported it cannot be remembered ({error}): kerasrun tries it "
            "in a process of its own when it first opens it",
            stacklevel=2,
        )
