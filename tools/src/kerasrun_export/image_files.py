"""Which files of a directory are images: by the names that Go's `score` takes for one."""

from pathlib import Path

from kerasrun_export import files
from kerasrun_export.errors import ImageError

ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff"),
)
# Of formats that Python's libraries read and Go does not.
FOREIGN = (".avif", ".jp2", ".j2k", ".jpx")


def below(directory: Path) -> list[Path]:
    """The images of a directory and of those inside it, but for hidden ones, in order.

    Raises ImageError where there are none, or one of a format that Go does not read, and FileError
    where one is no file, or larger than an image may be.
    """
    if not directory.is_dir():
        raise ImageError(f"{directory}: no such directory")
    found = []
    for path in sorted(directory.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        ending = path.suffix.lower()
        if hidden or ending not in (*ENDINGS, *FOREIGN) or path.is_dir():
            continue
        files.check(path, files.IMAGE)
        if ending in FOREIGN:
            raise ImageError(
                f"{path}: expected images that kerasrun reads ({', '.join(ENDINGS)}), got "
                f"{ending}: take it away or convert it, to PNG for instance"
            )
        found.append(path)
    if not found:
        raise ImageError(f"{directory}: no images ({', '.join(ENDINGS)})")
    return found
