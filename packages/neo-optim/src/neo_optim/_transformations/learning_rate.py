"""Scale updates by minus the learning rate: the last transformation of an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple, TypeAlias, TypeVar

import neo_array as na
from neo_array import Array, Donated, DTypeError, ShapeError, TreeError
from neo_optim import _leaves
from neo_optim._arguments import at_least_zero, of_init
from neo_optim._transformation import EmptyState, GradientTransformation
from neo_optim._transformations.weight_decay import add_decayed_weights

T = TypeVar("T")
Schedule: TypeAlias = Callable[[Array], "Array | float"]
LearningRate: TypeAlias = "float | Array | Schedule"


class LearningRateState(NamedTuple):
    """How many steps were taken, where the learning rate is a schedule; else None."""

    step: Array | None


def scale_by_learning_rate(
    learning_rate: LearningRate, /, *, weight_decay: float = 0.0
) -> GradientTransformation[LearningRateState]:
    """Multiply updates by minus the learning rate: u -> -lr * u, or -lr * (u + weight_decay * p).

    Args:
        learning_rate: a number; a 0-d Array, through which derivatives flow; or a schedule. A schedule gets the number
            of steps taken so far, 0 at the first, as an int64 0-d Array on the host, and returns a number or a 0-d
            Array: `lambda step: 0.1 * 0.5 ** (int(step) // 30)`.
        weight_decay: the rate of decoupled weight decay, as by `add_decayed_weights` before, in fewer passes.

    Raises:
        ValueError: the learning rate or the decay is negative or nan, or `update` got no parameters to decay.

    >>> import neo_array as na
    >>> updates, _ = (opt := scale_by_learning_rate(0.5)).update([na.asarray(3.0)], opt.init([]))
    >>> updates[0].item()
    -1.5
    """
    decay = add_decayed_weights(weight_decay)
    fixed = None if callable(learning_rate) else _number("scale_by_learning_rate", learning_rate)
    if isinstance(fixed, float):
        at_least_zero("scale_by_learning_rate", learning_rate=fixed)

    def init(params: object, /) -> LearningRateState:
        return LearningRateState(_leaves.first_step() if fixed is None else None)

    def current(state: LearningRateState) -> float | Array:
        of_init("scale_by_learning_rate", state, LearningRateState)
        if fixed is not None:
            return fixed
        if state.step is None:
            raise TreeError(
                "scale_by_learning_rate: the state has no step, as if the learning rate were fixed; "
                "write state = opt.init(params) with this same optimizer"
            )
        assert callable(learning_rate), "what is not fixed is a schedule"
        return _number("schedule", learning_rate(state.step))

    def following(state: LearningRateState, donate: Donated | None) -> LearningRateState:
        return state if state.step is None else LearningRateState(_leaves.next_step(state.step, donate))

    def update(
        updates: T, state: LearningRateState, params: T | None = None, /, *, donate: Donated | None = None, **extra: Any
    ) -> tuple[T, LearningRateState]:
        rate = current(state)
        updates, _ = decay.update(updates, EmptyState(), params)
        scaled = na.tree.tree_map(lambda u: _scaled(u, -rate) if _leaves.is_trained(u) else u, updates)
        return scaled, following(state, donate)

    def fused(
        params: T, updates: T, state: LearningRateState, /, *, donate: Donated | None = None, **extra: Any
    ) -> tuple[T, LearningRateState]:
        rate = current(state)
        if isinstance(rate, Array):
            updates, _ = decay.update(updates, EmptyState(), params)
            new: T = _leaves.add_product("step", params, updates, -rate, donate)
        else:
            new = _leaves.add_scaled("step", params, updates, -rate, donate, decay=1.0 - rate * weight_decay)
        return new, following(state, donate)

    return GradientTransformation(init, update, fused)


def _number(who: str, value: object) -> float | Array:
    """Return a learning rate as a float, or as the 0-d Array that it is."""
    if isinstance(value, Array):
        if value.shape != ():
            raise ShapeError(f"{who}: the learning rate must be 0-d, got shape {value.shape}; reshape it to ()")
        return value
    if type(value) is not bool and isinstance(value, Real):
        return float(value)
    raise DTypeError(
        f"{who}: the learning rate must be a number, a 0-d Array or a function of the step, got {type(value).__name__}"
    )


def _scaled(update: Array, rate: float | Array) -> Array:
    return update * (rate.to(update.device).astype(update.dtype) if isinstance(rate, Array) else rate)
