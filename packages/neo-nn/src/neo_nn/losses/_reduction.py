"""How a loss combines its examples."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from neo_array import Array, ShapeError, mean, sum

Reduction: TypeAlias = Literal["mean", "sum", "none"]
_REDUCTIONS: Final = get_args(Reduction)


def check_reduction(loss: str, reduction: str) -> None:
    """Refuse what is no reduction."""
    if reduction not in _REDUCTIONS:
        raise ValueError(f'{loss}: reduction must be "mean", "sum" or "none", got {reduction!r}')


def reduce(values: Array, reduction: Reduction) -> Array:
    """Combine a loss per element; the mean of none is nan, as in PyTorch."""
    return mean(values) if reduction == "mean" else sum(values) if reduction == "sum" else values


def check_same_shape(loss: str, prediction: Array, target: Array) -> None:
    """Refuse shapes that merely broadcast: (n, 1) beside (n,) would give n * n differences."""
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{loss}: prediction and target must have the same shape, got {prediction.shape} and {target.shape}; "
            "reshape one of them"
        )
