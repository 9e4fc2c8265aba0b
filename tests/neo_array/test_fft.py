"""The fft namespace: against NumPy's in its arguments, and what neither NumPy nor torch says alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device

ONE_AXIS: Final = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
SEVERAL: Final = ["fftn", "ifftn", "rfftn", "irfftn"]
OF_REALS: Final = {"rfft", "ihfft", "rfftn"}
TO_REALS: Final = {"irfft", "hfft", "irfftn"}


def values(name: str, shape: tuple[int, ...], kind: str = "f8") -> Any:
    rng = np.random.default_rng(3)
    real = rng.normal(size=shape)
    if name in OF_REALS:
        return real.astype(kind)
    return (real + 1j * rng.normal(size=shape)).astype({"f4": "c8", "f8": "c16"}[kind])


# --- Values ---
@every_device
@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("n", [None, 1, 4, 5, 6, 7, 12])
@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("name", ONE_AXIS)
def test_one_axis(name: str, axis: int, n: int | None, norm: Any, kind: str, device: str) -> None:
    x = values(name, (5, 6, 4), kind)
    out = getattr(na.fft, name)(na.asarray(x, device=device), n=n, axis=axis, norm=norm)
    expected = getattr(np.fft, name)(x, n=n, axis=axis, norm=norm)
    dtype = {"f4": "float32", "f8": "float64"} if name in TO_REALS else {"f4": "complex64", "f8": "complex128"}
    assert (out.shape, str(out.dtype), str(out.device)) == (expected.shape, dtype[kind], device)
    allowed = (2e-6 if kind == "f4" else 1e-14) * np.abs(expected).max()
    np.testing.assert_allclose(out.numpy(), expected, rtol=0, atol=allowed)


@every_device
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize(
    ("s", "axes"),
    [(None, None), (None, (0,)), (None, (2, 0)), ((4, 7), (0, 1)), ((3, 8, 5), (2, 0, 1)), ((6, -1), (1, -1))],
)
@pytest.mark.parametrize("name", SEVERAL)
def test_several_axes(name: str, s: Any, axes: Any, norm: Any, device: str) -> None:
    x = values(name, (5, 6, 4))
    out = getattr(na.fft, name)(na.asarray(x, device=device), s=s, axes=axes, norm=norm)
    if name == "irfftn" and s is not None and s[-1] == -1:
        s = (*s[:-1], 2 * (x.shape[axes[-1]] - 1))  # where -1 is "as it comes", as in torch
    expected = getattr(np.fft, name)(x, s=s, axes=axes, norm=norm)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out.numpy(), expected, rtol=0, atol=1e-14 * np.abs(expected).max())


@every_device
@pytest.mark.parametrize("name", SEVERAL)
def test_sizes_without_axes_are_those_of_the_last_axes(name: str, device: str) -> None:
    x = na.asarray(values(name, (3, 5, 4)), device=device)
    f = getattr(na.fft, name)
    np.testing.assert_array_equal(f(x, s=(4, 6)).numpy(), f(x, s=(4, 6), axes=(-2, -1)).numpy())


@every_device
@pytest.mark.parametrize(
    ("there", "back"), [("fft", "ifft"), ("rfft", "irfft"), ("ihfft", "hfft"), ("fftn", "ifftn"), ("rfftn", "irfftn")]
)
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("n", [4, 5])
def test_inverses(there: str, back: str, norm: Any, n: int, device: str) -> None:
    x = values(there, (3, n))
    size: dict[str, Any] = {"s": (3, n), "axes": (0, 1)} if there.endswith("n") else {"n": n}
    spectrum = getattr(na.fft, there)(na.asarray(x, device=device), norm=norm)
    np.testing.assert_allclose(getattr(na.fft, back)(spectrum, norm=norm, **size).numpy(), x, rtol=0, atol=1e-14)


@every_device
@pytest.mark.parametrize("name", [*ONE_AXIS, *SEVERAL])
@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint8", "float32", "float64"])
def test_other_dtypes(name: str, dtype: str, device: str) -> None:
    """Integers and booleans count as float32; reals as complex where complex numbers are asked for."""
    x = (np.arange(12).reshape(3, 4) % 5).astype(dtype)
    out = getattr(na.fft, name)(na.asarray(x, device=device))
    with np.errstate(all="ignore"):
        expected = getattr(np.fft, name)(x.astype(np.float64))
    wide = dtype == "float64"
    kinds = ("float64", "float32") if name in TO_REALS else ("complex128", "complex64")
    assert str(out.dtype) == kinds[0 if wide else 1]
    np.testing.assert_allclose(out.numpy(), expected, rtol=0, atol=3e-6 * np.abs(expected).max())


@every_device
@pytest.mark.parametrize("name", ["irfft", "hfft"])
@pytest.mark.parametrize("n", [4, 5])
def test_imaginary_parts_of_self_conjugate_terms_count_for_nothing(name: str, n: int, device: str) -> None:
    x = values(name, (3,))
    changed = x + 1j * np.array([2.0, 0.0, 3.0 if n == 4 else 0.0])
    f = getattr(na.fft, name)
    a, b = (f(na.asarray(v, device=device), n=n).numpy() for v in (x, changed))
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-15)


@every_device
def test_empty_axes_elsewhere(device: str) -> None:
    x = na.zeros((0, 4), device=device)
    assert na.fft.fft(x).shape == (0, 4)
    assert na.fft.rfft(x).shape == (0, 3)
    assert na.fft.irfft(x).shape == (0, 6)
    assert na.fft.fft(na.zeros((3, 0), device=device), n=4).numpy().tolist() == [[0j] * 4] * 3


@every_device
def test_no_axes_leave_a_complex_copy(device: str) -> None:
    x = na.asarray(3.0, device=device)
    assert (na.fft.fftn(x).item(), na.fft.fftn(x).dtype) == (3 + 0j, na.complex64)


@every_device
def test_nan_and_inf_warn_of_nothing(device: str) -> None:
    x = na.asarray([1.0, np.inf, np.nan, 2.0], device=device)
    for name in ONE_AXIS:
        assert not np.isfinite(getattr(na.fft, name)(x).numpy()).all()


# --- Derivatives and batches ---
@every_device
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("n", [None, 3, 4, 7, 8])
@pytest.mark.parametrize("name", ONE_AXIS)
def test_derivatives_with_other_sizes(name: str, n: int | None, norm: Any, device: str) -> None:
    x = na.asarray(values(name, (5, 2)), device=device)
    nt.check_grads(lambda x: getattr(na.fft, name)(x, n=n, axis=0, norm=norm), (x,), order=2)


@pytest.mark.parametrize("s", [None, (4, 7), (6, 3)])
@pytest.mark.parametrize("name", SEVERAL)
def test_derivatives_along_several_axes(name: str, s: Any) -> None:
    x = na.asarray(values(name, (5, 2, 4)))
    nt.check_grads(lambda x: getattr(na.fft, name)(x, s=s, axes=(2, 0)), (x,), order=2)


@pytest.mark.parametrize("name", ["fft", "ifft", "irfft", "hfft", "fftn", "irfftn"])
def test_gradient_of_a_real_input_is_real(name: str) -> None:
    x = na.asarray(values("rfft", (3, 4)))
    f: Callable[[Array], Array] = getattr(na.fft, name)
    out, pullback = nt.vjp(f, x)
    (g,) = pullback(na.asarray(values("rfft" if name in TO_REALS else "fft", out.shape)))
    assert (g.shape, g.dtype) == (x.shape, na.float64)
    nt.check_grads(f, (x,), order=2)


def test_single_precision_stays_in_derivatives() -> None:
    x = na.ones(5)
    g = nt.grad(lambda x: na.sum(na.fft.irfft(na.fft.rfft(x) * na.fft.rfft(x), n=5)))(x)
    assert g.dtype == na.float32
    np.testing.assert_allclose(g.numpy(), 10.0, rtol=1e-6)  # of (sum x)**2, which convolution with itself sums to


def test_gradient_of_the_power_is_parsevals() -> None:
    x = na.asarray(values("rfft", (6,)))
    power = lambda x: na.sum(na.square(na.fft.irfft(na.fft.rfft(x, norm="ortho"), n=6, norm="ortho")))
    np.testing.assert_allclose(nt.grad(power)(x).numpy(), 2 * x.numpy(), rtol=1e-13)


@pytest.mark.parametrize("at", [0, 1, -1])
@pytest.mark.parametrize("name", [*ONE_AXIS, *SEVERAL])
def test_a_batch_is_a_loop(name: str, at: int) -> None:
    x = values(name, (3, 4, 3))
    options: dict[str, Any] = {"s": (5, 2), "axes": (1, 0)} if name in SEVERAL else {"n": 5, "axis": 0}
    f = getattr(na.fft, name)
    out = nt.vmap(lambda x: f(x, **options), in_axes=at)(na.asarray(x))
    for i in range(x.shape[at]):
        np.testing.assert_allclose(out.numpy()[i], f(na.asarray(np.take(x, i, at)), **options).numpy(), atol=1e-14)


# --- Frequencies ---
@every_device
@pytest.mark.parametrize("n", [1, 2, 5, 8, 9])
def test_frequencies(n: int, device: str) -> None:
    for name in ("fftfreq", "rfftfreq"):
        f = getattr(na.fft, name)
        out = f(n, d=0.3, device=device)
        assert (out.dtype, str(out.device)) == (na.float32, device)
        expected = getattr(np.fft, name)(n, 0.3)
        np.testing.assert_allclose(out.numpy(), expected, rtol=1e-6)
        np.testing.assert_allclose(f(n, d=0.3, dtype=na.float64).numpy(), expected, rtol=1e-15)
        np.testing.assert_allclose(f(n).numpy(), getattr(np.fft, name)(n), rtol=1e-6)


@every_device
@pytest.mark.parametrize("axes", [None, 0, -1, (0, 1), (1,), ()])
@pytest.mark.parametrize("dtype", ["float64", "complex64", "int32", "bool"])
def test_shifts(axes: Any, dtype: str, device: str) -> None:
    x = (np.arange(30).reshape(5, 6) % 7).astype(dtype)
    a = na.asarray(x, device=device)
    for name in ("fftshift", "ifftshift"):
        out = getattr(na.fft, name)(a, axes=axes)
        assert out.dtype == a.dtype
        np.testing.assert_array_equal(out.numpy(), getattr(np.fft, name)(x, axes=axes))
    np.testing.assert_array_equal(na.fft.ifftshift(na.fft.fftshift(a, axes=axes), axes=axes).numpy(), x)


def test_shifts_of_small_arrays() -> None:
    for shape in ((), (0,), (1,), (2, 0)):
        assert na.fft.fftshift(na.zeros(shape)).shape == na.fft.ifftshift(na.zeros(shape)).shape == shape


def test_derivatives_of_shifts() -> None:
    x = na.asarray(values("rfft", (5, 4)))
    nt.check_grads(lambda x: na.fft.fftshift(x), (x,))
    nt.check_grads(lambda x: na.fft.ifftshift(x, axes=0), (x,))


# --- Errors ---
wrong: Final[Any] = na.fft  # as someone without a type checker may call it
X: Final = na.ones((3, 4))
C: Final = na.ones((3, 4), dtype=na.complex64)


@every_device
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", [*ONE_AXIS, *SEVERAL])
def test_half_precision_is_refused(name: str, dtype: str, device: str) -> None:
    x = na.ones(4, device=device).astype(dtype)
    with pytest.raises(na.DTypeError, match=rf"{name}: no backend transforms {dtype}; write {name}\(x.astype"):
        getattr(na.fft, name)(x)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: na.fft.rfft(C), na.DTypeError, "rfft: needs a real array, got dtype complex64"),
        (lambda: na.fft.ihfft(C), na.DTypeError, "ihfft: needs a real array"),
        (lambda: na.fft.rfftn(C), na.DTypeError, "rfftn: needs a real array"),
        (lambda: wrong.fft(X, norm="half"), na.ShapeError, 'fft: norm must be "backward".*"half"|\'half\''),
        (lambda: na.fft.fft(X, n=0), na.ShapeError, "fft: sizes must be at least 1, got 0"),
        (lambda: wrong.fft(X, n=2.5), na.DTypeError, "fft: a size is an integer, got 2.5"),
        (lambda: na.fft.fft(X, axis=2), na.ShapeError, r"fft: axis 2 is out of range for shape \(3, 4\)"),
        (lambda: na.fft.fft(na.ones(())), na.ShapeError, "fft: axis"),
        (lambda: na.fft.fft(na.ones((3, 0))), na.ShapeError, r"fft: nothing to transform along axis 1 .*\(3, 0\)"),
        (lambda: na.fft.irfft(na.ones((3, 1))), na.ShapeError, "irfft: one term .* say n=1"),
        (lambda: na.fft.fftn(X, s=(2,), axes=(0, 1)), na.ShapeError, "fftn: needs one size for each axis"),
        (lambda: na.fft.fftn(X, axes=(0, -2)), na.ShapeError, "fftn: ax.* twice"),
        (lambda: na.fft.rfftn(X, axes=()), na.ShapeError, "rfftn: needs at least one axis"),
        (lambda: na.fft.irfftn(na.ones(())), na.ShapeError, "irfftn: needs at least one axis"),
        (lambda: wrong.fft([1.0]), na.DTypeError, "fft: needs an Array, got list"),
        (lambda: wrong.fftshift(np.ones(3)), na.DTypeError, "fftshift: needs an Array, got ndarray"),
        (lambda: na.fft.fftshift(X, axes=3), na.ShapeError, "fftshift: axis 3 is out of range"),
        (lambda: na.fft.fftfreq(0), na.ShapeError, "fftfreq: sizes must be at least 1, got 0"),
        (lambda: na.fft.rfftfreq(4, dtype=na.int32), na.DTypeError, "fftfreq: frequencies are real numbers"),
    ],
)
def test_errors(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
