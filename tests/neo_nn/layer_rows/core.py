"""One row of the table of layers: a layer, PyTorch's counterpart, and inputs at which they must agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import neo_array as na
from neo_array import tree
from neo_array.random import Key

Inputs = tuple[npt.NDArray[Any], ...]
Rename = Callable[[str], str]


def same_name(path: str) -> str:
    return path


@dataclass(frozen=True)
class Row:
    """A layer at one choice of options and input shapes.

    `ours` makes the layer from a key; `theirs` makes PyTorch's module. The layer then gets the module's weights: the
    array at path p is the entry `rename(p)` of the module's state_dict. `call` and `call_torch` say how to call them
    if it is not `layer(*inputs)`; both return one array. Gradients are compared for all weights and floating inputs.
    """

    id: str
    ours: Callable[[Key], Any]
    theirs: Callable[[], torch.nn.Module]
    inputs: Inputs
    call: Callable[..., na.Array] = lambda layer, *inputs: layer(*inputs)
    call_torch: Callable[..., torch.Tensor] = lambda module, *inputs: module(*inputs)
    rename: Rename = same_name
    second: bool = True  # compare second derivatives too
    vmap: bool = True  # map over one more leading axis of the inputs, and compare with a loop


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> npt.NDArray[np.float64]:
    """Return normal numbers of a shape."""
    return np.asarray(np.random.default_rng(seed).normal(scale=scale, size=shape))


def weights_of(layer: Any, module: torch.nn.Module, rename: Rename) -> dict[str, torch.Tensor]:
    """Return the module's tensors by the paths of the layer's arrays, whose shapes they must have."""
    state = module.state_dict()
    found = {}
    for path, leaf in tree.leaves_with_paths(layer):
        tensor = state[rename(path)]
        assert tuple(tensor.shape) == leaf.shape, (path, leaf.shape, tuple(tensor.shape))
        found[path] = tensor
    return found
