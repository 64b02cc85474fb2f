"""Proves what is promised of `kerasrun score`: python -m scripts.prove_score.

kills: 50 SIGKILLs at random moments of a run over 1,000 images, for each format: the output is byte
    for byte that of an undisturbed run. resnext50 with an input of 32 x 32, so that 1,000 images
    take seconds.
memory: the peak of 10,000 images is at most 5 % over that of 1,000. The same model.
packed: the peak of 200,000 images of 64 x 64 is at most 5 % over that of 20,000, in tars and in a
    column of Parquet. A model of one layer.
list: with a list of 10 million paths the first batch is answered within 10 s, under 1 GB. That
    model too; the files are not there.
throughput: files to rows at 0.95 or more of what `kerasrun bench` has for the model alone, at the
    same batch, in turns; the full model.

Each prints its figures; the exit status is 1 where a promise is broken. `make prove-score` exports
and builds first.
"""

import argparse
import io
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from kerasrun_export import (
    cli,  # noqa: F401  it silences TensorFlow
    export,
    manifest,
    sample_images,
)
from kerasrun_export.backend import keras

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "bin" / "kerasrun"
KILLS, IMAGES, MANY = 50, 1_000, 10_000
PACKED = (20_000, 200_000)
LISTED, LIST_SECONDS, LIST_MIB = 10_000_000, 10, 1000
MEMORY_GROWTH, THROUGHPUT = 1.05, 0.95
BATCH = 32


class BrokenPromise(Exception):
    """What was measured is not what is promised."""


def thumbnails(folder: Path, count: int, bad: bool = True) -> Path:
    """Fills a folder with small images, each cut out of a sample photograph somewhere else; one in
    97 is none.
    """
    folder.mkdir()
    originals = [Image.open(path).convert("RGB") for path in sample_images.paths()]
    draw = random.Random(count)
    for i in range(count):
        original = originals[i % len(originals)]
        left, top = (draw.randrange(side - 64) for side in original.size)
        path = folder / f"{i:05}.jpg"
        if bad and i % 97 == 50:
            path.write_bytes(b"no image")
        else:
            original.crop((left, top, left + 64, top + 64)).save(path, quality=85)
    return folder


def command(model: Path, output: Path, *more: object) -> list[str]:
    return [
        str(part)
        for part in (PROGRAM, "score", "--quiet", "--model", model, "--output", output, *more)
    ]


