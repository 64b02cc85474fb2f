"""TensorFlow's preprocessing, ours and its own: `python -m benchmarks.preprocess_tf`.

A photograph of 640 x 427, as JPEG in memory, to a tensor of 224 x 224 x 3 by tf.io.decode_image,
tf.image.resize and x / 255, one image a call, in turn with ours (tfimage's BenchmarkTensor) in each
round. A round's time is its fastest run. TensorFlow has its default threads, ours one.
"""

import argparse
import os
import re
import statistics
import subprocess
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from benchmarks.machine import OUT, machine
from benchmarks.timing import timed
from kerasrun_export import sample_images
from kerasrun_export.contract import METHODS

SIDE = 224
PACKAGE = Path(__file__).parent.parent / "preprocess" / "internal" / "tfimage"


def tensor(file: bytes, method: str, antialias: bool) -> tf.Tensor:
    image = tf.io.decode_image(file, channels=3, expand_animations=False)
    return tf.image.resize(image, (SIDE, SIDE), method=method, antialias=antialias) / 255


def ours(test: Path, runs: int) -> dict[str, float]:
    """The milliseconds of the fastest run of each of our pipelines."""
    run = subprocess.run(
        [
            test,
            "-test.run=^$",
            "-test.bench=BenchmarkTensor",
            "-test.benchtime=1x",
            f"-test.count={runs}",
        ],
        cwd=PACKAGE,
        env={**os.environ, "GOMAXPROCS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    found = re.findall(r"BenchmarkTensor/(\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op", run.stdout)
    fastest: dict[str, float] = {}
    for name, ns in found:
        fastest[name] = min(fastest.get(name, float("inf")), float(ns) / 1e6)
    return fastest


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preprocess_tf", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=50, help="of each pipeline in each round")
    args = parser.parse_args()

    OUT.mkdir(parents=True, exist_ok=True)
    test = OUT / "tfimage.test"
    subprocess.run(["go", "test", "-c", "-o", test, "."], cwd=PACKAGE, check=True)
    file = (sample_images.DIRECTORY / "china.jpg").read_bytes()
    pipelines = [
        (method, antialias) for method in METHODS["tensorflow"] for antialias in (False, True)
    ]
    theirs_ms, ours_ms = [], []
    for _ in range(args.rounds):
        theirs_ms.append(
            [min(timed(lambda p=p: tensor(file, *p).numpy(), 0, args.runs)) for p in pipelines]
        )
        ours_ms.append(ours(test, args.runs))
    lines = [f"{machine()}; `python -m benchmarks.preprocess_tf`", ""]
    lines += [
        "| method | antialias | TensorFlow, ms | ours, ms | ours is faster by (range) |",
        "|---|---|---|---|---|",
    ]
    for i, (method, antialias) in enumerate(pipelines):
        a = [round_ms[i] for round_ms in theirs_ms]
        b = [round_ms[f"{method}/antialias={str(antialias).lower()}"] for round_ms in ours_ms]
        ratios = [x / y for x, y in zip(a, b, strict=True)]
        lines.append(
            f"| {method} | {str(antialias).lower()} | {statistics.median(a):.2f} | "
            f"{statistics.median(b):.2f} | "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    (OUT / "preprocess_tf.md").write_text(text)


if __name__ == "__main__":
    main()
