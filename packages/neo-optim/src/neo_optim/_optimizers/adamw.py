"""Adam with decoupled weight decay."""

from __future__ import annotations

from neo_optim._optimizers.adam import AdamState, scale_by_adam
from neo_optim._transformation import GradientTransformation, chain
from neo_optim._transformations.learning_rate import LearningRate, LearningRateState, scale_by_learning_rate


def adamw(
    learning_rate: LearningRate,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> GradientTransformation[tuple[AdamState, LearningRateState]]:
    """Descend like Adam, and decay the weights beside it: `torch.optim.AdamW`, step for step.

    p = p - lr * (scale_by_adam(gradient) + weight_decay * p). The moments do not see the decay (Loshchilov and Hutter,
    2019, https://arxiv.org/abs/1711.05101, algorithm 2).

    Args:
        learning_rate: a number, a 0-d Array or a schedule; see `scale_by_learning_rate`.
        b1: the decay of the first moment.
        b2: the decay of the second moment.
        eps: added to the root, outside of it.
        weight_decay: the rate at which weights shrink, times the learning rate.

    Raises:
        ValueError: an argument is out of range.
    """
    return chain(scale_by_adam(b1=b1, b2=b2, eps=eps), scale_by_learning_rate(learning_rate, weight_decay=weight_decay))
