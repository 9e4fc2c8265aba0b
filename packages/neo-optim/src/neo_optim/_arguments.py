"""Checking the arguments of optimizers: what is wanted, what was given, what to write."""

from __future__ import annotations

from typing import Any, TypeVar

from neo_array import TreeError

S = TypeVar("S")


def at_least_zero(who: str, **options: float) -> None:
    """Raise ValueError unless each option is a number from 0 on; nan is not."""
    for name, value in options.items():
        if not value >= 0.0:
            raise ValueError(f"{who}: {name} must be at least 0, got {value}; write {name}={abs(value)}?")


def in_unit_interval(who: str, **options: float) -> None:
    """Raise ValueError unless each option lies in [0, 1)."""
    for name, value in options.items():
        if not 0.0 <= value < 1.0:
            raise ValueError(
                f"{who}: {name} must lie in [0, 1), got {value}; it is the part of the past that is kept, like 0.9"
            )


def of_init(who: str, state: Any, kind: type[S]) -> S:
    """Return the state; raise TreeError unless it is of the kind that init makes."""
    if not isinstance(state, kind):
        raise TreeError(
            f"{who}: the state must be the {kind.__name__} that init made, got {type(state).__name__}; "
            "write state = opt.init(params) with this same optimizer"
        )
    return state
