"""Class names in the forms that people have them."""

import json

import pytest

from kerasrun_export import class_names
from kerasrun_export.errors import ExportError

NAMES = ["daisy", "dandelion", "été", "tulip"]
ROWS = [(name, name) for name in NAMES]
INDICES = {name: i for i, name in reversed(list(enumerate(NAMES)))}
LINES = "".join(f"{name}\n" for name in NAMES)
NUMBERED = "".join(f"{i} {name}\n" for i, name in enumerate(NAMES))


@pytest.mark.parametrize(
    ("data", "rows"),
    {
        "lines": (LINES.encode(), ROWS),
        "no last line end": (LINES.rstrip().encode(), ROWS),
        "lines of Windows": (LINES.replace("\n", "\r\n").encode(), ROWS),
        "byte order mark": (LINES.encode("utf-8-sig"), ROWS),
        "UTF-16, little end first": (b"\xff\xfe" + LINES.encode("utf-16-le"), ROWS),
        "UTF-16, big end first": (b"\xfe\xff" + LINES.encode("utf-16-be"), ROWS),
        "Teachable Machine's": (NUMBERED.encode(), ROWS),
        "names that begin with numbers": (
            b"3 wheeler\n2 wheeler\n",
            [("3 wheeler",) * 2, ("2 wheeler",) * 2],
        ),
        "numbers and colons": (b"0: cat\n1: dog\n", [("cat",) * 2, ("dog",) * 2]),
        "a column of numbers": (b"cat,0\ndog,1\n", [("cat",) * 2, ("dog",) * 2]),
        "names that end in numbers": (b"area 1\narea 0\n", [("area 1",) * 2, ("area 0",) * 2]),
        "empty lines at the end": (LINES.encode() + b"\n \n", ROWS),
        "JSON list": (json.dumps(NAMES).encode(), ROWS),
        "JSON list with a mark": (json.dumps(NAMES).encode("utf-8-sig"), ROWS),
        "class_indices": (json.dumps(INDICES).encode(), ROWS),
        "class_indices in UTF-16": (json.dumps(INDICES, ensure_ascii=False).encode("utf-16"), ROWS),
        "names by number": (json.dumps({str(i): n for n, i in INDICES.items()}).encode(), ROWS),
        "more than ten": (
            json.dumps({str(i): f"class {i}" for i in range(12)}, sort_keys=True).encode(),
            [(f"class {i}",) * 2 for i in range(12)],
        ),
        "Keras's": (
            b'{"1": ["n02", "cat"], "0": ["n01", "tench"]}',
            [("n01", "tench"), ("n02", "cat")],
        ),
        "names that are numbers": (b'{"0": "7", "1": "3"}', [("7", "7"), ("3", "3")]),
        "one name under two ids": (
            b'{"0": ["a", "crane"], "1": ["b", "crane"]}',
            [("a", "crane"), ("b", "crane")],
        ),
    }.values(),
)
def test_forms(tmp_path, data, rows):
    path = tmp_path / "names"
    path.write_bytes(data)
    assert class_names.read(path) == rows
    assert json.loads(class_names.encode(rows)) == {str(i): list(row) for i, row in enumerate(rows)}


@pytest.mark.parametrize(
    ("data", "message"),
    {
        "nothing": (b"\n", "got no names"),
        "an empty line between": (
            b"a\n\nb\n",
            "got an empty line 2: it would move every class after it",
        ),
        "numbered lines in another order": (b"1 dog\n0 cat\n", "order of their numbers, 0 to 1"),
        "a column of numbers in another order": (b"dog,1\ncat,0\n", "order of their numbers"),
        "a name twice": (b"a\nb\na\n", "got 'a' for classes 0 and 2"),
        "a gap": (b'{"a": 0, "b": 2}', "expected the numbers 0 to 1, got 2 after 0"),
        "from one": (b'{"1": "a", "2": "b"}', "expected the numbers 0 to 1, got 1 as the first"),
        "a number twice": (b'{"a": 0, "b": 0}', "expected the numbers 0 to 1, got 0 after 0"),
        "a key twice": (b'{"a": 0, "a": 1}', "the key 'a' is there twice"),
        "no numbers": (b'{"a": "b"}', "expected one name a line, a JSON list"),
        "a number for a name": (b'["a", 1]', "expected a name, a string, for each class, got 1"),
        "an empty name": (b'["a", " "]', "got an empty one"),
        "a row of three": (b'{"0": ["a", "b", "c"]}', "for each class, got ['a', 'b', 'c']"),
        "truth": (b'{"a": true}', "expected one name a line"),
        "broken": (b'{"0": "a",', "got broken JSON"),
        "Latin-1": ("été\n".encode("latin-1"), "expected text in UTF-8"),
        "UTF-16 without a mark": ("ab\n".encode("utf-16-le"), "got NUL bytes"),
    }.values(),
)
def test_what_is_none_of_them(tmp_path, data, message):
    path = tmp_path / "names"
    path.write_bytes(data)
    with pytest.raises(ExportError, match=r"\A[^\n]*\Z") as caught:
        class_names.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_live_dict():
    """What ImageDataGenerator's class_indices is in a notebook."""
    assert class_names.from_names(INDICES) == ROWS
    assert class_names.from_names({0: "a", 1: "b"}) == [("a", "a"), ("b", "b")]
    assert class_names.from_names(tuple(NAMES)) == ROWS
