"""Preprocessing alone, ours and Pillow with numpy: `python -m benchmarks.preprocessing`.

A photograph of 500 x 375, as JPEG in memory, to a tensor of 224 x 224 in Keras's caffe mode, on one
thread, by each filter. Both must give the same tensor, bit for bit. A ratio is taken within each
round.
"""

import argparse
import io
import statistics

import numpy as np
from PIL import Image

from benchmarks.__main__ import Peer, build
from benchmarks.machine import OUT, machine
from benchmarks.timing import timed
from kerasrun_export import sample_images

SIDE = 224
MEAN = np.array([103.939, 116.779, 123.68], np.float32)
FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")


def pillow(file: bytes, resample: Image.Resampling) -> np.ndarray:
    """What Keras does, without what Keras adds to it."""
    image = Image.open(io.BytesIO(file)).convert("RGB").resize((SIDE, SIDE), resample)
    x = np.asarray(image, np.float32)[..., ::-1]
    return x - MEAN


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preprocessing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="each one's turn in each round")
    args = parser.parse_args()

    OUT.mkdir(parents=True, exist_ok=True)
    build()
    path = OUT / "500x375.jpg"
    with Image.open(sample_images.DIRECTORY / "china.jpg") as image:
        image.resize((500, 375), Image.Resampling.LANCZOS).save(
            path, quality=90, subsampling="4:2:0"
        )
    file = path.read_bytes()
    lines = [f"{machine()}; `python -m benchmarks.preprocessing`", ""]
    lines += [
        "| filter | Pillow and numpy, ms | ours, ms | ours is faster by (range) |",
        "|---|---|---|---|",
    ]
    for name in FILTERS:
        resample = Image.Resampling[name.upper()]
        ours = Peer(name, [str(OUT / "images"), str(path), name, str(SIDE), str(SIDE)], 1)
        if not np.array_equal(
            np.array(ours.answer, np.float32), pillow(file, resample).reshape(-1)
        ):
            raise SystemExit(f"preprocessing: {name}: the tensors differ")
        theirs = []
        for _ in range(args.rounds):
            runs = timed(lambda resample=resample: pillow(file, resample), args.seconds)
            theirs.append(statistics.median(runs))
            ours.turn(args.seconds)
        ours.close()
        ratios = [a / b for a, b in zip(theirs, ours.result.round_ms, strict=True)]
        lines.append(
            f"| {name} | {statistics.median(theirs):.2f} | "
            f"{statistics.median(ours.result.round_ms):.2f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    (OUT / "preprocessing.md").write_text(text)


if __name__ == "__main__":
    main()