def score(*arguments: object, bad: bool = True) -> None:
    """Runs score to its end; with bad images its exit status is 3."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True)
    if done.returncode != (3 if bad else 0):
        raise BrokenPromise(f"score: exit status {done.returncode}: {done.stderr}")


def kills(model: Path, scratch: Path, seed: int) -> None:
    folder, draw = thumbnails(scratch / "kills", IMAGES), random.Random(seed)
    for ending in ("jsonl", "csv", "parquet"):
        undisturbed, output = scratch / f"undisturbed.{ending}", scratch / f"killed.{ending}"
        start = time.monotonic()
        score(model, undisturbed, "--batch", BATCH, folder)
        whole = time.monotonic() - start
        killed = finished = 0
        progress = set()  # how long the journal was at each kill
        while killed < KILLS:
            process = subprocess.Popen(
                command(model, output, "--batch", BATCH, folder), stderr=subprocess.DEVNULL
            )
            try:
                process.wait(timeout=draw.uniform(0, 0.6 * whole))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            journal = output.with_name(f"{output.name}.journal")
            if process.wait() == -signal.SIGKILL:
                killed += 1
                progress.add(journal.stat().st_size if journal.exists() else 0)
            if (
                output.exists() and not journal.exists()
            ):  # it came to its end: from the beginning again
                finished += 1
                equal(output, undisturbed)
                remove(output)
        score(model, output, "--batch", BATCH, folder)
        equal(output, undisturbed)
        print(
            f"{ending}: {killed} SIGKILLs at {len(progress)} different lengths of the journal, "
            f"{finished + 1} runs "
            f"that came to their end over {IMAGES} images: each output is byte for byte the "
            "undisturbed one"
        )


def equal(output: Path, undisturbed: Path) -> None:
    if output.read_bytes() != undisturbed.read_bytes():
        raise BrokenPromise(f"{output} differs from {undisturbed}")
    counted = json.loads(output.with_name(f"{output.name}.manifest.json").read_text())
    if counted["pictures"] != IMAGES or counted["answered"] + counted["failed"] != IMAGES:
        raise BrokenPromise(f"{output}: {IMAGES} images in, the manifest has {counted}")


def remove(output: Path) -> None:
    for path in output.parent.glob(f"{output.name}*"):
        path.unlink()


def peak(*arguments: object) -> float:
    """Runs score to its end. Returns the most memory that it took, in MiB."""
    process = subprocess.Popen(command(*arguments))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BrokenPromise(f"score: exit status {process.returncode}")
    return usage.ru_maxrss / 1024


def judge_memory(name: str, peaks: dict[int, list[float]]) -> None:
    few, many = (statistics.median(mibs) for mibs in peaks.values())
    each = "; ".join(
        f"{count} images {', '.join(f'{mib:.0f}' for mib in mibs)} MiB"
        for count, mibs in peaks.items()
    )
    print(
        f"peak memory, {name}: {each}: {100 * (many / few - 1):+.1f} % by the medians", flush=True
    )
    if many > MEMORY_GROWTH * few:
        raise BrokenPromise(
            f"memory, {name}: want at most {MEMORY_GROWTH} times as much, got {many / few:.3f}"
        )


def memory(model: Path, scratch: Path) -> None:
    peaks: dict[int, list[float]] = {}
    folders = {
        count: thumbnails(scratch / f"memory-{count}", count, bad=False) for count in (IMAGES, MANY)
    }
    for turn in range(3):
        for count, folder in folders.items():
            output = scratch / f"memory-{count}-{turn}.parquet"
            options = ["--batch", BATCH, "--outputs", "probs"]
            peaks.setdefault(count, []).append(peak(model, output, *options, folder))
    judge_memory("files", peaks)


def small_model(scratch: Path) -> Path:
    """Exports a model of one layer, which takes next to no time and memory."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    layers.append(keras.layers.Dense(10, activation="softmax"))
    export(keras.Sequential(layers), scratch / "small", pipeline="load_img")
    return scratch / "small"


def packed(model: Path, scratch: Path) -> None:
    """Of images in tars of 10,000, and in one Parquet file in row groups of as many."""
    images = [path.read_bytes() for path in thumbnails(scratch / "few", 500, False).iterdir()]
    schema = pa.schema({"image": pa.binary()})
    inputs: dict[str, dict[int, list]] = {"tars": {}, "Parquet": {}}
    for count in PACKED:
        tars, table = inputs["tars"].setdefault(count, []), scratch / f"{count}.parquet"
        inputs["Parquet"][count] = ["--column", "image", table]
        with pq.ParquetWriter(table, schema) as writer:
            for first in range(0, count, 10_000):
                batch = [images[i % len(images)] for i in range(first, first + 10_000)]
                writer.write_table(pa.table({"image": batch}, schema))
                tars.append(scratch / f"{count}-{first:06}.tar")
                with tarfile.open(tars[-1], "w") as archive:
                    for i, data in enumerate(batch):
                        member = tarfile.TarInfo(f"{first + i:06}.jpg")
                        member.size = len(data)
                        archive.addfile(member, io.BytesIO(data))
    for name, of_counts in inputs.items():
        peaks: dict[int, list[float]] = {}
        for turn in range(3):
            for count, arguments in of_counts.items():
                output = scratch / f"{name}-{count}-{turn}.jsonl"
                peaks.setdefault(count, []).append(
                    peak(model, output, "--batch", BATCH, *arguments)
                )
        judge_memory(name, peaks)


