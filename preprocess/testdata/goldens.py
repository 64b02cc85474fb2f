"""Prints goldens.txt: hashes of what Keras and Pillow make of the images in the repository.

    .venv/bin/python preprocess/testdata/goldens.py > preprocess/testdata/goldens.txt

A line is one of

    decode PATH WxH SHA256                          of the pixels, uint8 RGB, row-major
    decode PATH refused
    resize PATH WxH FILTER FIT SHA256               the same, of the resized image
    tensor PATH WxH FILTER FIT MODE SHA256          of the tensor, little-endian float32

with PATH from the root of the repository.
"""

import hashlib
from pathlib import Path

from PIL import Image
from reference import answer

ROOT = Path(__file__).parents[2]
DIRS = ["testdata/images", "testdata/photos", "preprocess/internal/jpeg/testdata"]
SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"}
RESIZED = ["testdata/photos/cat.jpg", "testdata/images/generated/rgb24-header40.bmp"]
TENSORS = ["testdata/photos/astronaut.png", "testdata/photos/flower.webp"]
SIZES = [(224, 224), (31, 50)]
FILTERS = ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
FITS = ["stretch", "crop", "short_side"]
MODES = ["caffe", "tf", "torch", "none"]


def line(kind, path, request, *names):
    try:
        (width, height), data = answer((ROOT / path).read_bytes(), request)
    except Exception:
        print(kind, path, *names, "refused")
        return
    print(kind, path, f"{width}x{height}", *names, hashlib.sha256(data).hexdigest())


def main():
    Image.MAX_IMAGE_PIXELS = None  # the limit is not what is compared
    for path in sorted(p for d in DIRS for p in (ROOT / d).rglob("*") if p.suffix in SUFFIXES):
        line("decode", path.relative_to(ROOT).as_posix(), {})
    for path in RESIZED:
        for width, height in SIZES:
            for name in FILTERS:
                for fit in FITS:
                    request = {"width": width, "height": height, "filter": name, "fit": fit}
                    line("resize", path, request, name, fit)
    for path in TENSORS:
        for mode in MODES:
            request = {"width": 64, "height": 48, "filter": "bilinear", "fit": "stretch"}
            line("tensor", path, request | {"mode": mode}, "bilinear", "stretch", mode)


if __name__ == "__main__":
    main()
