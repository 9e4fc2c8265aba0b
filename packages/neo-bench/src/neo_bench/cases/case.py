"""Case: something that neo and a peer both do, in two sizes, on each of neo's backends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from neo_bench.timing.contender import Pair
from neo_bench.timing.results import Unit


@dataclass(frozen=True)
class Case:
    """A row of the benchmark: `build(backend, quick)` sets both sides up, small where `quick`.

    The unit says what is measured of a run: its time, or its peak memory.
    """

    name: str
    summary: str
    peer: str
    backends: tuple[str, ...]
    build: Callable[[str, bool], Pair]
    unit: Unit = "us"
