"""Discrete Fourier transforms: the `fft` namespace of the array API standard.

The functions take floating and complex arrays; integers and booleans count as float32. float32 gives complex64, and
complex64 gives float32, on every backend. No backend transforms half precision. With w = exp(-2 pi i / n), a transform
is y[k] = f sum_j x[j] w**(j k), its inverse the same with the conjugate of w; `norm` says which of the two has the
factor f = 1/n: `"backward"` the inverse, `"forward"` the transform itself, `"ortho"` both have its square root.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array, Axis
from neo_array._bind import need_arrays
from neo_array._device import DeviceLike
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import bind
from neo_array.ops.casting import astype
from neo_array.ops.creation import asarray
from neo_array.ops.fourier import Norm as _Norm
from neo_array.ops.fourier import fourier, spectrum, synthesis
from neo_array.ops.joining import concat
from neo_array.ops.reductions import normalize_axes
from neo_array.ops.slicing import cut, paste


# --- One axis ---
def fft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: _Norm = "backward") -> Array:
    """Transform along an axis, cut or padded with zeros to n elements."""
    return _fourier("fft", x, None if n is None else (n,), (axis,), norm, inverse=False)


def ifft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: _Norm = "backward") -> Array:
    """Invert `fft`."""
    return _fourier("ifft", x, None if n is None else (n,), (axis,), norm, inverse=True)


def rfft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: _Norm = "backward") -> Array:
    """Transform real x along an axis; the n // 2 + 1 terms that are not conjugates of others."""
    return _rfft("rfft", x, n, axis, norm, inverse=False)


def irfft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: _Norm = "backward") -> Array:
    """Invert `rfft`. n is the size of the result, 2 * (m - 1) by default; an odd one must be said.

    The imaginary parts of the first term and, for even n, of the last one are ignored: they are 0 in a spectrum.
    """
    return _irfft("irfft", x, n, axis, norm, inverse=True)


def hfft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: _Norm = "backward") -> Array:
    """Transform a signal whose second half is the conjugate of the first, which alone is given: real, of size n."""
    return _irfft("hfft", x, n, axis, norm, inverse=False)


def ihfft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: _Norm = "backward") -> Array:
    """Invert `hfft`."""
    return _rfft("ihfft", x, n, axis, norm, inverse=True)


# --- Several axes ---
def fftn(
    x: Array, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: _Norm = "backward"
) -> Array:
    """Transform along axes (all of them by default), cut or padded with zeros to sizes s, where -1 leaves a size.

    With s but no axes, the last `len(s)` axes are transformed.
    """
    return _fourier("fftn", x, s, axes, norm, inverse=False)


def ifftn(
    x: Array, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: _Norm = "backward"
) -> Array:
    """Invert `fftn`."""
    return _fourier("ifftn", x, s, axes, norm, inverse=True)


def rfftn(
    x: Array, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: _Norm = "backward"
) -> Array:
    """Transform real x along axes: `rfft` along the last one, `fft` along the others."""
    _check("rfftn", x, norm)
    places, sizes = _several("rfftn", x, s, axes)
    half = _rfft("rfftn", x, sizes[-1], places[-1], norm, inverse=False)
    return _fourier("rfftn", half, sizes[:-1], places[:-1], norm, inverse=False) if places[:-1] else half


def irfftn(
    x: Array, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: _Norm = "backward"
) -> Array:
    """Invert `rfftn`. The last of s is the size of the result, 2 * (m - 1) by default; an odd one must be said."""
    _check("irfftn", x, norm)
    places, sizes = _several("irfftn", x, s, axes)
    last = None if s is None or s[-1] == -1 else sizes[-1]
    if places[:-1]:
        x = _fourier("irfftn", x, sizes[:-1], places[:-1], norm, inverse=True)
    return _irfft("irfftn", x, last, places[-1], norm, inverse=True)


