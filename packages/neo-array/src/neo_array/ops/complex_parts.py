"""Complex numbers and their parts: the real and imaginary part, the conjugate, the angle, the sign.

None of them is holomorphic, so each says what becomes of a tangent dx and of a cotangent g, which are paired as the
real part of the sum of g * dx (no conjugation; JAX's convention). Real arrays are complex numbers without an imaginary
part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neo_array._array import Array
from neo_array._bind import need_arrays
from neo_array._dtypes import DType
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import quiet
from neo_array.ops.arithmetic import abs, where
from neo_array.ops.casting import astype
from neo_array.ops.creation import zeros_like
from neo_array.ops.trigonometric import atan2


def _is_complex(x: Array) -> bool:
    return type(x) is not Array or x.dtype.kind == "c"  # bind refuses what is no Array


@primitive(kind="elementwise")
def conj(x: Array, /) -> Array:
    """Return the complex conjugate; a real array is its own."""
    return bind(conj, x) if _is_complex(x) else x


conj.kernel("numpy")(np.conjugate)
conj.kernel("torch")("torch:conj_physical")  # torch.conj marks a view, which is not what other libraries read
conj.vjp(x=conj)
conj.jvp(conj)


@primitive(kind="elementwise")
def real(x: Array, /) -> Array:
    """Return the real part; a real array is its own."""
    return bind(real, x) if _is_complex(x) else x


real.kernel("numpy", "cupy")(lambda x: x.real.copy())
real.kernel("torch")(lambda x: x.real.clone())
real.jvp(real)


@real.vjp("x")
def _(g: Array, x: DType) -> Array:
    return astype(g, x)


@primitive(kind="elementwise")
def imag(x: Array, /) -> Array:
    """Return the imaginary part; that of a real array is 0."""
    return bind(imag, x) if _is_complex(x) else zeros_like(x)


imag.kernel("numpy", "cupy")(lambda x: x.imag.copy())
imag.kernel("torch")(lambda x: x.imag.clone())
imag.jvp(imag)


@imag.vjp("x")
def _(g: Array, x: DType) -> Array:
    return astype(g, x) * -1j


def angle(x: Array, /) -> Array:
    """Return the angle with the positive real axis, in radians from -pi to pi; that of a negative number is pi.

    It is 0 at 0, and so is its derivative there.
    """
    need_arrays("angle", x)
    return atan2(imag(x), real(x))


@primitive(kind="elementwise")
def complex_sign(x: Array, /) -> Array:
    """Return x / |x| of complex numbers, 0 at 0; its derivative at 0 counts as 0."""
    return bind(complex_sign, x)


@complex_sign.kernel("numpy")
@quiet
def _(x: Any) -> Any:
    return np.where(np.isnan(x), complex(np.nan, np.nan), np.sign(x)).astype(x.dtype, copy=False)


complex_sign.kernel("torch")("neo_array.backends.torch_kernels.arithmetic:complex_sign")


# With s = x / |x|, the tangent is i s Im(conj(s) dx) / |x|: what turns x, without what makes it longer.
@complex_sign.vjp("x")
def _(g: Array, x: Array, out: Array) -> Array:
    return 1j * conj(out) * (imag(g * out) / _size(x))


@complex_sign.jvp
def _(t: Array, x: Array, out: Array) -> Array:
    return 1j * out * (imag(conj(out) * t) / _size(x))


def _size(x: Array) -> Array:
    size = abs(x)
    return where(size == 0, 1.0, size)


# --- Samples ---
@conj.samples
@real.samples
@imag.samples
@complex_sign.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for shape in ((3, 5), (), (0, 2)):
        yield sample(rng.normal(size=shape) + 1j * rng.normal(size=shape))
