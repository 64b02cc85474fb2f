"""The manifest of an exported directory: what the model is, takes and gives; every SHA-256."""

import hashlib
import json
import platform
from pathlib import Path

from kerasrun_export import __version__, files
from kerasrun_export.backend import keras, tf
from kerasrun_export.errors import FileError, ManifestError

FORMAT = 2
PATH = Path("assets.extra/kerasrun.json")
LABELS = Path("assets.extra/labels.json")
GOLDENS = Path("assets.extra/goldens")
BLANK = "0" * 64  # in the place of the manifest's own SHA-256 when that is computed


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """What produced a directory."""
    return {
        "kerasrun": __version__,
        "python": platform.python_version(),
        "tensorflow": tf.version.VERSION,
        "keras": keras.__version__,
    }


def write(directory: Path, fields: dict[str, object]) -> None:
    """Writes the manifest over everything that is in the directory already."""
    listed = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path != directory / PATH:
            name = path.relative_to(directory).as_posix()
            listed[name] = {"sha256": sha256(path), "bytes": path.stat().st_size}
    manifest = {
        "format": FORMAT,
        **fields,
        "versions": versions(),
        "files": listed,
        "sha256": BLANK,
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    path = directory / PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(exchange(text, BLANK, own_sha256(text, BLANK)), encoding="utf-8")


def own_sha256(text: str, held: str) -> str:
    """The SHA-256 of a manifest with zeros in the place of its own."""
    return hashlib.sha256(exchange(text, held, BLANK).encode()).hexdigest()


def exchange(text: str, old: str, new: str) -> str:
    """The text with the last `old` in it made `new`."""
    return new.join(text.rsplit(old, 1))


def read(directory: Path) -> dict:
    """The manifest of a directory; ManifestError unless it is as written."""
    path = directory / PATH
    try:
        text = files.read(path, files.TEXT).decode()
        manifest = files.parse_json(text)
    except FileError:
        raise
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path}: not a manifest of an exported model: {error}") from error
    stored = manifest.get("format") if isinstance(manifest, dict) else None
    if stored != FORMAT:
        raise ManifestError(
            f"{path}: expected a manifest of format {FORMAT}, got {stored}: export the model again"
        )
    held = manifest.get("sha256")
    if not isinstance(held, str) or len(held) != len(BLANK) or own_sha256(text, held) != held:
        raise ManifestError(
            f"{path}: expected the manifest as it was written; export the model again"
        )
    return manifest
