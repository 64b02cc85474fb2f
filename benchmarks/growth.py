"""How cost grows with threads, batch and images: `python -m benchmarks.growth`.

The model alone by `kerasrun bench`, for every number of threads up to the cores and every batch;
images by `kerasrun score`, from the start of the program to its end. Prints each measurement as it
is made, and writes growth.md, and growth.png once images are scored, beside the comparison's
results: a run that is stopped leaves what it has.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.machine import OUT, ROOT, machine

KERASRUN = ROOT / "bin" / "kerasrun"
PHOTOS = sorted(
    path
    for path in (ROOT / "testdata" / "photos").iterdir()
    if path.suffix in (".jpg", ".png", ".webp")
)


def model_alone(model: Path, batch: int, threads: int, seconds: float) -> dict:
    """{batch, threads, ms (an image), range, peak}: median, minimum and maximum over the runs.

    In a process of its own: the peak of memory is that batch's.
    """
    command = [
        KERASRUN,
        "bench",
        "--model",
        model,
        "--batch",
        str(batch),
        "--seconds",
        str(seconds),
    ]
    command += ["--format", "json"]
    command += ["--tensorflow-intra-op-parallelism", str(threads)]
    command += ["--tensorflow-inter-op-parallelism", str(threads)]
    measured = json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    )
    runs = [ms / batch for ms in measured["runs_ms"]]
    return {
        "batch": batch,
        "threads": threads,
        "ms": statistics.median(runs),
        "range": (min(runs), max(runs)),
        "peak": measured["peak_rss_bytes"],
    }


def images(model: Path, count: int) -> dict:
    """{images, seconds, peak} of scoring that many files, the sample photographs over and over."""
    with tempfile.TemporaryDirectory(dir=OUT) as scratch:
        files = Path(scratch) / "images"
        files.mkdir()
        for i in range(count):
            source = PHOTOS[i % len(PHOTOS)]
            os.link(source, files / f"{i:06}{source.suffix}")
        command = [
            KERASRUN,
            "score",
            "--model",
            model,
            "--output",
            Path(scratch) / "out.jsonl",
            files,
        ]
        before = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - before
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"growth: score stopped with status {process.returncode}")
        return {"images": count, "seconds": seconds, "peak": 1024 * usage.ru_maxrss}


def run_row(run: dict) -> str:
    spread = "–".join(f"{ms:.1f}" for ms in run["range"])
    took, peak = f"{run['ms']:.1f} ({spread})", f"{run['peak'] / 1e6:.0f}"
    return f"| {run['threads']} | {run['batch']} | {took} | {peak} |"


def score_row(score: dict) -> str:
    each = 1e3 * score["seconds"] / score["images"]
    return (
        f"| {score['images']:,} | {score['seconds']:.1f} | {each:.1f} | {score['peak'] / 1e6:.0f} |"
    )


def tables(runs: list[dict], scores: list[dict]) -> str:
    lines = [
        machine(),
        "",
        "| threads | batch | ms an image (range) | peak MB |",
        "|---|---|---|---|",
    ]
    lines += map(run_row, runs)
    lines += ["", "| images scored | seconds | ms an image | peak MB |", "|---|---|---|---|"]
    lines += map(score_row, scores)
    return "\n".join(lines) + "\n"


def draw(runs: list[dict], scores: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.8))
    for threads in sorted({row["threads"] for row in runs}):
        rows = [row for row in runs if row["threads"] == threads]
        label = f"{threads} threads" if threads > 1 else "1 thread"
        left.plot([r["batch"] for r in rows], [r["ms"] for r in rows], "o-", label=label)
    left.set(xscale="log", xlabel="batch", ylabel="ms an image, model alone", ylim=(0, None))
    batches = sorted({row["batch"] for row in runs})
    left.set_xticks(batches, map(str, batches))
    left.minorticks_off()
    left.legend(fontsize=8)
    right.plot([s["images"] for s in scores], [s["seconds"] for s in scores], "o-", color="#0b6e4f")
    right.set(
        xscale="log", yscale="log", xlabel="images scored", ylabel="seconds from start to end"
    )
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    figure.text(0.5, 0.005, machine(), ha="center", fontsize=7, color="#555")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "resnext50")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--images", type=int, nargs="+", default=[1, 10, 100, 1000, 10_000])
    parser.add_argument(
        "--seconds", type=float, default=2, help="time for each measurement of the model alone"
    )
    args = parser.parse_args()

    OUT.mkdir(parents=True, exist_ok=True)
    runs, scores = [], []

    def keep(line: str) -> None:
        print(line, flush=True)
        (OUT / "growth.md").write_text(tables(runs, scores))
        if scores:
            draw(runs, scores, OUT / "growth.png")

    for threads in range(1, len(os.sched_getaffinity(0)) + 1):
        for batch in args.batches:
            runs.append(model_alone(args.model, batch, threads, args.seconds))
            keep(run_row(runs[-1]))
    for count in args.images:
        scores.append(images(args.model, count))
        keep(score_row(scores[-1]))


if __name__ == "__main__":
    main()