def listed(model: Path, scratch: Path) -> None:
    paths = scratch / "paths.txt"
    with paths.open("w") as out:
        for i in range(LISTED):
            out.write(f"/data/images/2026/{i // 10_000:04}/IMG_{i:08}.jpg\n")
    output = scratch / "listed.jsonl"
    journal = output.with_name(f"{output.name}.journal")
    began = time.monotonic()
    process = subprocess.Popen(command(model, output, "--files-from", paths))
    try:
        while not (journal.exists() and '"batch":{' in journal.read_text()[:100_000]):
            if process.poll() is not None:
                raise BrokenPromise(f"score: exit status {process.returncode}")
            time.sleep(0.02)
        took = time.monotonic() - began
    finally:
        process.kill()
        _, _, used = os.wait4(process.pid, 0)
    mib, cpu = used.ru_maxrss / 1024, used.ru_utime + used.ru_stime
    print(
        f"list: {LISTED} paths, the first batch answered after {took:.1f} s ({cpu:.1f} s of "
        f"processors), {mib:.0f} MiB at most",
        flush=True,
    )
    if took > LIST_SECONDS or mib > LIST_MIB:
        raise BrokenPromise(f"list: want at most {LIST_SECONDS} s and {LIST_MIB} MiB")


def throughput(model: Path, scratch: Path, rounds: int) -> None:
    """A run's rate is the images that a long run has more than a short one, over the time that it
    takes longer.
    """
    originals = sample_images.paths()
    lists = {}
    for count in (2 * BATCH, 12 * BATCH):
        lists[count] = scratch / f"list-{count}.txt"
        lists[count].write_text("".join(f"{originals[i % len(originals)]}\n" for i in range(count)))
    ratios = []
    for turn in range(rounds):
        bench = [
            PROGRAM,
            "bench",
            "--format",
            "json",
            "--model",
            model,
            "--batch",
            str(BATCH),
            "--seconds",
            "8",
        ]
        alone = json.loads(subprocess.run(bench, check=True, capture_output=True).stdout)[
            "images_per_second"
        ]
        took = []
        for count, listed in lists.items():
            start = time.monotonic()
            output = scratch / f"throughput-{count}-{turn}.jsonl"
            score(model, output, "--batch", BATCH, "--files-from", listed, bad=False)
            took.append(time.monotonic() - start)
        few, many = lists
        rate = (many - few) / (took[1] - took[0])
        ratios.append(rate / alone)
        print(
            f"throughput: {rate:.2f} images/s from files to rows, {alone:.2f} of the model "
            f"alone: {ratios[-1]:.3f}"
        )
    middle = statistics.median(ratios)
    print(
        f"throughput at batch {BATCH}: {middle:.3f} of the model alone ({min(ratios):.3f} to "
        f"{max(ratios):.3f})"
    )
    if middle < THROUGHPUT:
        raise BrokenPromise(
            f"throughput: want at least {THROUGHPUT} of the model alone, got {middle:.3f}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.prove_score", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--small", type=Path, default=ROOT / "models" / "resnext50-32", help="resnext50 at 32 x 32"
    )
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "resnext50")
    parser.add_argument(
        "--proofs", nargs="+", default=["kills", "memory", "packed", "list", "throughput"]
    )
    parser.add_argument("--rounds", type=int, default=4, help="of the throughput")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    try:
        side = manifest.read(options.small)["inputs"][0]["shape"][1]
    except manifest.ManifestError as error:
        parser.error(f"--small: {error}")
    if side != 32:
        parser.error(f"--small: want an input of 32 x 32, got {side}")
    print(f"seed {options.seed}")
    scratch = Path(tempfile.mkdtemp(prefix="prove-score-"))
    try:
        for proof in options.proofs:
            {
                "kills": lambda: kills(options.small, scratch, options.seed),
                "memory": lambda: memory(options.small, scratch),
                "packed": lambda: packed(small_model(scratch), scratch),
                "list": lambda: listed(small_model(scratch), scratch),
                "throughput": lambda: throughput(options.model, scratch, options.rounds),
            }[proof]()
    except BrokenPromise as broken:
        print(f"prove-score: {broken}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
