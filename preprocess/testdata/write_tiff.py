"""Writes TIFF files of every mode, compression and layout that Pillow and tifffile write.

write_tiff.py FOLDER
"""

import contextlib
import itertools
import sys
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

out = Path(sys.argv[1])
rng = np.random.default_rng(20261130)
BANDS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "YCbCr": 3, "LAB": 3, "RGBX": 4}
COMPRESSIONS = None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg", "group4"
TAGS = {"plain": {}, "strips": {278: 5}, "tiles": {322: 16, 323: 16}, "predictor": {317: 2}}
TAGS |= {f"turned{k}": {274: k} for k in (1, 3, 6, 8)}


@contextlib.contextmanager
def written(path):
    """Leaves no file that the library does not write."""
    try:
        yield
    except Exception:
        path.unlink(missing_ok=True)


def drawn(mode, width=37, height=23):
    if mode == "1":
        return Image.fromarray(rng.integers(0, 2, (height, width)).astype(bool))
    if mode == "P":
        pixels = rng.integers(0, 256, (height, width, 3), "uint8")
        return Image.fromarray(pixels).quantize(64)
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 1 << 16, (height, width), "uint16"))
    if mode == "F":
        return Image.fromarray(rng.random((height, width), "float32") * 300)
    return Image.frombytes(mode, (width, height), rng.bytes(width * height * BANDS[mode]))


for mode, compression, (name, tags) in itertools.product(
    ["1", "P", "I;16", "F", *BANDS], COMPRESSIONS, TAGS.items()
):
    path = out / f"{mode.replace(';', '')}-{compression}-{name}.tif"
    with written(path):
        drawn(mode).save(path, compression=compression, tiffinfo=tags)

KINDS = {"minisblack": (20, 30), "miniswhite": (20, 30), "rgb": (20, 30, 3), "cmyk": (20, 30, 4)}
KINDS["separate"] = (3, 20, 30)
for (kind, shape), order, dtype in itertools.product(KINDS.items(), "<>", ["u1", "u2", "?", "f4"]):
    for compression, tile, predictor in itertools.product(
        [None, "lzw", "zlib", "packbits"], [None, (16, 16)], [False, True]
    ):
        pixels = (rng.random(shape) * 255).astype(dtype)
        parts = kind, "LB"[order == ">"], dtype.strip("?"), compression, bool(tile), predictor
        path = out / ("-".join(map(str, parts)) + ".tif")
        options = {"planarconfig": "separate"} if kind == "separate" else {}
        with written(path):
            photometric = "rgb" if kind == "separate" else kind
            tifffile.imwrite(
                path,
                pixels,
                photometric=photometric,
                byteorder=order,
                tile=tile,
                compression=compression,
                predictor=predictor,
                **options,
            )
for extra in "unassalpha", "assocalpha", "unspecified":
    pixels = rng.integers(0, 256, (20, 30, 4), "uint8")
    tifffile.imwrite(out / f"{extra}.tif", pixels, photometric="rgb", extrasamples=[extra])
pages = rng.integers(0, 256, (2, 20, 30, 3), "uint8")
tifffile.imwrite(out / "pages.tif", pages, photometric="rgb")
tifffile.imwrite(out / "big.tif", pages[0], photometric="rgb", bigtiff=True)
