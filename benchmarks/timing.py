"""How long runs take."""

import time
from collections.abc import Callable


def timed(
    run: Callable[[], object],
    seconds: float,
    fewest: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """The milliseconds of each run, of as many as begin in that time and of so many at least."""
    runs, deadline = [], time.perf_counter() + seconds
    while len(runs) < fewest or time.perf_counter() < deadline:
        before = clock()
        run()
        runs.append(1e3 * (clock() - before))
    return runs
