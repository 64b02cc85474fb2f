"""The class names of an export, in the form of Keras's imagenet_class_index.json."""

import json
from collections.abc import Sequence
from pathlib import Path

from kerasrun_export.errors import ExportError

IMAGENET = Path(__file__).with_name("imagenet_class_index.json")
FORM = '{"0": ["id", "name"], ...}'


def encode(rows: Sequence[Sequence[str]]) -> bytes:
    """The JSON of (id, name) rows, one a class, in the order of the model's outputs."""
    table = {str(i): list(row) for i, row in enumerate(rows)}
    return json.dumps(table, ensure_ascii=False).encode()


def from_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """(id, name) rows of names alone; ExportError where these are not a sequence of strings."""
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ExportError(f"class names: expected a list of strings, got {names!r}")
    return [(name, name) for name in names]


def read(path: Path) -> list[tuple[str, str]]:
    """(id, name) rows from a file: one name a line, or Keras's JSON form."""
    text = path.read_text(encoding="utf-8")
    if not text.lstrip().startswith("{"):
        return from_names([line.strip() for line in text.splitlines() if line.strip()])
    try:
        table = json.loads(text)
        rows = [table[str(i)] for i in range(len(table))]
    except (ValueError, KeyError) as error:
        raise ExportError(f"{path}: expected Keras's form, {FORM}: {error!r}") from error
    if not all(
        isinstance(row, list) and len(row) == 2 and all(isinstance(x, str) for x in row)
        for row in rows
    ):
        raise ExportError(f"{path}: expected Keras's form, {FORM}")
    return [(identity, name) for identity, name in rows]
