"""Softmax and its logarithm, stable for large inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neo_array._array import Array, Axis
from neo_array._batching import batch_by_axis
from neo_array._bind import need_arrays
from neo_array._described import reduced, same
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import quiet
from neo_array.ops.exponential import exp
from neo_array.ops.reductions import along_axes, keep_axes, normalize_axes, sum
from neo_array.ops.shaping import normalize_axis

_Axes = tuple[int, ...]


def _in_float32(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Compute half precision in float32 (a sum of 70,000 ones overflows float16), and complex numbers not at all."""

    def call(x: Any, **options: Any) -> Any:
        if x.dtype.kind == "c":
            raise TypeError
        if x.dtype.itemsize != 2:
            return kernel(x, **options)
        return kernel(x.astype(np.float32), **options).astype(x.dtype)

    return call


def _maximum(x: Any, axis: Any) -> Any:
    """Return the maximum, -inf over no elements; CuPy's knows no initial value."""
    if x.size:
        return x.max(axis=axis, keepdims=True)
    axes = axis if isinstance(axis, tuple) else (axis,)
    return np.full_like(x, -np.inf, shape=tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _highest(x: Any, axis: Any) -> Any:
    """Return the maximum to subtract before exp, 0 where it is infinite."""
    high = _maximum(x, axis)
    return np.where(np.isfinite(high), high, 0)


# --- logsumexp ---
@primitive(floating=True)
def reduce_logsumexp(x: Array, /, *, axis: _Axes, keepdims: bool) -> Array:
    """Return log(sum(exp(x))) over axes."""
    return bind(reduce_logsumexp, x, axis=axis, keepdims=keepdims)


@reduce_logsumexp.kernel("numpy")
@_in_float32
@quiet
def _(x: Any, *, axis: _Axes, keepdims: bool) -> Any:
    high = _highest(x, axis)
    out = np.log(np.exp(x - high).sum(axis=axis, keepdims=True)) + high
    return (out if keepdims else np.squeeze(out, axis=axis)).astype(x.dtype, copy=False)


reduce_logsumexp.kernel("torch")("neo_array.backends.torch_kernels.softmax:logsumexp")


def _weights(x: Array, axis: _Axes) -> Array:
    """Return exp(x - logsumexp(x)), which is that only on paper: for large x the difference has lost its digits."""
    return along_axes(lambda flat, at: bind(normalized_exp, flat, axis=at), x, axis)


@reduce_logsumexp.vjp("x")
def _(g: Array, x: Array, *, axis: _Axes) -> Array:
    return keep_axes(g, x.shape, axis) * _weights(x, axis)


@reduce_logsumexp.jvp
def _(t: Array, x: Array, *, axis: _Axes, keepdims: bool) -> Array:
    return sum(t * _weights(x, axis), axis=axis, keepdims=keepdims)


def logsumexp(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return log(sum(exp(x))) over axes (all by default), without overflow; -inf over no elements.

    Over nothing but -inf it is -inf, and its derivatives are nan: mask such rows with `where`.
    """
    need_arrays("logsumexp", x)
    return bind(reduce_logsumexp, x, axis=normalize_axes("logsumexp", x, axis), keepdims=keepdims)


# --- softmax ---
@primitive(floating=True)
def normalized_exp(x: Array, /, *, axis: int) -> Array:
    """Return exp(x) / sum(exp(x)) along an axis."""
    return bind(normalized_exp, x, axis=axis)


@normalized_exp.kernel("numpy")
@_in_float32
@quiet
def _(x: Any, *, axis: int) -> Any:
    e = np.exp(x - _maximum(x, axis))
    e /= e.sum(axis=axis, keepdims=True)
    return e


normalized_exp.kernel("torch")("neo_array.backends.torch_kernels.softmax:softmax")


@normalized_exp.vjp("x")
def _(g: Array, out: Array, *, axis: int) -> Array:
    return out * (g - sum(g * out, axis=axis, keepdims=True))


@normalized_exp.jvp
def _(t: Array, out: Array, *, axis: int) -> Array:
    return out * (t - sum(t * out, axis=axis, keepdims=True))


def softmax(x: Array, /, *, axis: int = -1) -> Array:
    """Return exp(x) / sum(exp(x)) along an axis, without overflow; nan along an axis of -inf alone, or with inf."""
    need_arrays("softmax", x)
    return bind(normalized_exp, x, axis=normalize_axis("softmax", x, axis))


# --- log_softmax ---
@primitive(floating=True)
def log_normalized(x: Array, /, *, axis: int) -> Array:
    """Return x - logsumexp(x) along an axis."""
    return bind(log_normalized, x, axis=axis)


@log_normalized.kernel("numpy")
@_in_float32
@quiet
def _(x: Any, *, axis: int) -> Any:
    shifted = x - _maximum(x, axis)
    shifted -= np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return shifted


log_normalized.kernel("torch")("neo_array.backends.torch_kernels.softmax:log_softmax")


@log_normalized.vjp("x")
def _(g: Array, out: Array, *, axis: int) -> Array:
    return g - exp(out) * sum(g, axis=axis, keepdims=True)


@log_normalized.jvp
def _(t: Array, out: Array, *, axis: int) -> Array:
    return t - sum(exp(out) * t, axis=axis, keepdims=True)


def log_softmax(x: Array, /, *, axis: int = -1) -> Array:
    """Return x - logsumexp(x) along an axis, without overflow: exact for logits of 1e4."""
    need_arrays("log_softmax", x)
    return bind(log_normalized, x, axis=normalize_axis("log_softmax", x, axis))


for _op in (reduce_logsumexp, normalized_exp, log_normalized):
    _op.batch(batch_by_axis(_op, "axis"))


# --- Shapes ---
reduce_logsumexp.shape(reduced)
normalized_exp.shape(same)
log_normalized.shape(same)


# --- Samples ---
@reduce_logsumexp.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), axis=(1,), keepdims=False)
    yield sample(rng.normal(size=(2, 3, 5)), axis=(0, 2), keepdims=True)
    yield sample(np.array([1e4, 1e4 - 1, -1e4]), axis=(0,), keepdims=False)
    yield sample(rng.normal(size=()), axis=(), keepdims=False)
    yield sample(rng.normal(size=(0, 3)), axis=(1,), keepdims=False)


@normalized_exp.samples
@log_normalized.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), axis=1)
    yield sample(rng.normal(size=(2, 3, 5)), axis=0)
    yield sample(np.array([1e4, 1e4 - 1, -1e4]), axis=0)
    yield sample(rng.normal(size=(0, 3)), axis=1)
    yield sample(rng.normal(size=(3, 0)), axis=1)
