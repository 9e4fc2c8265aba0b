"""Torch kernels for updates of many arrays at once."""

from __future__ import annotations

from typing import Any

import torch


def add_scaled_each(xs: list[Any], ys: list[Any], *, scale: float) -> None:
    """Add scale * y to each x in place, in one call for all."""
    torch._foreach_add_(xs, ys, alpha=scale)
