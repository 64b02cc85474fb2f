"""Whole pipelines, ours and the libraries' own: `python -m benchmarks.pipelines`.

Photographs in several forms, from bytes in memory to a float32 tensor of 224 x 224, x / 255, by
each method of Pillow, OpenCV and TensorFlow, on one thread, in turns in each round. A time, of the
processor, is that of the fastest run. Both must give the same tensor, bit for bit. A cell says how
many times faster ours is, from the photograph with the least to that with the most.
"""

import argparse
import io
import zlib
from collections.abc import Callable
from functools import partial

from benchmarks import images  # first: it silences TensorFlow

# isort: split
import cv2
import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.machine import OUT, machine
from kerasrun_export.contract import METHODS

SIZE = (224, 224)


def pillow(data: bytes, method: str, _: bool) -> np.ndarray:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(image.resize(SIZE, Image.Resampling[method.upper()]), np.float32) / 255


def opencv(data: bytes, method: str, _: bool) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    image = cv2.resize(image, SIZE, interpolation=getattr(cv2, "INTER_" + method.upper()))
    return image.astype(np.float32) / 255


def tensorflow(data: bytes, method: str, antialias: bool) -> np.ndarray:
    image = tf.io.decode_image(data, channels=3, expand_animations=False)
    image = tf.image.resize(image, SIZE, method=method, antialias=antialias)
    return (tf.cast(image, tf.float32) / 255).numpy()


LIBRARIES: dict[str, Callable[[bytes, str, bool], np.ndarray]] = {
    "pillow": pillow,
    "opencv": opencv,
    "tensorflow": tensorflow,
}
# Antialiasing changes nothing in the others.
ANTIALIASED = ("bilinear", "bicubic", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipelines", description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=0.03, help="each one's turn in each round")
    parser.add_argument("--only", default="", help="files whose form has this in it")
    parser.add_argument("--library", choices=LIBRARIES, help="this library alone")
    args = parser.parse_args()

    files = [file for file in images.files() if args.only in file[0]]
    pipelines = [
        (library, method, antialias)
        for library in LIBRARIES
        for method in METHODS[library]
        for antialias in (False, True)
        if args.library in (None, library)
        and not (antialias and (library != "tensorflow" or method not in ANTIALIASED))
    ]
    ours = images.Ours()
    ratios: dict[tuple, dict[str, list[float]]] = {pipeline: {} for pipeline in pipelines}
    for form, photograph, path in files:
        data = path.read_bytes()
        for library, method, antialias in pipelines:
            make = partial(LIBRARIES[library], data, method, antialias)
            name = f"{form}, {photograph}, {library} {method}" + antialias * " antialiased"
            theirs_ms, ours_ms = [], []
            for _ in range(args.rounds):
                theirs_ms.append(images.fastest(make, args.seconds))
                ms, crc = ours.turn(library, path, args.seconds, method, antialias)
                ours_ms.append(ms)
            if crc != zlib.crc32(make().tobytes()):
                raise SystemExit(f"pipelines: {name}: the tensors differ")
            theirs, fastest = min(theirs_ms), min(ours_ms)
            print(f"{name}: {theirs:.2f} {fastest:.2f} {theirs / fastest:.2f}", flush=True)
            ratios[library, method, antialias].setdefault(form, []).append(theirs / fastest)
    ours.close()

    forms = list(dict.fromkeys(form for form, _, _ in files))
    lines = [f"{machine()}; `python -m benchmarks.pipelines`", ""]
    lines += ["| pipeline | " + " | ".join(forms) + " |", "|---|" + "---:|" * len(forms)]
    for (library, method, antialias), cells in ratios.items():
        row = [f"{library} {method}" + antialias * ", antialiased"]
        row += [f"{min(cells[form]):.2f}–{max(cells[form]):.2f}" for form in forms]
        lines.append("| " + " | ".join(row) + " |")
    text = "\n".join(lines) + "\n"
    print(text)
    (OUT / "pipelines.md").write_text(text)


if __name__ == "__main__":
    main()
