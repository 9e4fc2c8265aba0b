"""Time one side: many runs in a row, the median of them."""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import dataclass

from neo_bench.threads import Threads
from neo_bench.timing.contender import Contender


@dataclass(frozen=True)
class Block:
    """How long a side runs before it is timed, how long while it is, and how many times at least."""

    warmup_seconds: float = 0.03
    seconds: float = 0.2
    runs: int = 10

    def time(self, contender: Contender, threads: Threads, /) -> float:
        """Return the median seconds of one run, with the other side's threads parked."""
        with threads.only(contender.pool):
            gc.collect()
            self._repeat(contender, self.warmup_seconds, 3)
            return statistics.median(self._repeat(contender, self.seconds, self.runs))

    def _repeat(self, contender: Contender, seconds: float, runs: int, /) -> list[float]:
        """Run until `seconds` have passed and `runs` were made; return the seconds of each."""
        run, clock = contender.run, time.perf_counter
        times: list[float] = []
        end = clock() + seconds
        while len(times) < runs or clock() < end:
            start = clock()
            run()
            times.append(clock() - start)
        return times
