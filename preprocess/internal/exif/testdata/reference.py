"""Draws files with odd Exif and XMP, and turns them with Pillow and OpenCV.

    reference.py SEED COUNT

For each file it writes five records, each a length in four bytes and as many bytes: a name, the
file, the pixels before turning, and Pillow's and OpenCV's pixels after it. Pixels are RGB, after
width and height in two bytes each; an empty record means that the library raises an error.
"""

import io
import random
import struct
import sys
import warnings
import zlib

import cv2
import numpy as np
from PIL import Image, ImageOps

TAGS = [0x010E, 0x010F, 0x0110, 0x0112, 0x0112, 0x0112, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132]
TAGS += [0x013E, 0x013F, 0x0211, 0x0213, 0x0214, 0x8298, 0x8769, 0x0103, 0x9003]
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}


def value(draw, order, kind, number):
    """Bytes of a number as a type of TIFF."""
    formats = {3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q"}
    if kind in formats:
        return struct.pack(order + formats[kind], number)
    if kind in (5, 10):
        factor = draw.choice([1, 1, 2, 3, 0])
        return struct.pack(order + "II", number * factor, factor)
    return bytes([number % 256]) * SIZES.get(kind, 1)


def exif(draw):
    """Exif data without a header of its own; in one of three there is something wrong with it."""
    order = draw.choice("<>")
    head = b"II*\0" if order == "<" else b"MM\0*"
    broken = draw.random() < 0.4
    if broken and draw.random() < 0.3:
        heads = [b"MM*\0", b"II\0*", b"MM\0+", b"II+\0", b"XX*\0", b"IM*\0", b"I", b"", b"MM\0\0"]
        head = draw.choice(heads)
    entries = draw.sample(TAGS, draw.randint(0, 5))
    if draw.random() < 0.8:
        entries.insert(draw.randint(0, len(entries)), 0x0112)
    offset = 8 + draw.choice([0, 0, 0, 2, 6])
    body, extra = b"", b""
    start = offset + 2 + 12 * len(entries) + 4
    for tag in entries:
        if tag == 0x0112:
            kind = draw.choice([3] * 6 + [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 0])
            count = draw.choice([1] * 8 + [0, 2, 3])
        else:
            # Pillow does not open a JPEG whose resolution is a text of one character.
            kind = draw.choice([3, 5, 4] if tag == 0x011A else [2, 3, 5, 4])
            count = draw.choice([1, 1, 2, 6, 9])
        number = draw.choice([1, 2, 3, 4, 5, 6, 7, 8, 6, 8, 0, 9])
        data = value(draw, order, kind, number) * count
        if len(data) <= 4:
            field = data.ljust(4, b"\0")
        else:
            field = struct.pack(order + "I", start + len(extra))
            extra += data
        if broken and draw.random() < 0.15:
            field = struct.pack(order + "I", draw.choice([0, 5, 90, 4000, 2**32 - 2]))
        if broken and draw.random() < 0.1:
            count = draw.choice([0, 100, 2**20, 2**32 - 1])
        body += struct.pack(order + "HHI", tag, kind, count) + field
    number = len(entries) + (draw.choice([0, 1, -1, 900]) if broken else 0)
    body = struct.pack(order + "H", max(number, 0)) + body + bytes(4)
    data = head + struct.pack(order + "I", offset) + bytes(offset - 8) + body + extra
    if broken and draw.random() < 0.3:
        data = data[: draw.randint(0, len(data))]
    return data


def xmp(draw):
    number = draw.choice([1, 2, 3, 6, 8, 9])
    form = draw.choice(['tiff:Orientation="%d"', "<tiff:Orientation>%d</tiff:Orientation>"])
    return b"<x:xmpmeta " + (form % number).encode() + b"/>"


def jpeg(draw, image):
    buffer = io.BytesIO()
    options = {"dpi": (72, 72)} if draw.random() < 0.5 else {}
    image.save(buffer, "JPEG", quality=95, subsampling=0, **options)
    data = buffer.getvalue()
    segments = b""
    for _ in range(draw.choice([1, 1, 1, 2])):
        if draw.random() < 0.85:
            body = b"Exif\0\0" + exif(draw)
            segments += b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body
        if draw.random() < 0.2:
            body = b"http://ns.adobe.com/xap/1.0/\0" + xmp(draw)
            segments += b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body
    if draw.random() < 0.2:
        segments = b"\xff\xfe\0\x06note" + segments
    return data[:20] + segments + data[20:]


def png(draw, image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    data = buffer.getvalue()
    before = after = b""
    for _ in range(draw.choice([1, 1, 2])):
        name = draw.choice([b"eXIf"] * 4 + [b"iTXt", b"tEXt", b"zTXt"])
        if name == b"eXIf":
            body = exif(draw)
        elif draw.random() < 0.5:
            raw = b"Exif\0\0" + exif(draw)
            key = b"Raw profile type exif\0"
            text = b"\nexif\n%8d\n%s\n" % (len(raw), raw.hex().encode())
            body = {
                b"tEXt": key + text,
                b"zTXt": key + b"\0" + zlib.compress(text),
                b"iTXt": key + b"\0\0\0\0" + text,
            }[name]
        else:
            name, body = b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(draw)
            if draw.random() < 0.3:
                body = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp(draw))
        chunk = struct.pack(">I", len(body)) + name + body
        chunk += struct.pack(">I", zlib.crc32(name + body))
        if draw.random() < 0.2:
            after += chunk
        else:
            before += chunk
    return data[:33] + before + data[33:-12] + after + data[-12:]


def webp(draw, image):
    buffer = io.BytesIO()
    options = {}
    if draw.random() < 0.9:
        options["exif"] = draw.choice([b"", b"", b"Exif\0\0"]) + exif(draw)
    if draw.random() < 0.3:
        options["xmp"] = xmp(draw)
    image.save(buffer, "WebP", lossless=True, **options)
    return buffer.getvalue()


def pixels(array):
    return struct.pack("<HH", array.shape[1], array.shape[0]) + array.tobytes()


TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180}
TURNS |= {4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE}
TURNS |= {
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def pillow(data):
    try:
        image = Image.open(io.BytesIO(data))
    except Exception:
        return b""
    try:
        return pixels(np.asarray(ImageOps.exif_transpose(image)))
    except Exception:
        pass
    # It may have failed only to write back the tags that are left.
    try:
        return pixels(np.asarray(image.transpose(TURNS[image.getexif()[0x0112]])))
    except Exception:
        return b""


def opencv(data, flags=cv2.IMREAD_COLOR):
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return b"" if image is None else pixels(image[:, :, ::-1])


def main():
    warnings.simplefilter("ignore")
    draw = random.Random(int(sys.argv[1]))
    for i in range(int(sys.argv[2])):
        noise = np.random.default_rng(i).integers(0, 256, (2 + i % 3, 4, 3), dtype=np.uint8)
        kind = [jpeg, png, webp][i % 3]
        data = kind(draw, Image.fromarray(noise))
        raw = opencv(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        for record in (
            b"%s %d" % (kind.__name__.encode(), i),
            data,
            raw,
            pillow(data),
            opencv(data),
        ):
            sys.stdout.buffer.write(struct.pack("<I", len(record)) + record)


main()
