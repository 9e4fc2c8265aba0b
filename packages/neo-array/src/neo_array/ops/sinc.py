"""The normalised sinc function, with derivatives of every order that are exact at 0 and beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from neo_array._array import Array
from neo_array._bind import need_arrays
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import ordered, quiet


def sinc(x: Array, /) -> Array:
    """Return sin(pi x) / (pi x), 1 at 0; integers become the default float dtype first."""
    need_arrays("sinc", x)
    return bind(nth_sinc, x, n=0)


@primitive(kind="elementwise", floating=True)
def nth_sinc(x: Array, /, *, n: int) -> Array:
    """Return the n-th derivative of sinc."""
    return bind(nth_sinc, x, n=n)


def derivative(library: Any, x: Any, n: int) -> Any:
    """Return the n-th derivative of sinc of raw real numbers; `library` is numpy or torch.

    With t = pi x and s(t) = sin(t) / t, whose n-th derivative is the integral of u**n cos(u t + n pi / 2) over u from
    0 to 1: where |t| is large, the recurrence s_n = (sin(t + n pi / 2) - n s_(n-1)) / t, which loses digits where it is
    not, and there the power series.
    """
    t = math.pi * x
    bound = float(max(n, 1))
    near = library.abs(t) < bound
    small, large = library.where(near, t, 0.0), library.where(near, bound, t)
    sine, cosine = library.sin(large), library.cos(large)
    beyond = sine / large
    for k in range(1, n + 1):
        beyond = ((sine, cosine, -sine, -cosine)[k % 4] - k * beyond) / large
    within = 0.0 * small
    for power in range(n % 2 + 2 * (n + 12), -1, -2):
        sign = (-1) ** ((power + n) // 2)
        within = within * (small * small) + sign / (math.factorial(power) * (n + power + 1))
    within = within * small if n % 2 else within
    return math.pi**n * library.where(near, within, beyond)


@nth_sinc.kernel("numpy")
@ordered
@quiet
def _(x: Any, *, n: int) -> Any:
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    return derivative(np, wide, n).astype(x.dtype, copy=False)


nth_sinc.kernel("torch")("neo_array.backends.torch_kernels.special:sinc")
nth_sinc.vjp("x")(lambda g, x, *, n: g * bind(nth_sinc, x, n=n + 1))


@nth_sinc.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for n in (0, 1, 2, 5):
        yield sample(rng.normal(size=(3, 5)), n=n)
        yield sample(np.array([0.0, -1e-9, 1e-3, 0.3, 1.0, -2.0, 4.5]), n=n)
    yield sample(rng.normal(size=()), n=0)
    yield sample(rng.normal(size=(2, 0)), n=1)
