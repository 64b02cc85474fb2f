"""Decoding alone, ours and Pillow's, OpenCV's and TensorFlow's: `python -m benchmarks.decoding`.

Photographs in several forms, from bytes in memory to RGB, on one thread (TensorFlow has its
default threads), in turns in each round. The times and their ratio are those of the fastest runs,
for other work only makes runs slower. All must give the same pixels as the library.
"""

import argparse
import io
import os
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.machine import OUT, ROOT, machine
from benchmarks.timing import timed
from kerasrun_export import sample_images

LARGE = (1500, 1000)
FORMS = {
    "JPEG": (".jpg", {"quality": 85}),
    "progressive JPEG": (".jpg", {"quality": 85, "progressive": True}),
    "progressive JPEG, 4:4:4": (".jpg", {"quality": 95, "progressive": True, "subsampling": 0}),
    "lossless WebP": (".webp", {"lossless": True}),
    "lossy WebP": (".webp", {"quality": 80}),
}


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


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The form of each file and its path."""
    photographs = [sample_images.DIRECTORY / f"{name}.jpg" for name in ("china", "retina", "cat")]
    for form, (suffix, options) in FORMS.items():
        for photograph in photographs:
            with Image.open(photograph) as image:
                path = folder / (form.replace(" ", "-") + "-" + photograph.stem + suffix)
                image.convert("RGB").save(path, **options)
                yield f"{form}, {photograph.stem}", path
        with Image.open(photographs[0]) as image:
            path = folder / (form.replace(" ", "-") + "-large" + suffix)
            image.resize(LARGE, Image.Resampling.BICUBIC).save(path, **options)
            yield f"{form}, {LARGE[0]} x {LARGE[1]}", path
    yield "progressive JPEG, hubble", sample_images.DIRECTORY / "hubble.jpg"
    yield "lossless WebP, flower", sample_images.DIRECTORY / "flower.webp"


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

    folder = OUT / "decoding"
    folder.mkdir(parents=True, exist_ok=True)
    command = f". ./env.sh && cd benchmarks/gopeers && go build -o {OUT}/ ./decode"
    subprocess.run(["sh", "-c", command], cwd=ROOT, check=True)
    cv2.setNumThreads(1)
    ours = subprocess.Popen(
        [OUT / "decode"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    lines = [f"{machine()}; `python -m benchmarks.decoding`", ""]
    lines += ["| file | " + " | ".join(f"{name}, ms | ours, ms | ratio" for name in LIBRARIES)]
    lines[-1] += " |"
    lines.append("|---|" + "---:|---:|---:|" * len(LIBRARIES))
    for form, path in files(folder):
        if args.only not in form:
            continue
        data, row = path.read_bytes(), form
        for library, decode in LIBRARIES.items():
            theirs_ms, ours_ms = [], []
            for _ in range(args.rounds):
                theirs_ms.append(min(timed(lambda f=decode, d=data: f(d), args.seconds)))
                ours.stdin.write(f"{library}\t{path}\t{args.seconds}\n")
                ours.stdin.flush()
                ms, crc = ours.stdout.readline().split()
                ours_ms.append(float(ms))
            if int(crc) != checksum(library, decode(data)):
                raise SystemExit(f"decoding: {form}: {library}'s pixels differ")
            theirs, fastest = min(theirs_ms), min(ours_ms)
            row += f" | {theirs:.2f} | {fastest:.2f} | {theirs / fastest:.2f}"
        lines.append(f"| {row} |")
        print(lines[-1], flush=True)
    ours.stdin.close()
    ours.wait()
    (OUT / "decoding.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
