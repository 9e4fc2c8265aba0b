"""Unsigned integers of more than 8 bits, which torch stores but hardly computes with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import torch

_SIGNED: Final = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}


def on_bits(kernel: Callable[..., Any], *, values: int = 1) -> Callable[..., Any]:
    """Let a kernel work on the bits of such integers, where it only moves, adds or multiplies: these wrap around alike.

    Its first `values` arguments are of the dtype in question; those that follow are indices.
    """

    @functools.wraps(kernel)
    def call(*raws: Any, **options: Any) -> Any:
        dtype = raws[0].dtype
        signed = _SIGNED.get(dtype)
        if signed is None:
            return kernel(*raws, **options)
        bits = (raw.view(signed) for raw in raws[:values])
        return kernel(*bits, *raws[values:], **options).view(dtype)

    return call
