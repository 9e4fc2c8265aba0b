"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import neo_array as na
from neo_array import Array, Donated
from neo_optim import _leaves
from neo_optim._arguments import at_least_zero, of_init
from neo_optim._transformation import EmptyState, GradientTransformation, chain
from neo_optim._transformations.learning_rate import LearningRate, LearningRateState, scale_by_learning_rate
from neo_optim._transformations.weight_decay import add_decayed_weights

T = TypeVar("T")


class TraceState(NamedTuple):
    """How many steps were taken, and the running sum of the updates; both None without momentum."""

    step: Array | None
    trace: object


def trace(momentum: float, /, *, dampening: float = 0.0, nesterov: bool = False) -> GradientTransformation[TraceState]:
    """Sum up the updates of all steps, older ones decayed by the momentum.

    m = momentum * m + (1 - dampening) * u, where the first m is u, undamped; the update is m, or u + momentum * m with
    Nesterov's momentum (Sutskever et al., 2013, https://proceedings.mlr.press/v28/sutskever13.html). A momentum of 0
    changes nothing.

    Raises:
        ValueError: momentum or dampening is negative, or Nesterov's momentum lacks a momentum or is damped.
    """
    at_least_zero("trace", momentum=momentum, dampening=dampening)
    if nesterov and (momentum == 0.0 or dampening != 0.0):
        raise ValueError(
            f"trace: nesterov=True needs a momentum and no dampening, got momentum={momentum}, dampening={dampening}; "
            "write momentum=0.9, dampening=0.0"
        )

    def init(params: object, /) -> TraceState:
        if momentum == 0.0:
            return TraceState(None, None)
        return TraceState(_leaves.first_step(), _leaves.zeros_like(params))

    def update(
        updates: T, state: TraceState, params: T | None = None, /, *, donate: Donated | None = None, **extra: Any
    ) -> tuple[T, TraceState]:
        of_init("trace", state, TraceState)
        if state.step is None:
            return updates, state
        treedef, trained, (traces, changes) = _leaves.align(
            "trace", donate is not None, state=state.trace, updates=updates
        )
        weight = 1.0 - dampening if dampening == 0.0 or int(state.step) else 1.0
        traces = _leaves.run_each(na.moving_average, donate, trained, traces, changes, decay=momentum, weight=weight)
        state = TraceState(_leaves.next_step(state.step, donate), na.tree.unflatten(treedef, traces))
        rows = zip(trained, traces, changes, strict=True)
        if nesterov:
            changes = [na.add_scaled(u, m, scale=momentum) if t else u for t, m, u in rows]
        else:
            changes = [m if t else u for t, m, u in rows]
        return na.tree.unflatten(treedef, changes), state

    return GradientTransformation(init, update)


def sgd(
    learning_rate: LearningRate,
    *,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> GradientTransformation[tuple[EmptyState, TraceState, LearningRateState]]:
    """Descend along the gradient: `torch.optim.SGD`, step for step.

    g = gradient + weight_decay * p; m = momentum * m + (1 - dampening) * g, where the first m is g; p = p - lr * m, or,
    with Nesterov's momentum, p = p - lr * (g + momentum * m).

    Args:
        learning_rate: a number, a 0-d Array or a schedule; see `scale_by_learning_rate`.
        momentum: the part of the last step that is kept.
        dampening: the part of a gradient that momentum leaves out.
        weight_decay: the rate of an L2 penalty.
        nesterov: look ahead along the momentum.

    Raises:
        ValueError: an argument is out of range.

    >>> import neo_array as na
    >>> import neo_optim as optim
    >>> opt, params = optim.sgd(0.1, momentum=0.9), na.asarray([1.0])
    >>> state = opt.init(params)
    >>> for _ in range(2):
    ...     params, state = optim.step(opt, params, na.asarray([1.0]), state)
    >>> round(params.item(), 4), state[1].step.item()
    (0.71, 2)
    """
    return chain(
        add_decayed_weights(weight_decay),
        trace(momentum, dampening=dampening, nesterov=nesterov),
        scale_by_learning_rate(learning_rate),
    )
