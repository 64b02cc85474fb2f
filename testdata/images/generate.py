"""Writes generated/: small images in every awkward form that the decoders have to take, or to
refuse, as Pillow does.

Run it from the repository's root: `.venv/bin/python testdata/images/generate.py`. It is
deterministic for one version of Pillow. What Pillow does not write (interlaced PNG, most BMP,
frames off the corner) is written here byte by byte.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).parent / "generated"


def rgb(width, height):
    """An image with slopes, an edge and some noise."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    planes = [
        127 + 120 * np.sin(x / 5 + y / 11),
        255 * x / max(1, width - 1),
        np.where(x + y < (width + height) / 2, 30, 220) + 15 * np.cos(x * y),
    ]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def sample(width=37, height=23, mode="RGB"):
    image = Image.fromarray(rgb(width, height))
    if mode in ("RGBA", "LA"):
        image = image.convert(mode)
        ramp = (np.arange(width * height) * 7 % 256).astype(np.uint8).reshape(height, width)
        image.putalpha(Image.fromarray(ramp))
        return image
    return image.convert(mode)


def save(name, image, **options):
    image.save(OUT / name, **options)


def write(name, data):
    (OUT / name).write_bytes(data)


# JPEG


def jpegs():
    for sampling in ("4:4:4", "4:2:2", "4:2:0"):
        for width, height in ((37, 23), (16, 16), (1, 1), (2, 9), (17, 1)):
            name = f"{sampling.replace(':', '')}-{width}x{height}.jpg"
            save(name, sample(width, height), quality=80, subsampling=sampling)
    save("progressive.jpg", sample(), quality=70, progressive=True)
    save("grey.jpg", sample(mode="L"), quality=75)
    save("grey-progressive.jpg", sample(mode="L"), quality=75, progressive=True)
    save("cmyk.jpg", sample(mode="CMYK"), quality=75)
    save("rgb.jpg", sample(), quality=75, keep_rgb=True)
    save("restart.jpg", sample(70, 50), quality=75, restart_marker_blocks=2)
    save("low-quality.jpg", sample(), quality=1)
    save("high-quality.jpg", sample(), quality=100, subsampling=0)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(f"exif-orientation-{orientation}.jpg", sample(11, 7), quality=80, exif=exif)
    data = (OUT / "420-37x23.jpg").read_bytes()
    write("truncated.jpg", data[: len(data) * 2 // 3])
    write("header-only.jpg", data[:200])


# PNG

ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def chunk(name, data, crc=None):
    return (
        struct.pack(">I", len(data))
        + name
        + data
        + struct.pack(">I", zlib.crc32(name + data) if crc is None else crc)
    )


def scanlines(samples, depth):
    """Rows (height x width x channels), each with a filter byte: 0 to 4 in turn."""
    height, _, channels = samples.shape
    step = max(1, channels * depth // 8)
    out, prior = b"", None
    for y in range(height):
        row = samples[y].reshape(-1)
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        elif depth == 8:
            packed = row.astype(np.uint8).tobytes()
        else:
            bits = "".join(format(int(v), f"0{depth}b") for v in row)
            bits += "0" * (-len(bits) % 8)
            packed = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
        raw = np.frombuffer(packed, np.uint8).astype(int)
        up = np.zeros_like(raw) if prior is None else prior
        left = np.concatenate([np.zeros(step, int), raw])[: len(raw)]
        corner = np.concatenate([np.zeros(step, int), up])[: len(raw)]
        estimate = left + up - corner
        distances = np.stack([abs(estimate - v) for v in (left, up, corner)])
        paeth = np.choose(distances.argmin(0), [left, up, corner])
        predictions = [np.zeros_like(raw), left, up, (left + up) // 2, paeth]
        out += bytes([y % 5]) + ((raw - predictions[y % 5]) % 256).astype(np.uint8).tobytes()
        prior = raw
    return out


def png(
    samples, depth, color, interlace=False, before=b"", pieces=1, after=b"", size=None, stream=None
):
    height, width = size or samples.shape[:2]
    if stream is None:
        parts = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlace else [samples]
        stream = zlib.compress(b"".join(scanlines(p, depth) for p in parts if p.size), 9)
    cut = -(-len(stream) // pieces)
    data = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    )
    data += before
    data += b"".join(chunk(b"IDAT", stream[i : i + cut]) for i in range(0, len(stream), cut))
    return data + after + chunk(b"IEND", b"")


def pngs():
    color = rgb(37, 23).astype(int)
    alpha = np.arange(37 * 23).reshape(23, 37, 1) * 7 % 256
    palette = chunk(b"PLTE", bytes(range(30, 30 + 3 * 16)))
    for interlace in (False, True):
        tail = "-interlaced.png" if interlace else ".png"
        for depth in (1, 2, 4, 8):
            index = color[:, :, :1] >> (8 - depth)
            write(f"grey{depth}{tail}", png(index, depth, 0, interlace))
            write(f"palette{depth}{tail}", png(index, depth, 3, interlace, before=palette))
        wide = color * 257 // 3  # values on both sides of 255
        write(f"grey16{tail}", png(wide[:, :, :1] % 700, 16, 0, interlace))
        write(f"rgb8{tail}", png(color, 8, 2, interlace, pieces=3))
        write(f"rgb16{tail}", png(wide, 16, 2, interlace))
        write(f"grey-alpha8{tail}", png(np.dstack([color[:, :, :1], alpha]), 8, 4, interlace))
        write(
            f"grey-alpha16{tail}", png(np.dstack([wide[:, :, :1], alpha * 200]), 16, 4, interlace)
        )
        write(f"rgba8{tail}", png(np.dstack([color, alpha]), 8, 6, interlace))
        write(f"rgba16{tail}", png(np.dstack([wide, alpha * 200]), 16, 6, interlace))
        for width, height in ((1, 1), (3, 2), (5, 9), (2, 1)):
            small = rgb(width, height)
            write(f"rgb8-{width}x{height}{tail}", png(small, 8, 2, interlace))
            write(f"grey1-{width}x{height}{tail}", png(small[:, :, :1] >> 7, 1, 0, interlace))
    grey, index = color[:, :, :1], color[:, :, :1] >> 4
    write("transparent-grey8.png", png(grey, 8, 0, before=chunk(b"tRNS", b"\0\x80")))
    write("transparent-grey16.png", png(grey * 5, 16, 0, before=chunk(b"tRNS", b"\1\x80")))
    write("transparent-rgb8.png", png(color, 8, 2, before=chunk(b"tRNS", b"\0\x80\0\x80\0\x80")))
    write(
        "transparent-palette.png",
        png(index, 8, 3, before=palette + chunk(b"tRNS", bytes(range(0, 160, 10)))),
    )
    write("transparent-short.png", png(grey, 8, 0, before=chunk(b"tRNS", b"\0")))
    write("palette-short.png", png(index, 8, 3, before=chunk(b"PLTE", bytes(range(9)))))
    write("palette-missing.png", png(index, 8, 3))
    write("palette-long.png", png(index, 8, 3, before=chunk(b"PLTE", bytes(3 * 257))))
    write("gamma.png", png(color, 8, 2, before=chunk(b"gAMA", struct.pack(">I", 100000))))
    whole = png(color, 8, 2)
    write("checksum-of-header-wrong.png", whole[:29] + bytes(4) + whole[33:])
    write("checksum-of-text-wrong.png", png(color, 8, 2, before=chunk(b"tEXt", b"a\0b", crc=1)))
    write("checksum-of-data-wrong.png", whole[:-16] + bytes(4) + whole[-12:])
    write("truncated.png", whole[: len(whole) // 2])
    write("end-missing.png", whole[:-12])
    write("text-truncated.png", png(color, 8, 2, after=chunk(b"tEXt", bytes(100)))[:-80])
    rows = scanlines(color, 8)
    write("stream-short.png", png(color, 8, 2, stream=zlib.compress(rows[: 10 * (1 + 3 * 37)])))
    write(
        "stream-shorter.png", png(color, 8, 2, stream=zlib.compress(rows[: 10 * (1 + 3 * 37) - 5]))
    )
    write("stream-long.png", png(color, 8, 2, stream=zlib.compress(rows + bytes(1000))))
    write("stream-checksum-wrong.png", png(color, 8, 2, stream=zlib.compress(rows)[:-4] + bytes(4)))
    write("filter-unknown.png", png(color, 8, 2, stream=zlib.compress(b"\5" + rows[1:])))
    write("depth-illegal.png", png(color >> 6, 2, 2))
    frames = [sample(20, 14), sample(20, 14).rotate(90), sample(20, 14).rotate(180)]
    save("animated.png", frames[0], save_all=True, append_images=frames[1:])
    save(
        "animated-default.png",
        frames[0],
        save_all=True,
        append_images=frames[1:],
        default_image=True,
    )
    animation = chunk(b"acTL", struct.pack(">II", 1, 0))
    animation += chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 9, 7, 5, 3, 1, 10, 0, 0))
    for interlace in (False, True):
        tail = "-interlaced.png" if interlace else ".png"
        write(
            f"animated-small-frame{tail}",
            png(rgb(9, 7), 8, 2, interlace, before=animation, size=(14, 20)),
        )
        small = png(
            rgb(9, 7)[:, :, :1] >> 4, 4, 3, interlace, before=palette + animation, size=(14, 20)
        )
        write(f"animated-small-frame-palette{tail}", small)
    save("bilevel.png", sample(mode="1"))


# GIF


def blocks(data):
    return (
        b"".join(
            bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255)
        )
        + b"\0"
    )


def lzw(indices, bits):
    """Codes that never use the table: a clear code before it would make them longer."""
    clear, value, used, n, out = 1 << bits, 0, 0, 0, bytearray()
    codes = [clear]
    for i, v in enumerate(indices):
        if i % (clear - 2) == 0 and i:
            codes.append(clear)
        codes.append(int(v))
    for c in [*codes, clear + 1]:
        value |= c << used
        used += bits + 1
        while used >= 8:
            out.append(value & 255)
            value, used, n = value >> 8, used - 8, n + 1
    return bytes(out) + bytes([value & 255])


def gif(
    index,
    size=None,
    at=(0, 0),
    colors=None,
    local=None,
    transparent=None,
    interlace=False,
    data=None,
    bits=4,
):
    height, width = index.shape
    canvas = size or (width, height)
    table = b"" if colors is None else colors
    out = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x80 | 3 if table else 0, 0, 0) + table
    if transparent is not None:
        out += b"!\xf9\x04" + struct.pack("<BHB", 1, 0, transparent) + b"\0"
    flags = (0x83 if local else 0) | (0x40 if interlace else 0)
    out += b"," + struct.pack("<HHHHB", *at, width, height, flags) + (local or b"")
    if interlace:
        index = np.concatenate([index[0::8], index[4::8], index[2::4], index[1::2]])
    return (
        out + bytes([bits]) + blocks(lzw(index.reshape(-1), bits) if data is None else data) + b";"
    )


def gifs():
    index = rgb(19, 13)[:, :, 0] >> 4
    table = bytes(range(40, 40 + 48))
    other = bytes(range(200, 200 + 48))
    for interlace in (False, True):
        tail = "-interlaced.gif" if interlace else ".gif"
        write(f"palette{tail}", gif(index, colors=table, interlace=interlace))
        write(f"frame-small{tail}", gif(index, (30, 20), (5, 4), table, interlace=interlace))
        write(
            f"frame-small-transparent{tail}",
            gif(index, (30, 20), (5, 4), table, transparent=3, interlace=interlace),
        )
        write(f"1x1{tail}", gif(index[:1, :1], colors=table, interlace=interlace))
        write(f"narrow{tail}", gif(index[:, :1], colors=table, interlace=interlace))
    write("frame-large.gif", gif(index, (10, 8), (2, 1), table))
    write("local-palette.gif", gif(index, colors=table, local=other))
    write("local-palette-only.gif", gif(index, (25, 25), local=other))
    write("no-palette.gif", gif(index, (25, 25)))
    write(
        "grey-palette.gif",
        gif(index, colors=bytes(v for i in range(16) for v in (i, i, i)), bits=4),
    )
    write("index-beyond-palette.gif", gif(rgb(19, 13)[:, :, 0] >> 2, colors=table, bits=6))
    write(
        "index-beyond-grey-palette.gif",
        gif(
            rgb(19, 13)[:, :, 0] >> 2, colors=bytes(v for i in range(16) for v in (i, i, i)), bits=6
        ),
    )
    whole = gif(index, colors=table)
    write("truncated.gif", whole[: len(whole) * 3 // 4])
    write("end-code-early.gif", gif(index, colors=table, data=lzw(index.reshape(-1)[:100], 4)))
    write("code-unknown.gif", gif(index, colors=table, data=b"\x50\xff\xff\xff"))
    write("no-frame.gif", whole[: 13 + 48] + b";")
    write("frame-empty.gif", gif(index[:, :0], (10, 10), colors=table))
    write("extension-empty.gif", whole[: 13 + 48] + b"!\xf9\x00\x02\x01\x02\x00" + whole[13 + 48 :])
    save("pillow.gif", sample().quantize(200))
    save("pillow-large.gif", sample(200, 150).quantize(256))
    frames = [sample(20, 14).rotate(30 * i).quantize(16) for i in range(3)]
    save("animated.gif", frames[0], save_all=True, append_images=frames[1:], duration=50, loop=0)
    save("transparent.gif", sample(mode="RGBA"))


# BMP


def bmp(
    rows,
    width,
    height,
    bits,
    compression=0,
    header=40,
    palette=b"",
    masks=(),
    colors=0,
    top_down=False,
    planes=1,
):
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, planes, bits)
    else:
        stored = 2**32 - height if top_down else height
        info = struct.pack(
            "<IIIHHIIIIII",
            header,
            width,
            stored,
            planes,
            bits,
            compression,
            len(rows),
            2835,
            2835,
            colors,
            0,
        )
        if header > 40:
            info += b"".join(struct.pack("<I", m) for m in masks)
            info = info.ljust(header, b"\0")
            masks = ()
    info += b"".join(struct.pack("<I", m) for m in masks)
    offset = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + info + palette + rows


def packed(index, bits):
    """Rows of indices, the last one first, each padded to four bytes."""
    out = b""
    for row in index[::-1]:
        text = "".join(format(int(v), f"0{bits}b") for v in row)
        text += "0" * (-len(text) % 32)
        out += bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    return out


def wide(values, size):
    """Rows of pixels of size bytes, the last one first, each padded to four bytes."""
    rows = [b"".join(int(v).to_bytes(size, "little") for v in row) for row in values[::-1]]
    return b"".join(r + bytes(-len(r) % 4) for r in rows)


def run_lengths(index, four):
    out = b""
    for row in index[::-1]:
        for start in range(0, len(row), 6):
            part = [int(v) for v in row[start : start + 6]]
            if start % 12 and len(part) >= 3:  # literal
                raw = bytes(part)
                if four:
                    even = [*part, 0]
                    raw = bytes(even[i] << 4 | even[i + 1] for i in range(0, len(part), 2))
                out += bytes([0, len(part)]) + raw + bytes(len(raw) % 2)
            else:
                for v in part:
                    out += bytes([1, v << 4 if four else v])
        out += b"\0\0"
    return out + b"\0\1"


def bmps():
    width, height = 19, 13
    color = rgb(width, height).astype(np.uint32)
    r, g, b = color[:, :, 0], color[:, :, 1], color[:, :, 2]
    for bits in (1, 4, 8):
        index = r >> (8 - bits)
        table = b"".join(bytes([i * 3 % 256, 255 - i, i // 2, 0]) for i in range(1 << bits))
        write(f"palette{bits}.bmp", bmp(packed(index, bits), width, height, bits, palette=table))
        short = b"".join(table[4 * i : 4 * i + 3] for i in range(1 << bits))
        write(
            f"palette{bits}-os2.bmp",
            bmp(packed(index, bits), width, height, bits, header=12, palette=short),
        )
        ramp = b"".join(bytes([i * 255 // ((1 << bits) - 1)] * 3) + b"\0" for i in range(1 << bits))
        write(f"grey{bits}.bmp", bmp(packed(index, bits), width, height, bits, palette=ramp))
        order = b"".join(bytes([i] * 3) + b"\0" for i in range(1 << bits))
        write(
            f"grey-in-order{bits}.bmp", bmp(packed(index, bits), width, height, bits, palette=order)
        )
        write(
            f"palette{bits}-short.bmp",
            bmp(packed(index, bits), width, height, bits, palette=table[:8], colors=2),
        )
    table = b"".join(bytes([i * 3 % 256, 255 - i, i // 2, 0]) for i in range(256))
    write(
        "grey-two-of-8bits.bmp",
        bmp(packed(r, 8), width, height, 8, palette=b"\0\0\0\0\xff\xff\xff\0", colors=2),
    )
    write(
        "palette8-top-down.bmp", bmp(packed(r, 8), width, height, 8, palette=table, top_down=True)
    )
    write("rle8.bmp", bmp(run_lengths(r, False), width, height, 8, 1, palette=table))
    write("rle4.bmp", bmp(run_lengths(r >> 4, True), width, height, 4, 2, palette=table[:64]))
    write(
        "rle8-grey.bmp",
        bmp(
            run_lengths(r, False),
            width,
            height,
            8,
            1,
            palette=b"".join(bytes([i, i, i, 0]) for i in range(256)),
        ),
    )
    jump = bytes([4, 9, 0, 2, 3, 2, 200, 7, 0, 0]) + run_lengths(r, False)
    write("rle8-jump.bmp", bmp(jump, width, height, 8, 1, palette=table))
    write(
        "rle8-short.bmp",
        bmp(run_lengths(r, False)[:100] + b"\0\1", width, height, 8, 1, palette=table),
    )
    write("rle8-of-24bits.bmp", bmp(run_lengths(r, False), width, height, 24, 1))
    v555, v565 = r >> 3 << 10 | g >> 3 << 5 | b >> 3, r >> 3 << 11 | g >> 2 << 5 | b >> 3
    write("rgb555.bmp", bmp(wide(v555, 2), width, height, 16))
    write("rgb555-masks.bmp", bmp(wide(v555, 2), width, height, 16, 3, masks=(0x7C00, 0x3E0, 0x1F)))
    write("rgb565.bmp", bmp(wide(v565, 2), width, height, 16, 3, masks=(0xF800, 0x7E0, 0x1F)))
    write(
        "rgb565-v4.bmp",
        bmp(wide(v565, 2), width, height, 16, 3, header=108, masks=(0xF800, 0x7E0, 0x1F, 0)),
    )
    write("rgb444.bmp", bmp(wide(v555, 2), width, height, 16, 3, masks=(0xF00, 0xF0, 0xF)))
    v24 = r << 16 | g << 8 | b
    for header in (12, 40, 52, 56, 64, 108, 124):
        write(f"rgb24-header{header}.bmp", bmp(wide(v24, 3), width, height, 24, header=header))
    write("rgb24-top-down.bmp", bmp(wide(v24, 3), width, height, 24, top_down=True))
    write(
        "rgb24-header20.bmp",
        bmp(wide(v24, 3), width, height, 24, header=40).replace(b"\x28", b"\x14", 1),
    )
    v32 = 77 << 24 | v24
    write("rgb32.bmp", bmp(wide(v32, 4), width, height, 32))
    for red, green, blue, alpha in (
        (0xFF0000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
        (0, 0, 0, 0),
        (0xFF00, 0xFF, 0xFF0000, 0),
    ):
        name = f"rgb32-{red:x}-{green:x}-{blue:x}-{alpha:x}.bmp"
        write(
            name,
            bmp(wide(v32, 4), width, height, 32, 3, header=56, masks=(red, green, blue, alpha)),
        )
    whole = bmp(wide(v24, 3), width, height, 24)
    write("truncated.bmp", whole[:-60])
    write("last-padding-missing.bmp", whole[:-3])
    write("jpeg-inside.bmp", bmp(wide(v24, 3), width, height, 24, 4))
    write("1x1.bmp", bmp(wide(v24[:1, :1], 3), 1, 1, 24))


# WebP


def riff(chunks):
    body = b"WEBP" + b"".join(
        n + struct.pack("<I", len(d)) + d + bytes(len(d) % 2) for n, d in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bitstream(image, **options):
    """The chunk of an image saved without extended features, padding included."""
    out = io.BytesIO()
    image.save(out, "WEBP", **options)
    data = out.getvalue()
    size = struct.unpack("<I", data[16:20])[0]
    return data[12:16], data[20 : 20 + size]


def webps():
    for width, height in ((37, 23), (16, 16), (1, 1), (2, 3), (33, 1), (1, 33), (34, 18)):
        save(f"lossy-{width}x{height}.webp", sample(width, height), quality=60)
        save(f"lossless-{width}x{height}.webp", sample(width, height), lossless=True)
    for quality in (0, 30, 100):
        save(f"lossy-quality{quality}.webp", sample(70, 45), quality=quality)
    save("lossy-alpha.webp", sample(mode="RGBA"), quality=70, exact=True)
    save("lossless-alpha.webp", sample(mode="RGBA"), lossless=True, exact=True)
    save("lossless-few-colours.webp", sample().quantize(5).convert("RGB"), lossless=True)
    save(
        "metadata.webp",
        sample(),
        quality=70,
        exif=b"Exif\0\0MM\0*",
        icc_profile=b"profile",
        xmp=b"<x/>",
    )
    frames = [sample(20, 14).rotate(30 * i) for i in range(3)]
    save("animated.webp", frames[0], save_all=True, append_images=frames[1:], duration=50)
    for name, lossless in (("lossy", False), ("lossless", True)):
        kind, data = bitstream(sample(9, 7), lossless=lossless)
        place = struct.pack("<HBHB", 2, 0, 3, 0) + bytes([8, 0, 0, 6, 0, 0]) + bytes(4)
        frame = place + kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
        head = bytes([2, 0, 0, 0, 19, 0, 0, 15, 0, 0])
        chunks = [(b"VP8X", head), (b"ANIM", b"\xff\x80\x40\xff\0\0"), (b"ANMF", frame)]
        write(f"frame-small-{name}.webp", riff(chunks))
        write(
            f"frame-outside-{name}.webp",
            riff([(b"VP8X", bytes([2, 0, 0, 0, 9, 0, 0, 9, 0, 0])), *chunks[1:]]),
        )
        write(f"animation-header-missing-{name}.webp", riff([chunks[0], chunks[2]]))
        write(f"canvas-wrong-{name}.webp", riff([(b"VP8X", bytes([0, *head[1:]])), (kind, data)]))
        write(f"chunk-unknown-{name}.webp", riff([(kind, data), (b"ABCD", b"123")]))
        write(
            f"bytes-left-{name}.webp",
            riff([(kind, data)])[:4]
            + struct.pack("<I", 4 + 8 + len(data) + len(data) % 2 + 3)
            + riff([(kind, data)])[8:]
            + b"abc",
        )
        write(f"bytes-after-{name}.webp", riff([(kind, data)]) + b"abc")
    whole = (OUT / "lossy-37x23.webp").read_bytes()
    write("truncated.webp", whole[:-40])
    write("header-only.webp", whole[:30])


def main():
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    for make in (jpegs, pngs, gifs, bmps, webps):
        make()


if __name__ == "__main__":
    main()
