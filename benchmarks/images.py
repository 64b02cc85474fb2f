"""What decoding and pipelines share: image files, the clock, and our side.

Times are those of the processor that a process has used: a machine's other work disturbs these less
than the time of day.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import tensorflow as tf
from PIL import Image

from benchmarks.machine import OUT, ROOT
from benchmarks.timing import timed
from kerasrun_export import sample_images

cv2.setNumThreads(1)
tf.config.threading.set_intra_op_parallelism_threads(1)

PHOTOGRAPHS = ("china", "retina", "cat")
LARGE = (1500, 1000)
FORMS = {
    "JPEG": (".jpg", {"quality": 85}),
    "progressive JPEG": (".jpg", {"quality": 85, "progressive": True}),
    "progressive JPEG, 4:4:4": (".jpg", {"quality": 95, "progressive": True, "subsampling": 0}),
    "PNG": (".png", {}),
    "lossless WebP": (".webp", {"lossless": True}),
    "lossy WebP": (".webp", {"quality": 80}),
}


def files() -> Iterator[tuple[str, str, Path]]:
    """The form of each file, its photograph, and its path."""
    folder = OUT / "photographs"
    folder.mkdir(parents=True, exist_ok=True)
    photographs = {name: sample_images.DIRECTORY / f"{name}.jpg" for name in PHOTOGRAPHS}
    for form, (suffix, options) in FORMS.items():
        for name, photograph in photographs.items():
            with Image.open(photograph) as image:
                path = folder / (form.replace(" ", "-") + "-" + name + suffix)
                image.convert("RGB").save(path, **options)
                yield form, name, path
        with Image.open(photographs["china"]) as image:
            path = folder / (form.replace(" ", "-") + "-large" + suffix)
            image.resize(LARGE, Image.Resampling.BICUBIC).save(path, **options)
            yield form, f"{LARGE[0]} x {LARGE[1]}", path
    yield "progressive JPEG", "hubble", sample_images.DIRECTORY / "hubble.jpg"
    yield "PNG", "astronaut", sample_images.DIRECTORY / "astronaut.png"
    yield "lossless WebP", "flower", sample_images.DIRECTORY / "flower.webp"


def fastest(run: Callable[[], object], seconds: float) -> float:
    """The milliseconds of the fastest of as many runs as begin in that time."""
    return min(timed(run, seconds, clock=time.process_time))


class Ours:
    """The process of gopeers/images."""

    def __init__(self) -> None:
        command = f". ./env.sh && cd benchmarks/gopeers && go build -o {OUT}/ ./images"
        subprocess.run(["sh", "-c", command], cwd=ROOT, check=True)
        self.process = subprocess.Popen(
            [OUT / "images"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def turn(
        self,
        library: str,
        path: Path,
        seconds: float,
        method: str = "none",
        antialias: bool = False,
    ) -> tuple[float, int]:
        """The milliseconds of the fastest run, and the CRC-32 of what it gave."""
        line = f"{library}\t{path}\t{method}\t{str(antialias).lower()}\t{seconds}\n"
        self.process.stdin.write(line)
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if not answer:
            raise SystemExit(f"images stopped with status {self.process.wait()} at {line!r}")
        return float(answer[0]), int(answer[1])

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
