"""Every layer of the table against PyTorch: values, gradients of weights and inputs, second derivatives, vmap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import neo_array as na
import neo_tape as nt
from neo_array import tree
from tests.neo_nn.layer_rows import ROWS
from tests.neo_nn.layer_rows.core import Row, weights_of
from tests.neo_nn.oracle import TOLERANCE, assert_agrees

KEY = na.random.key(0)
rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


def test_ids_are_unique() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)


@rows
def test_layer_agrees_with_torch(row: Row, device: str, dtype: str) -> None:
    torch.manual_seed(0)
    module = row.theirs().to(getattr(torch, dtype))
    layer = row.ours(KEY)
    weights = weights_of(layer, module, row.rename)
    treedef = tree.structure(layer)
    names = [row.rename(path) for path in weights]
    count = len(weights)

    def ours(*args: Any) -> Any:
        return row.call(tree.unflatten(treedef, args[:count]), *args[count:])

    def theirs(*args: Any) -> Any:
        # the module itself, with other tensors for its own: call_torch may do more than call it
        with _swapped(module, dict(zip(names, args[:count], strict=True))):
            return row.call_torch(module, *args[count:])

    args = [w.detach().numpy() for w in weights.values()] + list(row.inputs)
    assert_agrees(ours, theirs, args, device=device, dtype=dtype, second=row.second)


class _swapped:
    """Within the block, the module computes with these tensors in place of its own."""

    def __init__(self, module: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> None:
        self.homes: list[tuple[Any, str, Any, torch.Tensor]] = []
        for name, tensor in tensors.items():
            owner, _, attribute = name.rpartition(".")
            home: Any = module.get_submodule(owner)
            kind = home._parameters if attribute in home._parameters else home._buffers
            self.homes.append((kind, attribute, kind[attribute], tensor))

    def __enter__(self) -> None:
        for kind, attribute, _, tensor in self.homes:
            kind[attribute] = tensor

    def __exit__(self, *details: object) -> None:
        for kind, attribute, own, _ in self.homes:
            kind[attribute] = own


@pytest.mark.parametrize("row", [row for row in ROWS if row.vmap], ids=lambda row: row.id)
def test_vmap_of_a_layer_is_a_loop(row: Row, device: str) -> None:
    """Map over examples of the inputs, and over layers: values, and gradients of the layers."""
    layers = [_double(row.ours(key), device) for key in na.random.split(KEY, 3)]
    stacked = tree.tree_map(lambda *xs: na.stack(xs), *layers)
    rng = np.random.default_rng(1)
    batches = [
        na.asarray(np.stack([x + 0.1 * rng.normal(size=x.shape) for _ in range(3)]), device=device)
        if x.dtype.kind == "f"
        else na.asarray(np.stack([x] * 3), device=device)
        for x in row.inputs
    ]

    def run(layer: Any, *inputs: na.Array) -> Any:
        def loss(layer: Any, *inputs: na.Array) -> Any:
            out = row.call(layer, *inputs)
            return na.sum(out * na.cos(out)), out

        ((_, out), gradient) = nt.value_and_grad(loss, has_aux=True)(layer, *inputs)
        return out, gradient

    for mapped, layer in ((0, stacked), (None, layers[0])):
        got = nt.vmap(run, in_axes=(mapped, *(0 for _ in batches)))(layer, *batches)
        alone = [run(layers[i] if mapped == 0 else layer, *(x[i] for x in batches)) for i in range(3)]
        want = tree.tree_map(lambda *xs: na.stack(xs), *alone)
        for (path, a), b in zip(tree.leaves_with_paths(got), tree.leaves(want), strict=True):
            tolerance = TOLERANCE["float64"]
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=tolerance, atol=tolerance, err_msg=path)


def _double(layer: Any, device: str) -> Any:
    return tree.tree_map(lambda x: x.astype(na.float64).to(device) if x.dtype.kind == "f" else x.to(device), layer)
