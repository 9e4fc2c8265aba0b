"""Turn the times of alternating pairs into one ratio, and say when they are too noisy to be trusted."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

TOLERANCE: Final = 0.05
"""How far, in parts of its time alone, a peer may be off in a pair that counts."""


@dataclass(frozen=True)
class PairTime:
    """Seconds of one run of each side, measured one right after the other."""

    neo: float
    peer: float

    @property
    def ratio(self) -> float:
        """How many times as fast as the peer neo was."""
        return self.peer / self.neo


@dataclass(frozen=True)
class Measurement:
    """The pairs that count, the peer's seconds alone, how many pairs were rejected, and whether too many were."""

    pairs: tuple[PairTime, ...]
    solo: float
    rejected: int
    noisy: bool

    @property
    def neo(self) -> float:
        """Median seconds of neo."""
        return statistics.median(pair.neo for pair in self.pairs)

    @property
    def peer(self) -> float:
        """Median seconds of the peer."""
        return statistics.median(pair.peer for pair in self.pairs)

    @property
    def ratio(self) -> float:
        """Median of the pairs' ratios."""
        return statistics.median(pair.ratio for pair in self.pairs)

    @property
    def excess(self) -> float:
        """Median of the seconds that neo took longer than the peer."""
        return statistics.median(pair.neo - pair.peer for pair in self.pairs)

    @property
    def spread(self) -> tuple[float, float]:
        """The 10th and the 90th percentile of the pairs' ratios."""
        low, high = np.quantile([pair.ratio for pair in self.pairs], (0.1, 0.9))
        return float(low), float(high)


def measure_pairs(
    time_neo: Callable[[], float],
    time_peer: Callable[[], float],
    /,
    *,
    wanted: int,
    rounds: int,
    solos: int = 5,
    tolerance: float = TOLERANCE,
) -> Measurement:
    """Time the peer alone, then pairs until `wanted` of them have the peer within `tolerance` of that.

    A round gives up after twice as many pairs; the next starts with the peer alone again, since the machine may have
    changed its pace. When no round succeeds, all pairs of the one with the fewest rejections count, marked as noisy.
    """
    best: Measurement | None = None
    for _ in range(rounds):
        solo = statistics.median(time_peer() for _ in range(solos))
        taken: list[PairTime] = []
        good: list[PairTime] = []
        while len(good) < wanted and len(taken) < 2 * wanted:
            pair = PairTime(time_neo(), time_peer())
            taken.append(pair)
            if accepted(pair, solo, tolerance):
                good.append(pair)
        rejected = len(taken) - len(good)
        if len(good) == wanted:
            return Measurement(tuple(good), solo, rejected, noisy=False)
        if best is None or rejected < best.rejected:
            best = Measurement(tuple(taken), solo, rejected, noisy=True)
    assert best is not None, "there is at least one round"
    return best


def accepted(pair: PairTime, solo: float, tolerance: float, /) -> bool:
    """Return whether the peer ran in this pair as it runs alone."""
    return abs(pair.peer / solo - 1) <= tolerance
