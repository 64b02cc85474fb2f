"""Draws images for this package's tests: draw.py SEED N KIND.

Pillow saves them as lossless, lossy, or lossy with alpha. An image is the length of its name, the
name, the length of the file, and the file; lengths are little-endian int32.
"""

import io
import struct
import sys
import warnings

import numpy as np
from PIL import Image


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


make(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.stdout.buffer)
