"""How closely the losses of two sides agree, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypedDict

from neo_bench.training.progress import FIRST_LOSSES

SPANS: Final = (20, FIRST_LOSSES)


class Agreement(TypedDict):
    """The largest relative difference between the losses of both sides over the first steps."""

    steps: int
    largest_relative_difference: float


def agreements(losses: Sequence[float], peer: Sequence[float], /) -> list[Agreement]:
    """Return the agreement over the first 20 and the first 200 steps, or over as many as both sides took."""
    taken = min(len(losses), len(peer))
    spans = sorted({min(span, taken) for span in SPANS})
    differences = [relative_difference(ours, theirs) for ours, theirs in zip(losses, peer, strict=False)]
    return [Agreement(steps=span, largest_relative_difference=max(differences[:span])) for span in spans if span]


def relative_difference(value: float, reference: float, /) -> float:
    """Return |value - reference| in units of |reference|; of the larger of both where the reference is zero."""
    if value == reference:
        return 0.0
    return abs(value - reference) / (abs(reference) or abs(value))
