"""Adam: steps of the size of the learning rate, by running moments."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeVar

import neo_array as na
from neo_array import Array, Donated
from neo_optim import _leaves
from neo_optim._arguments import at_least_zero, in_unit_interval, of_init
from neo_optim._transformation import EmptyState, GradientTransformation, chain
from neo_optim._transformations.learning_rate import LearningRate, LearningRateState, scale_by_learning_rate
from neo_optim._transformations.weight_decay import add_decayed_weights

T = TypeVar("T")


class AdamState(NamedTuple):
    """How many steps were taken, and the running averages of the updates and of their squares, not bias-corrected."""

    step: Array
    mean: object
    square: object


def scale_by_adam(*, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> GradientTransformation[AdamState]:
    """Divide the running average of the updates by the root of that of their squares.

    m = b1 * m + (1 - b1) * u; v = b2 * v + (1 - b2) * u**2; at step t = 1, 2, ... the update is
    (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + eps). Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980, alg. 1.

    Raises:
        ValueError: a decay rate lies outside [0, 1), or eps is negative.
    """
    in_unit_interval("scale_by_adam", b1=b1, b2=b2)
    at_least_zero("scale_by_adam", eps=eps)

    def init(params: object, /) -> AdamState:
        return AdamState(_leaves.first_step(), _leaves.zeros_like(params), _leaves.zeros_like(params))

    def update(
        updates: T, state: AdamState, params: T | None = None, /, *, donate: Donated | None = None, **extra: Any
    ) -> tuple[T, AdamState]:
        of_init("scale_by_adam", state, AdamState)
        treedef, trained, (means, squares, changes) = _leaves.align(
            "scale_by_adam", 2 if donate else 0, mean=state.mean, square=state.square, updates=updates
        )
        t = int(state.step) + 1
        unbias1, unbias2 = 1.0 - b1**t, 1.0 - b2**t
        # (m / unbias1) / (sqrt(v / unbias2) + eps), as one division by root * sqrt(v) + offset
        root, offset = unbias1 / math.sqrt(unbias2), unbias1 * eps
        means = _leaves.run_each(na.lerp, donate, trained, means, changes, weight=1.0 - b1)
        squares = _leaves.run_each(na.average_square, donate, trained, squares, changes, decay=b2, weight=1.0 - b2)
        changes = [
            na.divide_by_root(m, v, root=root, offset=offset) if t else u
            for t, u, m, v in zip(trained, changes, means, squares, strict=True)
        ]
        step = _leaves.next_step(state.step, donate)
        new = AdamState(step, na.tree.unflatten(treedef, means), na.tree.unflatten(treedef, squares))
        return na.tree.unflatten(treedef, changes), new

    return GradientTransformation(init, update)


def adam(
    learning_rate: LearningRate,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> GradientTransformation[tuple[EmptyState, AdamState, LearningRateState]]:
    """Adapt the step of each parameter to its gradients' running moments: `torch.optim.Adam`, step for step.

    g = gradient + weight_decay * p; p = p - lr * scale_by_adam(g). The weight decay is an L2 penalty, which the moments
    see; `adamw` decouples it.

    Args:
        learning_rate: a number, a 0-d Array or a schedule; see `scale_by_learning_rate`.
        b1: the decay of the first moment.
        b2: the decay of the second moment.
        eps: added to the root, outside of it.
        weight_decay: the rate of an L2 penalty.

    Raises:
        ValueError: an argument is out of range.

    >>> import neo_array as na
    >>> import neo_optim as optim
    >>> opt, params = optim.adam(0.1), na.asarray([1.0, -1.0])
    >>> params, state = optim.step(opt, params, na.asarray([20.0, -0.5]), opt.init(params))
    >>> params.numpy()
    array([ 0.9, -0.9], dtype=float32)
    """
    return chain(
        add_decayed_weights(weight_decay), scale_by_adam(b1=b1, b2=b2, eps=eps), scale_by_learning_rate(learning_rate)
    )
