"""Derivatives of every op against PyTorch's autograd, first and second, at random cotangents and directions."""

from __future__ import annotations

from collections.abc import Callable
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

Tensors = Callable[..., torch.Tensor]


def scatter(x: torch.Tensor, indices: torch.Tensor, *, axis: int, size: int) -> torch.Tensor:
    """Write `pile` as a product with a matrix of zeros and ones."""
    places = torch.nn.functional.one_hot(indices.reshape(-1) % size, size).to(x.dtype)
    flat = x.flatten(axis, axis + indices.ndim - 1)
    product: torch.Tensor = torch.tensordot(flat, places, dims=([axis], [0]))
    return product.movedim(-1, axis)


def scatter_along(x: torch.Tensor, indices: torch.Tensor, *, axis: int, size: int) -> torch.Tensor:
    """Write `pile_along` as a sum over one-hot rows."""
    places = torch.nn.functional.one_hot(indices % size, size).to(x.dtype)
    summed: torch.Tensor = (x.unsqueeze(-1) * places).sum(axis)
    return summed.movedim(-1, axis)


def zeros_with(x: torch.Tensor, *, index: Any, shape: tuple[int, ...]) -> torch.Tensor:
    """Write `paste` as a product with the positions that NumPy finds."""
    positions = torch.tensor(np.arange(int(np.prod(shape))).reshape(shape)[index].copy())
    return scatter(x.reshape(-1), positions.reshape(-1), axis=0, size=int(np.prod(shape))).reshape(shape)


def part(x: torch.Tensor, *, index: Any) -> torch.Tensor:
    """Write `cut`, which torch cannot do with negative steps, as a choice of positions."""
    positions = np.arange(x.numel()).reshape(x.shape)[index]
    return x.reshape(-1)[torch.tensor(positions.copy())].reshape(positions.shape)


TORCH: dict[str, Tensors] = {
    "alias": lambda x: x.clone(),
    "add": torch.add,
    "subtract": lambda a, b: a - b,
    "multiply": torch.mul,
    "divide": lambda a, b: a / b,
    "power": lambda a, b: a**b,
    "square": torch.square,
    "negative": torch.neg,
    "abs": torch.abs,
    "maximum": lambda a, b: torch.maximum(torch.as_tensor(a).double(), torch.as_tensor(b).double()),
    "minimum": lambda a, b: torch.minimum(torch.as_tensor(a).double(), torch.as_tensor(b).double()),
    "where": torch.where,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "cast": lambda x, *, dtype: x.to(getattr(torch, dtype.name)),
    "to_device": lambda x, *, device: x.clone(),
    "view": lambda x, *, shape: x.reshape(shape),
    "transpose": lambda x, *, axes: x.permute(axes),
    "matrix_transpose": lambda x: x.mT,
    "expand": lambda x, *, shape: x.expand(shape),
    "join": lambda *xs, axis: torch.cat(xs, axis),
    "reduce_sum": lambda x, *, axis, keepdims: x.sum(axis, keepdim=keepdims),
    "reduce_max": lambda x, *, axis, keepdims: x.amax(axis, keepdim=keepdims),
    "reduce_min": lambda x, *, axis, keepdims: x.amin(axis, keepdim=keepdims),
    "reduce_logsumexp": lambda x, *, axis, keepdims: x.logsumexp(axis, keepdim=keepdims),
    "normalized_exp": lambda x, *, axis: x.softmax(axis),
    "log_normalized": lambda x, *, axis: x.log_softmax(axis),
    "cut": part,
    "paste": zeros_with,
    "pick": lambda x, indices, *, axis: torch.movedim(x, axis, 0)[indices].movedim(
        tuple(range(indices.ndim)), tuple(range(axis, axis + indices.ndim))
    ),
    "pile": scatter,
    "pick_along": lambda x, indices, *, axis: torch.take_along_dim(x, indices % x.shape[axis], axis),
    "pile_along": scatter_along,
    "matmul": torch.matmul,
    "add_scaled": lambda a, b, *, scale: a + scale * b,
    "add_product": lambda a, b, c: a + b * c,
    "moving_average": lambda a, b, *, decay, weight: decay * a + weight * b,
    "lerp": lambda a, b, *, weight: torch.lerp(a, b, weight),
    "average_square": lambda a, b, *, decay, weight: decay * a + weight * b * b,
    "divide_by_root": lambda a, b, *, root, offset: a / (root * b.sqrt() + offset),
}


def test_every_differentiable_op_has_a_counterpart() -> None:
    assert TORCH.keys() == {op.__name__ for op in OPS if not op.discrete}


@calls(testing.differentiated)
def test_first_and_second_derivatives_are_torchs(op: Op, s: Sample, device: str) -> None:
    rng = np.random.default_rng(7)
    wrt = testing.differentiated(op, s)
    tensors = [torch.tensor(np.asarray(a)) if isinstance(a, np.ndarray | np.generic) else a for a in s.args]
    watched = [tensors[i].requires_grad_() for i in wrt]
    expected = TORCH[op.__name__](*tensors, **s.options)
    cotangent = rng.normal(size=tuple(expected.shape))
    directions = [rng.normal(size=tuple(t.shape)) for t in watched]
    slopes = torch.autograd.grad(expected, watched, torch.tensor(cotangent), create_graph=True)
    moving = [(g * torch.tensor(d)).sum() for g, d in zip(slopes, directions, strict=True)]
    total = torch.stack(moving).sum()
    curvatures = (
        torch.autograd.grad(total, watched, materialize_grads=True)
        if total.requires_grad
        else [torch.zeros_like(t) for t in watched]
    )

    f, inputs = testing.differentiable(op, s, device=device)
    arrays = [na.asarray(d, device=device) for d in directions]
    back = na.asarray(cotangent, device=str(f(*inputs).device))

    def gradient(*primals: na.Array) -> tuple[na.Array, ...]:
        found: tuple[na.Array, ...] = nt.vjp(f, *primals)[1](back)
        return found

    first = gradient(*inputs)
    second = nt.vjp(gradient, *inputs)[1](tuple(arrays))
    for got, wanted in zip((*first, *second), (*slopes, *curvatures), strict=True):
        assert got.shape == tuple(wanted.shape)
        np.testing.assert_allclose(got.numpy(), wanted.detach().numpy(force=True), rtol=1e-9, atol=1e-10)
