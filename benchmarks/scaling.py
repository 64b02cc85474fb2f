"""Simulates a large `kerasrun score` over many workers that fail, and prints what it takes.

    python -m benchmarks.scaling --workers 1,10,100,1000 --rate 16 --mtbf-hours 100

A run is cut into parts. With fixed parts, as of `--shard` in an Indexed Job, each worker has one,
and goes on from its journal when it was killed: it loses the batch that it was at, and the time to
start again. With tasks, as of Spark and Ray, a worker that is free takes the next of many parts; a
part whose worker was killed is begun anew. All times are seconds, all rates are a second.
"""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import random


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
    last = busy = 0.0
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
    busy = machines.workers * last  # a cluster is held until the last part is done
    return Outcome(last, busy, answered, kills)


def lifetime(machines: Machines, draw: random.Random) -> float:
    """How long a worker lives from now on."""
    if machines.mtbf == float("inf"):
        return machines.mtbf
    return draw.expovariate(1 / machines.mtbf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--workers", default="1,10,100,1000")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, required=True, help="images a second of one worker")
    parser.add_argument("--start", type=float, default=30, help="seconds to start a worker")
    parser.add_argument("--spread", type=float, default=0.1)
    parser.add_argument("--mtbf-hours", type=float, default=float("inf"))
    parser.add_argument("--images-limit", type=float, default=float("inf"))
    parser.add_argument("--task", type=int, default=512, help="images of a task")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    print(
        "| workers | parts | minutes | of the ideal | worker hours | kills | answered twice |\n"
        "|---:|---|---:|---:|---:|---:|---:|"
    )
    for workers in (int(n) for n in a.workers.split(",")):
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
