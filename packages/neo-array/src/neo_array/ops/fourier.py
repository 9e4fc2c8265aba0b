"""Discrete Fourier transforms, as linear ops.

Three ops do all the work: complex to complex, real to half a spectrum, and half a spectrum to real. `inverse` is the
sign of the exponent, w = exp(-2 pi i / n) or its conjugate, and `norm` the factor in front. Cutting and padding to
other sizes is done before, by ops of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array
from neo_array._batching import batch_by_axis
from neo_array._described import real_part, resized, same
from neo_array._dtypes import DType
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array._rules import Shape
from neo_array.backends.numpy import quiet
from neo_array.ops.casting import astype
from neo_array.ops.creation import asarray

Norm: TypeAlias = Literal["backward", "ortho", "forward"]


# --- Complex to complex ---
@primitive(kind="linear")
def fourier(x: Array, /, *, axes: tuple[int, ...], inverse: bool, norm: Norm) -> Array:
    """Transform along axes: y[k] = f sum_j x[j] w**(j k). Real input counts as complex.

    The matrix w**(j k) is symmetric: without conjugation, the op is its own transpose.
    """
    return bind(fourier, x, axes=axes, inverse=inverse, norm=norm)


# not quiet(np.fft.fftn): `numpy.fft` is imported when it is first asked for
_run: Final = quiet(lambda transform, *args, **options: transform(*args, **options))


@fourier.kernel("numpy")
def _(x: Any, *, axes: tuple[int, ...], inverse: bool, norm: Norm) -> Any:
    return _run(np.fft.ifftn if inverse else np.fft.fftn, x, axes=axes, norm=norm)


fourier.kernel("torch")("neo_array.backends.torch_kernels.fourier:fourier")


@fourier.vjp("x")
def _(g: Array, x: DType, *, axes: tuple[int, ...], inverse: bool, norm: Norm) -> Array:
    return astype(fourier(g, axes=axes, inverse=inverse, norm=norm), x)


# --- Real to half a spectrum, and back ---
@primitive(kind="linear")
def spectrum(x: Array, /, *, axis: int, inverse: bool, norm: Norm) -> Array:
    """Transform real x along an axis, keeping n // 2 + 1 terms: the others are their conjugates."""
    return bind(spectrum, x, axis=axis, inverse=inverse, norm=norm)


@primitive(kind="linear")
def synthesis(x: Array, /, *, axis: int, n: int, inverse: bool, norm: Norm) -> Array:
    """Transform a spectrum of which n // 2 + 1 terms are given to n real values.

    y[j] = f sum_k c[k] Re(x[k] w**(j k)), where c is 2, but 1 for the terms that are their own conjugates: the first,
    and for even n the last. Their imaginary parts count for nothing.
    """
    return bind(synthesis, x, axis=axis, n=n, inverse=inverse, norm=norm)


@spectrum.kernel("numpy")
def _(x: Any, *, axis: int, inverse: bool, norm: Norm) -> Any:
    return _run(np.fft.ihfft if inverse else np.fft.rfft, x, axis=axis, norm=norm)


@synthesis.kernel("numpy")
def _(x: Any, *, axis: int, n: int, inverse: bool, norm: Norm) -> Any:
    return _run(np.fft.irfft if inverse else np.fft.hfft, x, n, axis=axis, norm=norm)


spectrum.kernel("torch")("neo_array.backends.torch_kernels.fourier:spectrum")
synthesis.kernel("torch")("neo_array.backends.torch_kernels.fourier:synthesis")


def _doubled(x: Array, axis: int, n: int, factor: float) -> Array:
    """Multiply the terms that stand for two, themselves and their conjugates, by a factor."""
    factors = np.full(n // 2 + 1, factor)
    factors[0] = 1.0
    if n % 2 == 0:
        factors[-1] = 1.0
    real = _dtypes.float64 if x.dtype == _dtypes.complex128 else _dtypes.float32
    return x * asarray(factors.reshape(-1, *(1,) * (x.ndim - 1 - axis)), dtype=real, device=x.device)


@spectrum.vjp("x")
def _(g: Array, x: Shape, *, axis: int, inverse: bool, norm: Norm) -> Array:
    # Re(sum_k g[k] w**(j k)) over the half: what synthesis computes, without its doubling
    n = x[axis]
    return synthesis(_doubled(g, axis, n, 0.5), axis=axis, n=n, inverse=inverse, norm=norm)


@synthesis.vjp("x")
def _(g: Array, *, axis: int, n: int, inverse: bool, norm: Norm) -> Array:
    return _doubled(spectrum(g, axis=axis, inverse=inverse, norm=norm), axis, n, 2.0)


fourier.batch(batch_by_axis(fourier, "axes"))
spectrum.batch(batch_by_axis(spectrum, "axis"))
synthesis.batch(batch_by_axis(synthesis, "axis"))


# --- Shapes ---
fourier.shape(same)
spectrum.shape(lambda x, *, axis, inverse, norm: resized(x, axis, x[axis] // 2 + 1))
synthesis.shape(lambda x, *, axis, n, inverse, norm: resized(x, axis, n), dtype=real_part)


# --- Samples ---
def _complex(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


@fourier.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(_complex(rng, 5), axes=(0,), inverse=False, norm="backward")
    yield sample(_complex(rng, 5), axes=(0,), inverse=True, norm="backward")
    yield sample(_complex(rng, 2, 4, 3), axes=(1,), inverse=False, norm="ortho")
    yield sample(_complex(rng, 2, 4, 3), axes=(2, 0), inverse=True, norm="forward")
    yield sample(rng.normal(size=(3, 4)), axes=(0, 1), inverse=False, norm="forward")
    yield sample(rng.normal(size=(3, 1)), axes=(1,), inverse=True, norm="backward")
    yield sample(_complex(rng, 3, 4)[::-1, ::2].T, axes=(1,), inverse=False, norm="backward")
    yield sample(_complex(rng, 0, 3), axes=(1,), inverse=False, norm="backward")


@spectrum.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for n in (1, 2, 5, 6):
        yield sample(rng.normal(size=(n,)), axis=0, inverse=False, norm="backward")
    yield sample(rng.normal(size=(2, 4, 3)), axis=1, inverse=True, norm="backward")
    yield sample(rng.normal(size=(2, 5, 3)), axis=1, inverse=True, norm="ortho")
    yield sample(rng.normal(size=(3, 8))[::-1, ::2].T, axis=0, inverse=False, norm="forward")
    yield sample(rng.normal(size=(0, 3)), axis=1, inverse=False, norm="backward")


@synthesis.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for n in (1, 2, 5, 6):
        yield sample(_complex(rng, n // 2 + 1), axis=0, n=n, inverse=True, norm="backward")
    yield sample(_complex(rng, 2, 3, 3), axis=1, n=4, inverse=False, norm="backward")
    yield sample(_complex(rng, 2, 3, 3), axis=1, n=5, inverse=False, norm="ortho")
    yield sample(_complex(rng, 3, 6)[::-1, ::2].T, axis=0, n=4, inverse=True, norm="forward")
    yield sample(_complex(rng, 0, 3), axis=1, n=4, inverse=True, norm="backward")
