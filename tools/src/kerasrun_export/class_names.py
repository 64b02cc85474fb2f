"""The class names of an export, in the form of Keras's imagenet_class_index.json."""

import codecs
import json
import re
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

from kerasrun_export import files
from kerasrun_export.errors import ExportError

IMAGENET = Path(__file__).with_name("imagenet_class_index.json")
FORMS = (
    'one name a line, a JSON list, {"cat": 0, "dog": 1} (class_indices), {"0": "cat", "1": "dog"} '
    'or Keras\'s {"0": ["id", "name"], ...}'
)
# Lines with their class's number: "0 Cat" of Teachable Machine's labels.txt, "0: cat", "cat,0".
NUMBERED = (
    r"(?P<number>\d+)(?: +|\s*[\t,;:]\s*)(?P<name>\S.*)",
    r"(?P<name>.*\S)\s*[\t,;]\s*(?P<number>\d+)",
)
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def encode(rows: Sequence[Sequence[str]]) -> bytes:
    """The JSON of (id, name) rows, one a class, in the order of the model's outputs."""
    table = {str(i): list(row) for i, row in enumerate(rows)}
    return json.dumps(table, ensure_ascii=False).encode()


def from_names(names: object, what: str = "class names") -> list[tuple[str, str]]:
    """(id, name) rows of names: a sequence in the order of the outputs, or a dict as in FORMS.

    what: named in the error. Raises ExportError where it is neither, a name is not a string or
    empty, two classes have the same (id, name), or the numbers of a dict are not 0, 1, 2, ...
    """
    if isinstance(names, dict):
        rows = _from_dict(names, what)
    elif isinstance(names, Sequence) and not isinstance(names, str):
        rows = [_row(name, what) for name in names]
    else:
        raise ExportError(f"{what}: expected a list of strings, got {names!r}")
    seen: dict[tuple[str, str], int] = {}
    for i, row in enumerate(rows):
        if row in seen:
            raise ExportError(
                f"{what}: expected a name of its own for each class, got {row[1]!r} for classes "
                f"{seen[row]} and {i}; Keras's form tells classes of one name apart by their ids"
            )
        seen[row] = i
    return rows


def _row(name: object, what: str) -> tuple[str, str]:
    """(id, name) of "name" or ["id", "name"]."""
    pair = (name, name) if isinstance(name, str) else name
    if (
        not isinstance(pair, (list, tuple))
        or len(pair) != 2
        or not all(isinstance(part, str) for part in pair)
    ):
        raise ExportError(f"{what}: expected a name, a string, for each class, got {name!r}")
    identity, text = (part.strip() for part in pair)
    if not text:
        raise ExportError(f"{what}: expected a name for each class, got an empty one")
    return identity, text


def _from_dict(table: dict, what: str) -> list[tuple[str, str]]:
    """The rows in the order of the numbers, which are its values (class_indices) or its keys."""
    by_name = bool(table) and all(_is_number(value) for value in table.values())
    if by_name:
        numbered = [(int(number), name) for name, number in table.items()]
    elif all(re.fullmatch(r"\d+", str(key)) for key in table):
        numbered = [(int(key), name) for key, name in table.items()]
    else:
        raise ExportError(f"{what}: expected {FORMS}, got {_short(table)}")
    numbered.sort(key=lambda item: item[0])
    numbers = [number for number, _ in numbered]
    if numbers != list(range(len(numbers))):
        wrong = next(i for i, number in enumerate([*numbers, None]) if number != i)
        got = f"{numbers[wrong]} after {wrong - 1}" if wrong else f"{numbers[0]} as the first"
        raise ExportError(f"{what}: expected the numbers 0 to {len(numbers) - 1}, got {got}")
    return [_row(name, what) for _, name in numbered]


def _is_number(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def read(path: Path) -> list[tuple[str, str]]:
    """(id, name) rows from a file in one of FORMS, in UTF-8, with or without a byte order mark, or
    in UTF-16 with one; lines may be numbered, as Teachable Machine's labels.txt is ("0 Cat").

    Raises ExportError where it is anything else, as `from_names` does, has an empty line between
    names, or lines that are not in the order of their numbers.
    """
    data = files.read(path, files.TEXT)
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ExportError(
            f"{path}: expected text in UTF-8, or in UTF-16 with a byte order mark, got other "
            f"bytes at {error.start}"
        ) from error
    if "\0" in text:
        raise ExportError(f"{path}: expected text, or UTF-16 with a byte order mark, got NUL bytes")
    if text.lstrip()[:1] in ("{", "["):
        try:
            names = files.parse_json(text, object_pairs_hook=_unique)
        except ValueError as error:
            raise ExportError(f"{path}: expected {FORMS}, got broken JSON: {error}") from error
    else:
        names = _lines(text, path)
    if not names:
        raise ExportError(f"{path}: expected {FORMS}, got no names")
    return from_names(names, str(path))


def _unique(pairs: list[tuple[str, object]]) -> dict:
    table = dict(pairs)
    if len(table) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return table


def _lines(text: str, path: Path) -> list[str]:
    lines = [line.strip() for line in re.split(r"\r\n|\n|\r", text)]
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        raise ExportError(
            f"{path}: expected a name in each line, got an empty line {lines.index('') + 1}: it "
            "would move every class after it"
        )
    for pattern in NUMBERED:
        found = [re.fullmatch(pattern, line) for line in lines]
        numbers = [int(match["number"]) for match in found if match]
        if sorted(numbers) != list(range(len(lines))):
            continue
        if numbers != sorted(numbers):
            raise ExportError(
                f"{path}: expected the lines in the order of their numbers, 0 to "
                f"{len(lines) - 1}, got {lines[0]!r} as the first: sort them, or leave the numbers "
                "away where the order of the lines is meant"
            )
        return [match["name"] for match in found]
    return lines
