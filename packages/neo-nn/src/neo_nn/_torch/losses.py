"""Losses on torch tensors."""

from __future__ import annotations

import functools
from typing import Any, Final

import torch

from neo_nn._torch.linear import rows

_cross_entropy: Final = torch.nn.functional.cross_entropy
# PyTorch has to ignore some label; -100, its default, could be a mistake. This one comes from no cast and no overflow.
_nll_backward: Final = torch.ops.aten.nll_loss_backward.default
_REDUCTIONS: Final = {"none": 0, "mean": 1, "sum": 2}  # of ATen
_IGNORED: Final = -(2**62) - 1


def softmax_cross_entropy(logits: Any, labels: Any, *, reduction: str) -> Any:
    """Return -log_softmax(logits) at the labels; torch checks on the CPU that they are in range."""
    if labels.shape != logits.shape[:-1]:
        raise ValueError
    if logits.ndim == 2:
        return _cross_entropy(logits, labels, ignore_index=_IGNORED, reduction=reduction)
    loss = _cross_entropy(rows(logits), labels.reshape(-1), ignore_index=_IGNORED, reduction=reduction)
    return loss.reshape(labels.shape) if reduction == "none" else loss


def cross_entropy_grad(g: Any, logits: Any, labels: Any, *, reduction: str) -> Any:
    """Return g * (softmax(logits) - one_hot(labels)), over the number of examples for the mean."""
    matrix, at = rows(logits), labels.reshape(-1)
    count = at.numel() if reduction == "mean" else 1
    flat = g.reshape(-1) if reduction == "none" else g
    at_label = _nll_backward(
        flat, matrix, at, None, _REDUCTIONS[reduction], _IGNORED, _total_weight(count, g.dtype, g.device)
    )
    scale = flat.unsqueeze(-1) if reduction == "none" else g
    return at_label.addcmul_(matrix.softmax(-1), scale, value=1 / count if count else 1.0).reshape(logits.shape)


@functools.lru_cache(maxsize=256)
def _total_weight(count: int, dtype: torch.dtype, device: torch.device) -> Any:
    return torch.full((), count, dtype=dtype, device=device)


def logistic_loss(x: Any, y: Any) -> Any:
    """Return max(x, 0) - x * y + log1p(exp(-abs(x)))."""
    return torch.relu(x).sub_(x * y).add_(x.abs().neg_().exp_().log1p_())
