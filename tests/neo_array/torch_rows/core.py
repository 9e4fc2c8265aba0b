"""Every differentiable op in torch: products, and the updates of optimizers.

A row takes the op's arguments as tensors of double precision and Python numbers, and its options by keyword. Where
torch has the function, that is the row; where it has not, or has no second derivative of it, another formula.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Row = Callable[..., torch.Tensor | tuple[torch.Tensor, ...]]


def matmul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Promote first, as torch.matmul does not."""
    dtype = torch.promote_types(a.dtype, b.dtype)
    return torch.matmul(a.to(dtype), b.to(dtype))


TORCH: dict[str, Row] = {
    # --- Products ---
    "matmul": matmul,
    # --- Updates ---
    "add_scaled": lambda a, b, *, scale: a + scale * b,
    "add_product": lambda a, b, c: a + b * c,
    "moving_average": lambda a, b, *, decay, weight: decay * a + weight * b,
    "lerp": lambda a, b, *, weight: torch.lerp(a, b, weight),
    "average_square": lambda a, b, *, decay, weight: decay * a + weight * b * b,
    "divide_by_root": lambda a, b, *, root, offset: a / (root * b.sqrt() + offset),
}