# --- Frequencies ---
def fftfreq(n: int, /, *, d: float = 1.0, dtype: object | None = None, device: DeviceLike | None = None) -> Array:
    """Return the frequency of each term of `fft` for n samples at distance d: 0 upwards, then the negative ones."""
    size = _size("fftfreq", n)
    return _frequencies((np.arange(size) + size // 2) % size - size // 2, size, d, dtype, device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: object | None = None, device: DeviceLike | None = None) -> Array:
    """Return the frequency of each term of `rfft` for n samples at distance d."""
    size = _size("rfftfreq", n)
    return _frequencies(np.arange(size // 2 + 1), size, d, dtype, device)


def _frequencies(whole: Any, n: int, d: float, dtype: object | None, device: DeviceLike | None) -> Array:
    kind = _dtypes.float32 if dtype is None else _dtypes.as_dtype(dtype)
    if kind.kind not in "fV":
        raise DTypeError(f"fftfreq: frequencies are real numbers, got dtype {kind}; use na.float32 or na.float64")
    return asarray(whole / (n * d), dtype=kind, device=device)


def fftshift(x: Array, /, *, axes: Axis = None) -> Array:
    """Move the zero frequency from the front to the middle of the axes (all of them by default)."""
    return _rolled("fftshift", x, axes, lambda n: n - n // 2)


def ifftshift(x: Array, /, *, axes: Axis = None) -> Array:
    """Invert `fftshift`: move the middle of the axes to the front."""
    return _rolled("ifftshift", x, axes, lambda n: n // 2)


def _rolled(op: str, x: Array, axes: Axis, start: Any) -> Array:
    need_arrays(op, x)
    for axis in normalize_axes(op, x, axes):
        at = start(x.shape[axis])
        before = (slice(None),) * axis
        parts = [cut(x, index=(*before, part)) for part in (slice(at, None), slice(at))]
        x = concat(parts, axis=axis) if at else x
    return x


# --- Arguments ---
def _fourier(
    op: str, x: Array, s: Sequence[int] | None, axes: Sequence[int] | None, norm: _Norm, *, inverse: bool
) -> Array:
    _check(op, x, norm)
    places, sizes = _several(op, x, s, axes)
    x = x if _dtypes.is_inexact(x.dtype) else astype(x, _dtypes.float32)
    for axis, n in zip(places, sizes, strict=True):
        x = _resized(x, axis, n)
    return bind(fourier, x, axes=places, inverse=inverse, norm=norm) if places else _as_complex(x)


def _rfft(op: str, x: Array, n: int | None, axis: int, norm: _Norm, *, inverse: bool) -> Array:
    _check(op, x, norm)
    if x.dtype.kind == "c":
        raise DTypeError(f"{op}: needs a real array, got dtype {x.dtype}; use fft, or transform x.real")
    x = x if _dtypes.is_inexact(x.dtype) else astype(x, _dtypes.float32)
    ((at,), (size,)) = _several(op, x, None if n is None else (n,), (axis,))
    return bind(spectrum, _resized(x, at, size), axis=at, inverse=inverse, norm=norm)


def _irfft(op: str, x: Array, n: int | None, axis: int, norm: _Norm, *, inverse: bool) -> Array:
    _check(op, x, norm)
    ((at,), (terms,)) = _several(op, x, None, (axis,))
    size = 2 * (terms - 1) if n is None else _size(op, n)
    if size < 1:
        raise ShapeError(f"{op}: one term of shape {x.shape} gives n = 0 values by default; say n=1")
    return bind(synthesis, _resized(_as_complex(x), at, size // 2 + 1), axis=at, n=size, inverse=inverse, norm=norm)


def _as_complex(x: Array) -> Array:
    if x.dtype.kind == "c":
        return x
    return astype(x, _dtypes.complex128 if x.dtype == _dtypes.float64 else _dtypes.complex64)


def _check(op: str, x: Array, norm: object) -> None:
    need_arrays(op, x)
    if x.dtype.name in ("float16", "bfloat16"):
        raise DTypeError(f"{op}: no backend transforms {x.dtype}; write {op}(x.astype(na.float32))")
    if norm not in ("backward", "ortho", "forward"):
        raise ShapeError(f'{op}: norm must be "backward", "ortho" or "forward", got {norm!r}')


def _several(
    op: str, x: Array, s: Sequence[int] | None, axes: Sequence[int] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return which axes to transform, and the size of each."""
    if axes is None:
        axes = range(x.ndim) if s is None else range(x.ndim - len(s), x.ndim)
    places = normalize_axes(op, x, tuple(axes))
    if not places and op in ("rfftn", "irfftn"):
        raise ShapeError(f"{op}: needs at least one axis, got axes={tuple(axes)} for shape {x.shape}")
    if s is not None and len(s) != len(places):
        raise ShapeError(f"{op}: needs one size for each axis, got s={tuple(s)} for axes {tuple(axes)}")
    sizes = tuple(x.shape[a] if s is None or s[i] == -1 else _size(op, s[i]) for i, a in enumerate(places))
    if 0 in sizes:
        empty = places[sizes.index(0)]
        raise ShapeError(f"{op}: nothing to transform along axis {empty} of shape {x.shape}; say n= to pad it")
    return places, sizes


def _size(op: str, n: SupportsIndex) -> int:
    try:
        size = operator.index(n)
    except TypeError:
        raise DTypeError(f"{op}: a size is an integer, got {n!r}") from None
    if size < 1:
        raise ShapeError(f"{op}: sizes must be at least 1, got {size}")
    return size


def _resized(x: Array, axis: int, n: int) -> Array:
    """Cut an axis to n elements, or pad it with zeros."""
    size = x.shape[axis]
    before = (slice(None),) * axis
    if n < size:
        return cut(x, index=(*before, slice(n)))
    if n > size:
        return paste(x, index=(*before, slice(size)), shape=(*x.shape[:axis], n, *x.shape[axis + 1 :]))
    return x
