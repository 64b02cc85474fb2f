"""The reference for this package's tests: what Pillow makes of WebP files.

    reference.py decode MODE  for each file on standard input: Image.open(file).convert(MODE)
    reference.py make SEED N KIND  made-up images, saved as lossless, lossy, or lossy with alpha

All numbers in the streams are little-endian int32. A file is its length and its bytes. A decoded
image is its width and height and its bytes; a file that Pillow refuses is -1, the length of
the reason and the reason. A made-up image is the length of its name, the name, and the file.
"""

import io
import struct
import sys
import warnings

import numpy as np
from PIL import Image


def decode(mode, src, dst):
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None
    while head := src.read(4):
        data = src.read(struct.unpack("<i", head)[0])
        try:
            image = Image.open(io.BytesIO(data), formats=["WEBP"]).convert(mode)
        except Exception as error:  # whatever a caller would get
            reason = f"{type(error).__name__}: {error}".encode()
            dst.write(struct.pack("<ii", -1, len(reason)) + reason)
        else:
            dst.write(struct.pack("<ii", *image.size) + image.tobytes())
        dst.flush()


def sample(rng, width, height, alpha):
    """Waves and noise, few colours, or nothing but noise."""
    y, x = np.mgrid[0:height, 0:width]
    a, b, c, d = rng.uniform(-0.3, 0.3, 4)
    kind = rng.integers(4)
    if kind == 0:
        colors = rng.integers(0, 256, (rng.choice([1, 2, 3, 4, 5, 16, 17, 200]), 4))
        waves = len(colors) * (0.5 + 0.49 * np.sin(a * x + b * y))
        pixels = colors[waves.astype(int)]
    elif kind == 1:
        pixels = rng.integers(0, 256, (height, width, 4))
    else:
        pixels = np.stack([127 + 120 * np.sin(a * x + b * y + c * i) for i in range(4)], -1)
        pixels += rng.choice([0, 2, 20]) * rng.standard_normal((height, width, 4))
        if kind == 3:
            # Repeats itself.
            pixels = np.roll(np.tile(pixels[: 1 + height // 3], (4, 1, 1))[:height], int(30 * d), 1)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGBA")
    return image if alpha else image.convert("RGB")


def make(seed, count, kind, dst):
    rng = np.random.default_rng(seed)
    warnings.simplefilter("ignore")
    for i in range(count):
        width, height = (int(n) for n in rng.integers(1, 20 if i % 3 == 0 else 120, 2))
        alpha = kind == "alpha" or (kind == "lossless" and rng.integers(3) == 0)
        image = sample(rng, width, height, alpha)
        options = {
            "method": int(rng.integers(0, 7)),
            "quality": int(rng.integers(0, 101)),
            "exact": bool(rng.integers(2)),
        }
        if kind == "alpha":
            options["alpha_quality"] = int(rng.choice([0, 50, 100, 100]))
        out = io.BytesIO()
        image.save(out, "WEBP", lossless=kind == "lossless", **options)
        name = f"{i} {image.mode} {width}x{height} {options}".encode()
        data = out.getvalue()
        dst.write(struct.pack("<i", len(name)) + name + struct.pack("<i", len(data)) + data)


if sys.argv[1] == "decode":
    decode(sys.argv[2], sys.stdin.buffer, sys.stdout.buffer)
else:
    make(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.stdout.buffer)
