"""The simulation of benchmarks/scaling.py, where its answer is known by arithmetic."""

import random
from itertools import pairwise

import pytest

from benchmarks.scaling import Machines, fixed_parts, tasks

BOTH = pytest.mark.parametrize(("simulate", "size"), [(fixed_parts, 32), (tasks, 500)])


@BOTH
def test_without_failures_it_is_division(simulate, size):
    for workers in (1, 2, 4, 100):
        machines = Machines(workers, rate=10, start=30, spread=0)
        o = simulate(machines, 100_000, size, random.Random(0))
        assert o.seconds == pytest.approx(30 + 100_000 / (10 * workers))
        assert (o.answered, o.kills) == (100_000, 0)
        assert o.busy == pytest.approx(workers * o.seconds)


@BOTH
def test_a_shared_limit_bounds_all(simulate, size):
    machines = Machines(100, rate=10, start=0, spread=0.3, images_limit=200)
    o = simulate(machines, 100_000, size, random.Random(0))
    assert o.seconds >= 100_000 / 200


@BOTH
def test_kills_are_as_many_as_their_rate_says(simulate, size):
    """Over a long run: the worker's hours through the mean time between kills."""
    machines = Machines(50, rate=10, start=5, spread=0.1, mtbf=2000)
    o = simulate(machines, 5_000_000, size, random.Random(0))
    alive = o.busy - o.kills * machines.start
    assert o.kills == pytest.approx(alive / machines.mtbf, rel=0.15)
    assert o.answered >= 5_000_000
    # A part of a task is lost with each kill, half of one in the mean; of a journal half a batch.
    lost = (o.answered - 5_000_000) / o.kills
    assert lost == pytest.approx(size / 2, rel=0.2)


@BOTH
def test_more_failures_take_longer(simulate, size):
    times = [
        simulate(Machines(20, 10, 30, 0, mtbf), 1_000_000, size, random.Random(0)).seconds
        for mtbf in (float("inf"), 10_000, 1_000, 200)
    ]
    assert all(a < b for a, b in pairwise(times))


def test_stragglers_hold_fixed_parts_up():
    machines = Machines(100, rate=10, start=0, spread=0.3)
    fixed = fixed_parts(machines, 1_000_000, 32, random.Random(0))
    queue = tasks(machines, 1_000_000, 100, random.Random(0))
    assert fixed.seconds > 1.5 * queue.seconds
