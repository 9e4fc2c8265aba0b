"""Contender and Pair: what is measured, and against what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from neo_bench.errors import MismatchError
from neo_bench.threads import Pool

Answers: TypeAlias = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Contender:
    """One side of a pair: `run` does what is timed, `answers` returns the values and gradients that it computes."""

    name: str
    pool: Pool
    run: Callable[[], object]
    answers: Callable[[], Answers]


@dataclass(frozen=True)
class Pair:
    """Neo on one backend, a peer that does the same, and how closely their answers must agree.

    Where the peer is the raw library itself, what neo takes longer is its own cost: `operations` says how many
    operations of a run share it.
    """

    neo: Contender
    peer: Contender
    tolerance: float
    operations: int | None = None

    def check(self) -> None:
        """Raise MismatchError unless both sides compute the same, relative to the largest element of each answer."""
        ours, theirs = self.neo.answers(), self.peer.answers()
        if ours.keys() != theirs.keys():
            raise MismatchError(
                f"{self.neo.name}: answers other questions than {self.peer.name}, got {sorted(ours)}, "
                f"expected {sorted(theirs)}; return the same names"
            )
        for name, expected in theirs.items():
            self._check_one(name, ours[name], expected)

    def _check_one(self, name: str, got: npt.NDArray[Any], expected: npt.NDArray[Any], /) -> None:
        """Raise MismatchError unless one answer is the same on both sides."""
        if got.shape != expected.shape:
            raise MismatchError(
                f"{self.neo.name}: {name} has another shape, got {got.shape}, expected {expected.shape}"
            )
        difference = float(np.max(np.abs(got - expected), initial=0.0))
        scale = float(np.max(np.abs(expected), initial=0.0))
        if not difference <= self.tolerance * scale:  # so that NaN fails
            raise MismatchError(
                f"{self.neo.name}: {name} differs from {self.peer.name}'s, got {difference:.3g} at most, "
                f"expected up to {self.tolerance:g} of {scale:.3g}; different things are not timed"
            )
