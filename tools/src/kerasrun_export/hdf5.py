"""Looks at HDF5 files before anything of them is read: a file may lead to others, and be small and
hold terabytes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import h5py

ALWAYS = 1 << 30  # bytes that numbers may have, however small the file is
PACKED = 100  # times smaller than its numbers a larger file may be


@contextmanager
def opened(file: str | os.PathLike) -> Iterator[h5py.File]:
    """An HDF5 file for reading, which holds all that it names. Raises ValueError for another."""
    with h5py.File(file, "r") as opened_file:
        _check(opened_file, max(ALWAYS, PACKED * os.path.getsize(file)))
        yield opened_file


def _check(file: h5py.File, limit: int) -> None:
    links: list[tuple[str, object]] = []
    file.visititems_links(lambda name, link: links.append((name, link)))
    for name, link in links:
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(
                f"{name} is in another file, {link.filename}: expected a file that holds all that "
                "it names"
            )
    datasets: list[tuple[str, h5py.Dataset]] = []
    file.visititems(
        lambda name, item: datasets.append((name, item)) if isinstance(item, h5py.Dataset) else None
    )
    for name, dataset in datasets:
        if dataset.external or dataset.is_virtual:
            raise ValueError(
                f"the numbers of {name} are in another file: expected a file that holds them"
            )
        limit -= dataset.nbytes
    if limit < 0:
        raise ValueError(
            f"its numbers are over {PACKED} times as large as it is: expected a file as Keras saves"
        )
