"""Simulates a large `kerasrun score` over many workers that fail, and prints what it takes.

    python -m benchmarks.scaling --workers 1,10,100,1000 --rate 16 --mtbf-hours 100
    python -m benchmarks.scaling --workers 1,2,4 --measure 1200

A run is cut into parts. With fixed parts, as of `--shard` in an Indexed Job, each worker has one,
and goes on from its journal when it was killed: it loses the batch that it was at, and the time to
start again. With tasks, as of Spark and Ray, a worker that is free takes the next of many parts; a
part whose worker was killed is begun anew. All times are seconds, all rates are a second.
"""

import argparse
import dataclasses
import heapq
import itertools
import random
import resource
import statistics
import subprocess
import tempfile
from pathlib import Path

from scripts.clusters import KERASRUN, MODEL, make_images


@dataclasses.dataclass(frozen=True)
class Machines:
    """The workers, and what they share."""

    workers: int
    rate: float  # images that a worker answers alone
    start: float = 30.0  # until a worker has its container and its model
    spread: float = 0.1  # of the workers' paces: the standard deviation of their logarithm
    mtbf: float = float("inf")  # of a worker, between two kills
    images_limit: float = float("inf")  # that the store, the network or the CPUs give to all


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run went."""

    seconds: float  # until the last part is done
    busy: float  # of all workers together: what is paid for
    answered: int  # images, with those that were answered twice
    kills: int


def paces(machines: Machines, draw: random.Random) -> list[float]:
    """The rate of each worker, within what they share.

    Where together they want more than that, each has its share less.
    """
    own = [machines.rate * draw.lognormvariate(0, machines.spread) for _ in range(machines.workers)]
    return [pace * min(1, machines.images_limit / sum(own)) for pace in own]


def fixed_parts(machines: Machines, images: int, batch: int, draw: random.Random) -> Outcome:
    """Simulates a part for each worker, with a journal."""
    last = busy = 0.0
    answered = kills = 0
    for i, pace in enumerate(paces(machines, draw)):
        left = images // machines.workers + (i < images % machines.workers)
        now = 0.0
        while True:
            now += machines.start
            alive = lifetime(machines, draw)
            if left / pace <= alive:
                now += left / pace
                answered += left
                break
            kills += 1
            now += alive
            whole = int(alive * pace) // batch * batch  # the journal has whole batches
            answered += int(alive * pace)
            left -= whole
        last = max(last, now)
        busy += now
    return Outcome(last, busy, answered, kills)


def tasks(machines: Machines, images: int, size: int, draw: random.Random) -> Outcome:
    """Simulates a queue of parts of so many images."""
    waiting = [size] * (images // size) + ([images % size] if images % size else [])
    # when each worker is free, its pace, and when it will be killed
    free = []
    for i, pace in enumerate(paces(machines, draw)):
        heapq.heappush(free, (machines.start, i, pace, machines.start + lifetime(machines, draw)))
    last = 0.0
    answered = kills = 0
    while waiting:
        now, i, pace, death = heapq.heappop(free)
        part = waiting.pop()
        end = now + part / pace
        if end <= death:
            answered += part
            last = max(last, end)
            heapq.heappush(free, (end, i, pace, death))
            continue
        # A worker may be killed while it waits, too.
        kills += 1
        answered += int(max(death - now, 0) * pace)
        waiting.append(part)
        again = max(death, now) + machines.start
        heapq.heappush(free, (again, i, pace, again + lifetime(machines, draw)))
    # A cluster is held until the last part is done.
    return Outcome(last, machines.workers * last, answered, kills)


def lifetime(machines: Machines, draw: random.Random) -> float:
    """How long a worker lives from now on."""
    if machines.mtbf == float("inf"):
        return machines.mtbf
    return draw.expovariate(1 / machines.mtbf)


def measure(workers: int, listed: Path) -> float:
    """Returns the processor seconds of `kerasrun score` over a list, by so many workers at a time.

    Each has one thread. Unlike the time on the clock these are the same beside other work.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [KERASRUN, "score", "--quiet", f"--model={MODEL}", f"--files-from={listed}"]
        command += [f"--tensorflow-{which}-op-parallelism=1" for which in ("intra", "inter")]
        command += [f"--output={folder}/out.parquet", "--allow-empty"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        parts = [
            subprocess.Popen([*command, f"--shard={i}/{workers}"], stderr=subprocess.DEVNULL)
            for i in range(workers)
        ]
        if any(part.wait() not in (0, 3) for part in parts):
            raise SystemExit(f"scaling: {command}: expected a complete part, got a failed one")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def check(counts: list[int], images: int, folder: Path) -> None:
    """Compares the simulation with measured workers: start and rate are those of one alone."""
    paths = itertools.cycle(make_images(folder / "images").column("path").to_pylist())
    listed, empty = folder / "list.txt", folder / "empty.txt"
    listed.write_text("".join(f"{path}\n" for path in itertools.islice(paths, images)))
    empty.touch()

    def measured(workers: int, listed: Path) -> float:
        return statistics.median(measure(workers, listed) for _ in range(3))

    start = measured(1, empty)
    rate = images / (measured(1, listed) - start)
    print("| workers | measured, processor s | simulated | measured / simulated |")
    print("|---:|---:|---:|---:|")
    for workers in counts:
        machines = Machines(workers, rate, start, spread=0)
        simulated = fixed_parts(machines, images, 32, random.Random(0)).busy
        took = measured(workers, listed)
        row = f"| {workers} | {took:.2f} | {simulated:.2f} | {took / simulated:.2f} |"
        print(row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--workers", default="1,10,100,1000")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=15.8, help="images a second of one worker")
    parser.add_argument("--measure", type=int, help="measure over so many images, and compare")
    parser.add_argument("--start", type=float, default=30, help="seconds to start a worker")
    parser.add_argument("--spread", type=float, default=0.1)
    parser.add_argument("--mtbf-hours", type=float, default=float("inf"))
    parser.add_argument("--images-limit", type=float, default=float("inf"))
    parser.add_argument("--task", type=int, default=512, help="images of a task")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    counts = [int(n) for n in a.workers.split(",")]
    if a.measure:
        with tempfile.TemporaryDirectory() as folder:
            return check(counts, a.measure, Path(folder))
    print(
        "| workers | parts | minutes | of the ideal | worker hours | kills | answered twice |\n"
        "|---:|---|---:|---:|---:|---:|---:|"
    )
    for workers in counts:
        machines = Machines(workers, a.rate, a.start, a.spread, a.mtbf_hours * 3600, a.images_limit)
        ideal = a.images / min(workers * a.rate, a.images_limit)
        for name, simulate, size in (("fixed", fixed_parts, a.batch), ("tasks", tasks, a.task)):
            o = simulate(machines, a.images, size, random.Random(a.seed))
            print(
                f"| {workers:,} | {name} | {o.seconds / 60:,.1f} | {ideal / o.seconds:.0%} | "
                f"{o.busy / 3600:,.1f} | {o.kills} | {o.answered - a.images:,} |"
            )


if __name__ == "__main__":
    main()
