"""Decoding alone, ours and Pillow's, OpenCV's and TensorFlow's: `python -m benchmarks.decoding`.

Photographs in several forms, from bytes in memory to RGB, on one thread, in turns in each round.
The times, of the processor, and their ratio are those of the fastest runs. All must give the same
pixels as the library.
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


def pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def opencv(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def tensorflow(data: bytes) -> np.ndarray:
    return tf.io.decode_image(data, channels=3, expand_animations=False).numpy()


LIBRARIES: dict[str, Callable[[bytes], np.ndarray]] = {
    "pillow": pillow,
    "opencv": opencv,
    "tensorflow": tensorflow,
}


def checksum(library: str, pixels: np.ndarray) -> int:
    if library == "opencv":
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return zlib.crc32(np.ascontiguousarray(pixels).tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="each one's turn in each round")
    parser.add_argument("--only", default="", help="files whose form has this in it")
    args = parser.parse_args()

    ours = images.Ours()
    lines = [f"{machine()}; `python -m benchmarks.decoding`", ""]
    lines += ["| file | " + " | ".join(f"{name}, ms | ours, ms | ratio" for name in LIBRARIES)]
    lines[-1] += " |"
    lines.append("|---|" + "---:|---:|---:|" * len(LIBRARIES))
    for form, photograph, path in images.files():
        if args.only not in form:
            continue
        data, row = path.read_bytes(), f"{form}, {photograph}"
        for library, decode in LIBRARIES.items():
            theirs_ms, ours_ms = [], []
            for _ in range(args.rounds):
                theirs_ms.append(images.fastest(partial(decode, data), args.seconds))
                ms, crc = ours.turn(library, path, args.seconds)
                ours_ms.append(ms)
            if crc != checksum(library, decode(data)):
                raise SystemExit(f"decoding: {row}: {library}'s pixels differ")
            theirs, fastest = min(theirs_ms), min(ours_ms)
            row += f" | {theirs:.2f} | {fastest:.2f} | {theirs / fastest:.2f}"
        lines.append(f"| {row} |")
        print(lines[-1], flush=True)
    ours.close()
    (OUT / "decoding.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
