"""Derivatives of every op against PyTorch's autograd, first and second, at random cotangents and directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Sample, testing
from tests.neo_array.calls import OPS, Op, calls
from tests.neo_array.devices import HAS_TORCH

if not HAS_TORCH:
    pytest.skip("the oracle is torch, which is not installed", allow_module_level=True)
import torch

from tests.neo_array.torch_rows import ELSEWHERE, TORCH

Tensors = tuple[torch.Tensor, ...]


def floating(outputs: Any) -> Any:
    """Return those outputs that may have derivatives, Arrays or tensors, as a tuple."""
    several = outputs if isinstance(outputs, tuple) else (outputs,)
    return tuple(y for y in several if "float" in str(y.dtype) or "complex" in str(y.dtype))


def like(x: torch.Tensor, rng: np.random.Generator) -> Any:
    values = rng.normal(size=tuple(x.shape))
    return values + 1j * rng.normal(size=values.shape) if x.is_complex() else values


def moved(outputs: Sequence[torch.Tensor], by: Sequence[Any]) -> torch.Tensor:
    """Return the real part of the sum of products, without conjugation."""
    products = [(y * torch.tensor(b)).real.sum() for y, b in zip(outputs, by, strict=True)]
    return torch.stack(products).sum() if products else torch.zeros(())


def slopes(total: torch.Tensor, inputs: Tensors) -> Tensors:
    """Return the gradients: torch's complex ones are the conjugates of ours. What does not depend has zeros."""
    if not total.requires_grad:
        return tuple(torch.zeros_like(x) for x in inputs)
    found = torch.autograd.grad(total, inputs, create_graph=True, materialize_grads=True)
    return tuple(g.conj() for g in found)


def test_every_differentiable_op_has_a_counterpart() -> None:
    assert not TORCH.keys() & ELSEWHERE.keys()
    assert TORCH.keys() | ELSEWHERE.keys() == {op.__name__ for op in OPS if not op.discrete}


@calls(lambda op, s: op.__name__ not in ELSEWHERE and testing.differentiated(op, s))
def test_first_and_second_derivatives_are_torchs(op: Op, s: Sample, device: str) -> None:
    rng = np.random.default_rng(7)
    tensors = [torch.tensor(np.array(a, order="C")) if isinstance(a, np.ndarray | np.generic) else a for a in s.args]
    watched = tuple(tensors[i].requires_grad_() for i in testing.differentiated(op, s))
    expected = floating(TORCH[op.__name__](*tensors, **s.options))
    cotangents = [like(y, rng) for y in expected]
    directions = [like(x, rng) for x in watched]
    first = slopes(moved(expected, cotangents), watched)
    second = slopes(moved(first, directions), watched)

    f, inputs = testing.differentiable(op, s, device=device)
    back = tuple(na.asarray(c, device=str(y.device)) for c, y in zip(cotangents, floating(f(*inputs)), strict=True))

    def gradient(*primals: na.Array) -> tuple[na.Array, ...]:
        found: tuple[na.Array, ...] = nt.vjp(lambda *xs: floating(f(*xs)), *primals)[1](back)
        return found

    arrays = tuple(na.asarray(d, device=device) for d in directions)
    ours = (*gradient(*inputs), *nt.vjp(gradient, *inputs)[1](arrays))
    for got, wanted in zip(ours, (*first, *second), strict=True):
        theirs = wanted.numpy(force=True)
        assert (got.shape, got.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(got.numpy(), theirs, rtol=1e-9, atol=1e-10, equal_nan=False)
