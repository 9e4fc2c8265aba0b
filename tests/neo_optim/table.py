"""The table that tests run over: every optimizer in its variants, beside PyTorch's, and trees of parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

import neo_array as na
import neo_optim as optim

Host: TypeAlias = npt.NDArray[Any]
Opt: TypeAlias = optim.GradientTransformation


@dataclass(frozen=True)
class Row:
    """One optimizer with some options, ours and PyTorch's."""

    name: str
    ours: Callable[[Any], Opt]
    theirs: Callable[[Sequence[torch.Tensor], float], torch.optim.Optimizer]
    lr: float


ROWS = [
    Row("sgd", lambda lr: optim.sgd(lr), lambda p, lr: torch.optim.SGD(p, lr), 0.1),
    Row(
        "sgd-decay",
        lambda lr: optim.sgd(lr, weight_decay=0.1),
        lambda p, lr: torch.optim.SGD(p, lr, weight_decay=0.1),
        0.1,
    ),
    Row(
        "sgd-momentum",
        lambda lr: optim.sgd(lr, momentum=0.9),
        lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9),
        0.01,
    ),
    Row(
        "sgd-dampening",
        lambda lr: optim.sgd(lr, momentum=0.9, dampening=0.5),
        lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9, dampening=0.5),
        0.01,
    ),
    Row(
        "sgd-nesterov",
        lambda lr: optim.sgd(lr, momentum=0.9, nesterov=True),
        lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9, nesterov=True),
        0.01,
    ),
    Row(
        "sgd-nesterov-decay",
        lambda lr: optim.sgd(lr, momentum=0.8, nesterov=True, weight_decay=0.05),
        lambda p, lr: torch.optim.SGD(p, lr, momentum=0.8, nesterov=True, weight_decay=0.05),
        0.01,
    ),
    Row("adam", lambda lr: optim.adam(lr), lambda p, lr: torch.optim.Adam(p, lr), 1e-3),
    Row(
        "adam-decay",
        lambda lr: optim.adam(lr, weight_decay=0.1),
        lambda p, lr: torch.optim.Adam(p, lr, weight_decay=0.1),
        1e-3,
    ),
    Row(
        "adam-options",
        lambda lr: optim.adam(lr, b1=0.5, b2=0.9, eps=1e-3),
        lambda p, lr: torch.optim.Adam(p, lr, betas=(0.5, 0.9), eps=1e-3),
        1e-2,
    ),
    Row("adamw", lambda lr: optim.adamw(lr), lambda p, lr: torch.optim.AdamW(p, lr), 1e-3),
    Row(
        "adamw-decay",
        lambda lr: optim.adamw(lr, weight_decay=0.1),
        lambda p, lr: torch.optim.AdamW(p, lr, weight_decay=0.1),
        1e-3,
    ),
    Row(
        "adamw-no-decay",
        lambda lr: optim.adamw(lr, weight_decay=0.0),
        lambda p, lr: torch.optim.AdamW(p, lr, weight_decay=0.0),
        1e-3,
    ),
]
NAMES = [row.name for row in ROWS]

SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "mlp": {"w1": (16, 12), "b1": (16,), "w2": (4, 16), "b2": (4,)},
    "0-d": {"scale": ()},
}


def host_values(shapes: str, dtype: str, seed: int) -> dict[str, Host]:
    """Draw one tree of values."""
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.normal(size=shape), dtype) for name, shape in SHAPES[shapes].items()}


def recorded(shapes: str, dtype: str, steps: int) -> list[dict[str, Host]]:
    """Draw the gradients of a run: of changing size, with exact zeros among them."""
    out = []
    for step in range(steps):
        values = host_values(shapes, dtype, step + 1)
        out.append(
            {name: np.where(np.abs(v) < 0.1, 0, v * 2.0 ** (step % 7 - 3)).astype(dtype) for name, v in values.items()}
        )
    return out


def arrays(values: dict[str, Host], device: str) -> dict[str, na.Array]:
    """Move values to a device."""
    return {name: na.asarray(value, device=device) for name, value in values.items()}


def address(array: na.Array) -> int:
    """Return where an Array's memory begins, without exporting it."""
    raw = array._raw
    return int(raw.data_ptr() if isinstance(raw, torch.Tensor) else raw.ctypes.data)


def bits(tree: object) -> list[bytes]:
    """Return the bytes of each leaf."""
    return [np.ascontiguousarray(na.stop_gradient(leaf).numpy()).tobytes() for leaf in na.tree.leaves(tree)]
