"""Draws image files in every way in which OpenCV's decoders differ from Pillow's.

    draw.py SEED COUNT

It writes the name and the bytes of each file, after their length in four bytes.
"""

import io
import struct
import sys
import zlib

import cv2
import numpy as np
from PIL import Image


def sample(draw, channels):
    height, width = draw.integers(1, 60, 2)
    y, x = np.mgrid[0:height, 0:width]
    a, b = draw.uniform(-0.3, 0.3, 2)
    planes = [127 + 120 * np.sin(a * x + b * y + c) for c in range(channels)]
    noise = draw.choice([0, 5, 90]) * draw.standard_normal((height, width, channels))
    return np.clip(np.stack(planes, -1) + noise, 0, 255).astype(np.uint8)


def drawn(draw, mode):
    channels = {"1": 1, "L": 1, "P": 3, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    array = sample(draw, channels)
    if mode == "1":
        return Image.fromarray(array[:, :, 0] > 127)
    if mode == "P":
        colors = int(draw.choice([2, 7, 16, 30, 256]))
        return Image.fromarray(array).quantize(colors)
    return Image.fromarray(array[:, :, 0] if channels == 1 else array, mode)


def orientation(draw):
    exif = Image.Exif()
    exif[0x0112] = int(draw.integers(0, 10))
    return exif.tobytes()


def saved(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def jpeg(draw):
    image = drawn(draw, draw.choice(["L", "RGB", "RGB", "RGB", "CMYK"]))
    options = {"quality": int(draw.integers(5, 101)), "progressive": bool(draw.integers(2))}
    if image.mode == "RGB":
        if draw.integers(8) == 0:
            options["keep_rgb"] = True
        else:
            options["subsampling"] = int(draw.integers(0, 3))
    if draw.integers(3) == 0:
        options["exif"] = orientation(draw)
    return saved(image, "JPEG", **options)


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(draw):
    depth = draw.integers(6)
    if depth == 0:
        array = draw.integers(0, 65536, (9, 7, int(draw.choice([1, 3, 4]))), dtype=np.uint16)
        data = cv2.imencode(".png", array)[1].tobytes()
    else:
        image = drawn(draw, draw.choice(["1", "L", "LA", "P", "RGB", "RGBA"]))
        options = {}
        if image.mode in ("P", "L", "RGB") and draw.integers(3) == 0:
            options["transparency"] = (1, 2, 3) if image.mode == "RGB" else 3
        if draw.integers(3) == 0:
            options["exif"] = orientation(draw)
        data = saved(image, "PNG", **options)
    for _ in range(draw.choice([0, 0, 1, 2])):
        gamma = int(draw.choice([45455, 100000, 96000, 30000, 220000, 1, 2**31, 0]))
        extra = draw.choice([chunk(b"gAMA", struct.pack(">I", gamma)), chunk(b"sRGB", b"\0")])
        data = data[:33] + bytes(extra) + data[33:]
    return data


def gif(draw):
    image = drawn(draw, draw.choice(["P", "L", "1"]))
    options = {"interlace": bool(draw.integers(2))}
    if draw.integers(2):
        options["transparency"] = int(draw.integers(0, 4))
        options["disposal"] = int(draw.integers(0, 4))
    if draw.integers(3) == 0:
        options["save_all"], options["append_images"] = True, [image.rotate(90)]
    data = bytearray(saved(image, "GIF", **options))
    if draw.integers(3) == 0:
        data[11] = draw.integers(0, 256)  # the background
    if draw.integers(4) == 0:
        data[6:10] = struct.pack("<HH", 70, 75)  # a larger canvas
    return bytes(data)


def bmp(draw):
    if draw.integers(2):
        return saved(drawn(draw, draw.choice(["1", "L", "P", "RGB", "RGBA"])), "BMP")
    width, height = (int(v) for v in draw.integers(1, 40, 2))
    bits = int(draw.choice([16, 24, 32]))
    masks = {16: [(0x7C00, 0x3E0, 0x1F), (0xF800, 0x7E0, 0x1F)]}
    masks[32] = [(0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000), (0x3FF00000, 0xFFC00, 0x3FF)]
    fields = bits != 24 and bool(draw.integers(2))
    body = draw.integers(0, 256, (width * bits + 31) // 32 * 4 * height, dtype=np.uint8).tobytes()
    size = 108 if fields and bits == 32 else 40
    mask = masks[bits][draw.integers(len(masks[bits]))] if fields else ()
    tail = struct.pack(f"<{len(mask)}I", *mask)
    if size == 108:
        tail = tail.ljust(size - 40, b"\0")
    sign = draw.choice([1, -1])
    head = struct.pack("<IiiHHI", size, width, sign * height, 1, bits, 3 if fields else 0)
    head += bytes(20)
    offset = 14 + len(head) + len(tail)
    return struct.pack("<2sIII", b"BM", offset + len(body), 0, offset) + head + tail + body


def webp(draw):
    image = drawn(draw, draw.choice(["RGB", "RGBA"]))
    options = {"lossless": bool(draw.integers(2)), "quality": int(draw.integers(1, 101))}
    if draw.integers(3) == 0:
        options["exif"] = orientation(draw)[6:]
    if draw.integers(4) == 0:
        options["save_all"], options["append_images"] = True, [image.rotate(180)]
    return saved(image, "WebP", **options)


def main():
    draw = np.random.default_rng(int(sys.argv[1]))
    for i in range(int(sys.argv[2])):
        kind = [jpeg, png, gif, bmp, webp][i % 5]
        for record in (f"{kind.__name__} {i}".encode(), kind(draw)):
            sys.stdout.buffer.write(struct.pack("<I", len(record)) + record)


main()
