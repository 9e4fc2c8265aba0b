"""Activations on torch tensors."""

from __future__ import annotations

from typing import Any, Final

import torch

_threshold_backward: Final = torch.ops.aten.threshold_backward.default


def relu_grad(g: Any, y: Any) -> Any:
    """Return g where y is positive, 0 elsewhere, in one kernel."""
    return _threshold_backward(g, y, 0)
