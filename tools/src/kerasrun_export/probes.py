"""Images made to tell contracts apart that make the same tensors of a user's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Probe:
    """needed: whether a function has to make the tensor of a contract of it; otherwise it is of a
    kind that most functions do not take, and tells something only where this one does."""

    image: Path
    words: str
    needed: bool


def make(image: Path, target: tuple[int, int], directory: Path) -> Sequence[Probe]:
    """Probes made of an image, for tensors of a (height, width), as files in a directory."""
    colors, height, width = _colors(image), *_sides(target)
    # Another aspect ratio than the tensor's, and sides that no filter divides evenly.
    lying = colors.resize((3 * width + 1, 2 * height - 3), Image.Resampling.BICUBIC)
    small = colors.resize((width // 2 + 1, 2 * height // 3 + 1), Image.Resampling.BICUBIC)
    turned = Image.Exif()
    turned[0x0112] = 6
    probes = [
        Probe(directory / "lying.jpg", "a JPEG that is wider than the tensor", True),
        Probe(directory / "turned.jpg", "a JPEG with an orientation in EXIF", True),
        Probe(directory / "small.png", "a PNG that is smaller than the tensor", True),
        Probe(directory / "wide.png", "a grey PNG of 16 bits", False),
    ]
    lying.save(probes[0].image, quality=85, subsampling="4:2:0")
    lying.save(probes[1].image, quality=85, subsampling="4:2:0", exif=turned)
    small.save(probes[2].image)
    _wide(lying.convert("L")).save(probes[3].image)
    return probes


def kinds(image: Path, target: tuple[int, int], directory: Path) -> Sequence[Probe]:
    """Probes of the kinds of files that libraries and functions treat each in their own way."""
    colors, height, width = _colors(image), *_sides(target)
    lying = colors.resize((3 * width + 1, 2 * height - 3), Image.Resampling.BICUBIC)
    steps = np.linspace(0, 255, lying.width * lying.height).astype(np.uint8)
    alpha = Image.fromarray(steps.reshape(lying.height, lying.width))
    grey = lying.convert("L")
    transparent = lying.copy()
    transparent.putalpha(alpha)
    made = {
        "a PNG": ("plain.png", lying),
        "a PNG with transparency": ("transparent.png", transparent),
        "a PNG with a palette": ("palette.png", lying.quantize(64)),
        "a grey PNG": ("grey.png", grey),
        "a grey PNG of 16 bits": ("wide.png", _wide(grey)),
        "a PNG of 1 bit": ("bit.png", lying.convert("1")),
        "a grey JPEG": ("grey.jpg", grey),
        "a CMYK JPEG": ("cmyk.jpg", lying.convert("CMYK")),
        "a GIF": ("colors.gif", lying.quantize(64)),
        "a BMP": ("plain.bmp", lying),
        "a WebP": ("lossy.webp", lying),
    }
    probes = []
    for words, (name, pixels) in made.items():
        pixels.save(directory / name)
        probes.append(Probe(directory / name, words, False))
    return probes


def _wide(grey: Image.Image) -> Image.Image:
    """A grey image in 16 bits."""
    return Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)


def _sides(target: tuple[int, int]) -> tuple[int, int]:
    height, width = (side if side > 0 else 224 for side in target)
    return height, width


def _colors(image: Path) -> Image.Image:
    """The image in colours: a grey one would not tell the order of the channels."""
    with Image.open(image) as opened:
        colors = opened.convert("RGB")
    red, green, blue = colors.split()
    if red.tobytes() == green.tobytes() == blue.tobytes():
        half = red.point([value // 2 for value in range(256)])
        colors = Image.merge("RGB", (red, half, Image.eval(blue, lambda value: 255 - value)))
    return colors
