"""Draws images for this package's tests: draw.py SEED, saved by Pillow in every way it offers.

An image is the length of its name, the name, the length of the file, and the file; lengths are
little-endian int32.
"""

import io
import struct
import sys
import warnings

import numpy as np
from PIL import Image


def sample(rng, width, height, mode):
    """Gradients, edges and noise, in a proportion drawn at random."""
    channels = {"L": 1, "RGB": 3, "YCbCr": 3, "CMYK": 4}[mode]
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(channels):
        a, b, c, d = rng.uniform(-0.3, 0.3, 4)
        plane = 128 + 120 * np.sin(a * x + b * y + c * np.sqrt(x * y)) * np.cos(d * (x - y))
        plane += rng.choice([0, 3, 40, 300]) * rng.standard_normal((height, width))
        edge = rng.integers(0, max(1, width)), rng.integers(0, max(1, height))
        plane[edge[1] :, edge[0] :] = rng.choice([0, 255, 77])
        planes.append(plane)
    array = np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)
    return Image.fromarray(array[:, :, 0] if channels == 1 else array, mode)


def make(seed, dst):
    rng = np.random.default_rng(seed)
    warnings.simplefilter("ignore")

    def write(mode, width, height, **options):
        name = " ".join(
            [f"{mode} {width}x{height}"] + [f"{k}={v}" for k, v in options.items()]
        ).encode()
        out = io.BytesIO()
        sample(rng, width, height, mode).save(out, "JPEG", **options)
        data = out.getvalue()
        dst.write(struct.pack("<i", len(name)) + name + struct.pack("<i", len(data)) + data)

    samplings = ["4:4:4", "4:2:2", "4:2:0"]
    # Every small size, in one of the samplings each.
    for width in range(1, 41):
        for height in range(1, 41):
            if width < 9 or height < 9 or (width * 40 + height) % 3 == seed % 3:
                write(
                    "RGB",
                    width,
                    height,
                    subsampling=samplings[(width + height + seed) % 3],
                    quality=int(rng.integers(1, 101)),
                )
    for quality in range(1, 101):
        width, height = (int(n) for n in rng.integers(1, 130, 2))
        mode = ["RGB", "L", "CMYK", "YCbCr"][quality % 4]
        options = {
            "quality": quality,
            "progressive": bool(rng.integers(2)),
            "optimize": bool(rng.integers(2)),
        }
        if mode in ("RGB", "YCbCr"):
            options["subsampling"] = samplings[quality % 3]
        if rng.integers(3) == 0:
            options["restart_marker_blocks"] = int(rng.integers(1, 20))
        elif rng.integers(3) == 0:
            options["restart_marker_rows"] = int(rng.integers(1, 4))
        write(mode, width, height, **options)
    for keep_rgb in range(6):
        write(
            "RGB",
            *(int(n) for n in rng.integers(1, 60, 2)),
            keep_rgb=True,
            progressive=bool(keep_rgb % 2),
        )
    # Divisors that make coefficients of any size.
    for top in (1, 2, 255):
        for mode in ("L", "RGB"):
            write(
                mode,
                61,
                47,
                qtables=[[int(n) for n in rng.integers(1, top + 1, 64)]] * 2,
                subsampling=2,
            )
    # Larger images, past the 64 KiB that Pillow hands over at a time.
    write("RGB", 500, 375, quality=90)
    write("RGB", 641, 479, quality=99, subsampling=0)
    write("RGB", 640, 480, quality=98, subsampling=2, progressive=True)
    write("RGB", 513, 257, quality=97, subsampling=1, restart_marker_rows=1)
    write("CMYK", 300, 300, quality=95)


if __name__ == "__main__":
    make(int(sys.argv[1]), sys.stdout.buffer)
