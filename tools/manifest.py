"""The manifest of an exported directory: what the model is, what it takes and gives, and every other file's SHA-256."""

import hashlib
import json
import platform
from pathlib import Path

from tools.backend import keras, tf

FORMAT = 1
VERSION = "0.1.0"
PATH = Path("assets.extra/kerasrun.json")
LABELS = Path("assets.extra/labels.json")
GOLDENS = Path("assets.extra/goldens")


class ManifestError(ValueError):
    """A directory without a manifest that can be read. The message is one line for the user."""


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """What produced a directory."""
    return {
        "kerasrun": VERSION,
        "python": platform.python_version(),
        "tensorflow": tf.version.VERSION,
        "keras": keras.__version__,
    }


def input_contract(height: int, width: int) -> dict[str, object]:
    """The input of every directory written here: caffe-style tensors, from `keras.utils.load_img`'s pictures."""
    return {
        "name": "images",
        "dtype": "float32",
        "height": height,
        "width": width,
        "channels": 3,
        "layout": "NHWC",
        "color_order": "BGR",
        "mode": "caffe",
        "resample": "nearest",
        "fit": "stretch",
    }


def write(directory: Path, fields: dict[str, object]) -> None:
    """Writes the manifest over everything that is in the directory already."""
    files = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path != directory / PATH:
            name = path.relative_to(directory).as_posix()
            files[name] = {"sha256": sha256(path), "bytes": path.stat().st_size}
    manifest = {"format": FORMAT, **fields, "versions": versions(), "files": files}
    path = directory / PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read(directory: Path) -> dict:
    """The manifest of a directory; ManifestError where it has none or another format."""
    path = directory / PATH
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path}: not a manifest of an exported model: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ManifestError(f"{path}: expected a manifest of format {FORMAT}")
    return manifest
