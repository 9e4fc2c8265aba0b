"""PyTorch as the oracle: values, gradients, directional and second derivatives of a function written twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import neo_array as na
import neo_tape as nt

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


def assert_agrees(
    ours: Callable[..., na.Array],
    theirs: Callable[..., torch.Tensor],
    args: Sequence[npt.NDArray[Any]],
    *,
    device: str,
    dtype: str,
    second: bool = True,
) -> None:
    """Compare two functions of the same arrays, differentiating with respect to every floating one.

    Both get the same random cotangent and direction. `second` also compares the gradient of (gradient . direction).
    """
    rng = np.random.default_rng(0)
    cast = [np.asarray(a, dtype if a.dtype.kind == "f" else a.dtype) for a in args]
    wrt = [i for i, a in enumerate(cast) if a.dtype.kind == "f"]
    directions = [np.asarray(rng.normal(size=cast[i].shape), dtype) for i in wrt]

    tensors = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in cast]
    watched = [tensors[i] for i in wrt]
    expected = theirs(*tensors)
    cotangent = np.asarray(rng.normal(size=tuple(expected.shape)), dtype)
    slopes = torch.autograd.grad(expected, watched, torch.tensor(cotangent), create_graph=second)

    arrays = [na.asarray(a, device=device) for a in cast]

    def f(*chosen: na.Array) -> na.Array:
        merged = list(arrays)
        for i, x in zip(wrt, chosen, strict=True):
            merged[i] = x
        return ours(*merged)

    inputs: Any = tuple(arrays[i] for i in wrt)
    tangents: Any = tuple(na.asarray(d, device=device) for d in directions)
    out, pullback = nt.vjp(f, *inputs)
    gradients: Any = pullback(na.asarray(cotangent, device=device))
    assert str(out.device) == device
    assert_close(out, expected, dtype, "value")
    for i, (mine, other) in enumerate(zip(gradients, slopes, strict=True)):
        assert mine.dtype.name == dtype
        assert_close(mine, other, dtype, f"gradient {wrt[i]}")

    moved = nt.jvp(f, inputs, tangents)[1]
    pushed = float(np.sum(moved.numpy() * cotangent))
    pulled = float(sum(np.sum(g.numpy() * d) for g, d in zip(gradients, directions, strict=True)))
    scale = max(1.0, *(float(np.sum(np.abs(g.numpy() * d))) for g, d in zip(gradients, directions, strict=True)))
    assert abs(pushed - pulled) <= TOLERANCE[dtype] * scale, ("forward mode", pushed, pulled)

    if second:

        def curve(*chosen: na.Array) -> na.Array:
            found: Any = nt.vjp(f, *chosen)[1](na.asarray(cotangent, device=device))
            terms = [na.sum(g * d) for g, d in zip(found, tangents, strict=True)]
            return na.sum(na.stack(terms))

        total = sum((g * torch.tensor(d)).sum() for g, d in zip(slopes, directions, strict=True))
        assert isinstance(total, torch.Tensor)
        # a function linear in an input leaves no graph to it
        seconds = (
            torch.autograd.grad(total, watched, allow_unused=True, materialize_grads=True)
            if total.requires_grad
            else [torch.zeros_like(w) for w in watched]
        )
        curved: Any = nt.grad(curve, list(range(len(wrt))))(*inputs)
        for i, (got, want) in enumerate(zip(curved, seconds, strict=True)):
            assert_close(got, want, dtype, f"second derivative {wrt[i]}", looser=10)


def assert_close(got: na.Array, want: torch.Tensor, dtype: str, what: str, looser: float = 1.0) -> None:
    expected = want.detach().numpy()
    assert got.shape == expected.shape, (what, got.shape, expected.shape)
    tolerance = TOLERANCE[dtype] * looser
    finite = expected[np.isfinite(expected)]
    scale = max(1.0, float(np.max(np.abs(finite), initial=0.0)))
    np.testing.assert_allclose(got.numpy(), expected, rtol=tolerance, atol=tolerance * scale, err_msg=what)
