"""Weight decay: pull the parameters towards 0."""

from __future__ import annotations

from typing import Any, TypeVar

import neo_array as na
from neo_array import Donated
from neo_optim import _leaves
from neo_optim._arguments import at_least_zero
from neo_optim._transformation import EmptyState, GradientTransformation

T = TypeVar("T")


def add_decayed_weights(weight_decay: float, /) -> GradientTransformation[EmptyState]:
    """Add the parameters times a rate to the updates: u -> u + weight_decay * p.

    Before the moments of an optimizer this is the gradient of an L2 penalty; after them it is decoupled weight decay
    (Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101). A rate of 0 changes nothing.

    Raises:
        ValueError: the rate is negative, or `update` got no parameters.
    """
    at_least_zero("add_decayed_weights", weight_decay=weight_decay)

    def init(params: object, /) -> EmptyState:
        return EmptyState()

    def update(
        updates: T, state: EmptyState, params: T | None = None, /, *, donate: Donated | None = None, **extra: Any
    ) -> tuple[T, EmptyState]:
        if weight_decay == 0.0:
            return updates, state
        if params is None:
            raise ValueError(
                "add_decayed_weights: needs the parameters, got None; write opt.update(grads, state, params)"
            )
        treedef, trained, (weights, changes) = _leaves.align("add_decayed_weights", 0, params=params, updates=updates)
        rows = zip(trained, weights, changes, strict=True)
        return na.tree.unflatten(
            treedef, [na.add_scaled(u, p, scale=weight_decay) if t else u for t, p, u in rows]
        ), state

    return GradientTransformation(init, update)
