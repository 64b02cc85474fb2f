"""Which files are images: the same list as Go's."""

import re
from pathlib import Path

import pytest

from kerasrun_export import image_files
from kerasrun_export.errors import ImageError

GO = Path(__file__).parents[2] / "score/entry.go"


@pytest.mark.parametrize(
    ("name", "endings"),
    [("ImageExtensions", image_files.ENDINGS), ("foreignExtensions", image_files.FOREIGN)],
)
def test_the_endings_are_gos(name, endings):
    text = re.search(rf"^var {name} = \[\]string{{(.*?)}}$", GO.read_text(), re.M | re.S)[1]
    assert tuple(re.findall(r'"(\.[a-z0-9]+)"', text)) == endings


def test_what_is_taken(tmp_path):
    (tmp_path / "cats" / ".thumbnails").mkdir(parents=True)
    names = ["b.JPG", "a.jfif", "cats/c.jpe", "cats/notes.txt", "._b.JPG", "cats/.thumbnails/d.png"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "e.png").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in image_files.below(tmp_path)]
    assert found == ["a.jfif", "b.JPG", "cats/c.jpe"]
    (tmp_path / "cats" / "f.AVIF").touch()
    with pytest.raises(ImageError, match=r"f\.AVIF: expected images that kerasrun reads .*\.avif"):
        image_files.below(tmp_path)


def test_none(tmp_path):
    with pytest.raises(ImageError, match="no images"):
        image_files.below(tmp_path)
    with pytest.raises(ImageError, match="no such directory"):
        image_files.below(tmp_path / "none")
