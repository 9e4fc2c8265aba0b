"""Element-wise functions: dtypes, integers, bounds, tolerances, wrong uses."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device

INF, NAN = math.inf, math.nan
HALVES = ("float16", *(["bfloat16"] if find_spec("ml_dtypes") else []))
FLOATS = (*HALVES, "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8")
COMPLEX = ("complex64", "complex128")
ALL = ("bool", *INTEGERS, *FLOATS, *COMPLEX)

# --- dtypes: what each function takes, and what integers become ---
FLOATING = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "reciprocal"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
)
REAL_FLOATING = ("erf", "erfc", "erfinv", "gammaln", "digamma", "sinc")
REAL_FLOATING_PAIRS = ("atan2", "hypot", "logaddexp", "copysign", "nextafter", "xlogy")
KEEPING = ("ceil", "floor", "trunc")
KEEPING_PAIRS = ("floor_divide", "remainder")


def array(dtype: str, device: str, values: Any = (1, 1)) -> Array:
    return na.asarray(np.array(values, np.float64), device=device).astype(dtype)


def result(name: str, count: int, dtype: str, device: str) -> Array | None:
    """Return what a function gives for ones of a dtype, None if it refuses them by saying so."""
    try:
        out: Array = getattr(na, name)(*[array(dtype, device)] * count)
    except na.DTypeError:
        return None
    assert out.shape == (2,)
    return out


@every_device
@pytest.mark.parametrize("name", [*FLOATING, *REAL_FLOATING, *REAL_FLOATING_PAIRS])
def test_floating_functions_keep_floats_and_make_float32_of_integers(name: str, device: str) -> None:
    count = 2 if name in REAL_FLOATING_PAIRS else 1
    for dtype in ALL:
        out = result(name, count, dtype, device)
        if dtype in COMPLEX and name not in FLOATING:
            assert out is None, dtype
        else:
            assert out is not None, dtype
            assert out.dtype == (na.float32 if dtype in ("bool", *INTEGERS) else array(dtype, device).dtype)


@every_device
@pytest.mark.parametrize("name", [*KEEPING, *KEEPING_PAIRS])
def test_rounding_and_division_keep_the_dtype(name: str, device: str) -> None:
    for dtype in ALL:
        out = result(name, 2 if name in KEEPING_PAIRS else 1, dtype, device)
        if dtype in ("bool", *COMPLEX):
            assert out is None, dtype
        else:
            assert out is not None, dtype
            assert out.dtype == array(dtype, device).dtype
            np.testing.assert_array_equal(out.astype("float64").numpy(), 0 if name == "remainder" else 1)


@every_device
def test_round_keeps_every_numeric_dtype(device: str) -> None:
    for dtype in (*INTEGERS, *FLOATS, *COMPLEX):
        assert na.round(array(dtype, device)).dtype == array(dtype, device).dtype
    with pytest.raises(na.DTypeError, match="round"):
        na.round(array("bool", device))
    halves = na.asarray(np.array([0.5 + 1.5j, -2.5 - 0.5j]), device=device)
    np.testing.assert_array_equal(na.round(halves).numpy(), [2j, -2])


@every_device
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", [*FLOATING, *REAL_FLOATING])
def test_half_precision_is_as_exact_as_it_can_be(name: str, dtype: str, device: str) -> None:
    values = [1.125, 1.5, 2.25] if name == "acosh" else [0.125, 0.375, 0.75]
    exact = getattr(na, name)(array("float64", "numpy", values)).numpy()
    got = getattr(na, name)(array(dtype, device, values)).astype("float64").numpy()
    np.testing.assert_allclose(got, exact, rtol=2**-10 if dtype == "float16" else 2**-7)


@every_device
def test_mixed_dtypes_promote_and_numbers_are_weak(device: str) -> None:
    half, double, whole = (array(d, device, [3, 5]) for d in ("float16", "float64", "int64"))
    assert na.atan2(half, double).dtype == na.float64
    assert na.remainder(half, whole).dtype == na.float16
    assert na.hypot(half, 2.0).dtype == na.copysign(-1, half).dtype == na.xlogy(0.5, half).dtype == na.float16
    assert na.floor_divide(whole, 2).dtype == na.int64
    assert na.floor_divide(whole, 2.0).dtype == na.float32
    assert na.clip(half, 0, 4.0).dtype == na.float16
    assert na.hypot(3, 4).item() == 5.0


# --- Integers ---
@every_device
def test_integer_division_rounds_down_and_the_remainder_has_the_divisors_sign(device: str) -> None:
    pairs = [(a, b) for a in range(-7, 8) for b in (-4, -3, -1, 1, 2, 5)]
    x1, x2 = (na.asarray(np.array(column), device=device) for column in zip(*pairs, strict=True))
    np.testing.assert_array_equal((x1 // x2).numpy(), [a // b for a, b in pairs])
    np.testing.assert_array_equal((x1 % x2).numpy(), [a % b for a, b in pairs])


@every_device
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_the_smallest_integer_over_minus_one_wraps_around(dtype: str, device: str) -> None:
    least = na.asarray(np.array([np.iinfo(dtype).min], dtype), device=device)
    assert (least // -1).item() == np.iinfo(dtype).min
    assert (least % -1).item() == 0


@every_device
@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8"])
@pytest.mark.parametrize("f", [operator.floordiv, operator.mod])
def test_integer_division_by_zero_raises(f: Callable[[Any, Any], Array], dtype: str, device: str) -> None:
    x, zeros = array(dtype, device, [4, 5]), array(dtype, device, [0, 1])
    name = "floor_divide" if f is operator.floordiv else "remainder"
    for a, b in ((x, zeros), (x, 0), (7, zeros)):
        with pytest.raises(na.DivisionError, match=rf"{name}: integer division by zero; write where"):
            f(a, b)
    with pytest.raises(ZeroDivisionError):
        f(x, 0)
    assert f(x[:0], zeros[:0]).shape == (0,)


@every_device
def test_shifts(device: str) -> None:
    x, n = np.array([-9, -1, 0, 5, 100]), np.array([0, 1, 3, 62, 63])
    a, b = na.asarray(x, device=device), na.asarray(n, device=device)
    np.testing.assert_array_equal((a << b).numpy(), x << n)
    np.testing.assert_array_equal((a >> b).numpy(), x >> n)
    np.testing.assert_array_equal((3 << b[:3]).numpy(), [3, 6, 24])
    np.testing.assert_array_equal((100 >> b[:3]).numpy(), [100, 50, 12])
    wide = na.asarray(np.array([64, 70]), device=device)  # all bits are gone, or all are the sign
    np.testing.assert_array_equal((a[:2] << wide).numpy(), [0, 0])
    np.testing.assert_array_equal((a[:2] >> wide).numpy(), [-1, -1])


@every_device
def test_operators_are_the_functions(device: str) -> None:
    x, y = array("float64", device, [7.5, -7.5]), array("float64", device, [2.0, 2.0])
    np.testing.assert_array_equal((x // y).numpy(), [3, -4])
    np.testing.assert_array_equal((x % y).numpy(), [1.5, 0.5])
    np.testing.assert_array_equal((7 // y).numpy(), [3, 3])
    np.testing.assert_array_equal((7 % y).numpy(), [1, 1])
    z = x
    z //= y
    z %= 2
    np.testing.assert_array_equal(z.numpy(), [1, 0])
    np.testing.assert_array_equal(x.numpy(), [7.5, -7.5])
    n = array("int64", device, [6, 5])
    n <<= 2
    n >>= 1
    np.testing.assert_array_equal(n.numpy(), [12, 10])


# --- Wrong uses ---
WRONG: dict[str, tuple[str, Callable[[Array], object]]] = {
    "shift of floats": (r"needs integers, got dtype float32", lambda x: x << 1),
    "shift of booleans": (r"needs integers, got dtype bool", lambda x: (x > 0) >> (x > 0)),
    "bits of floats": (r"needs integers or booleans, got dtype float32", lambda x: x & x),
    "remainder of booleans": ("remainder", lambda x: (x > 0) % (x > 0)),
    "floor of a complex number": ("floor", lambda x: na.floor(x + 1j)),
    "remainder of a complex number": ("remainder", lambda x: (x + 1j) % 2),
    "clip of a complex number": ("maximum", lambda x: na.clip(x + 1j, 0, 1)),
    "erf of a complex number": ("erf", lambda x: na.erf(x + 1j)),
    "order of polygamma": ("polygamma: the order must be .* got -1", lambda x: na.polygamma(-1, x)),
    "float order": ("polygamma: the order", lambda x: na.polygamma(1.0, x)),  # type: ignore[arg-type]
    "polygamma, swapped": ("polygamma", lambda x: na.polygamma(x, 1)),  # type: ignore[arg-type]
    "list": ("got list; wrap it", lambda x: na.clip([1.0], 0, 1)),  # type: ignore[arg-type]
    "bound": ("maximum: argument x2 .* got str", lambda x: na.clip(x, "a")),  # type: ignore[arg-type]
    "list to erf": ("got list; wrap it", lambda x: na.erf([1.0])),  # type: ignore[arg-type]
    "list to real": ("got list; wrap it", lambda x: na.real([1.0])),  # type: ignore[arg-type]
    "list to angle": ("got list; wrap it", lambda x: na.angle([1.0])),  # type: ignore[arg-type]
}


@every_device
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_use_is_explained(case: str, device: str) -> None:
    message, attempt = WRONG[case]
    with pytest.raises(na.DTypeError, match=message):
        attempt(na.ones(2, device=device))


# --- clip ---
@every_device
def test_clip(device: str) -> None:
    x = na.asarray(np.array([-2.0, -0.5, 0.5, 2.0, NAN, INF]), device=device)
    np.testing.assert_array_equal(na.clip(x, -1, 1).numpy(), [-1, -0.5, 0.5, 1, NAN, 1])
    np.testing.assert_array_equal(na.clip(x, min=0.0).numpy(), [0, 0, 0.5, 2, NAN, INF])
    np.testing.assert_array_equal(na.clip(x, max=0.0).numpy(), [-2, -0.5, 0, 0, NAN, 0])
    np.testing.assert_array_equal(na.clip(x, 2, 1).numpy(), [1, 1, 1, 1, NAN, 1])
    assert na.clip(x) is x
    low = na.asarray(np.array([[-1.0], [0.0]]), device=device)
    assert na.clip(x, low, 1.0).shape == (2, 6)
    np.testing.assert_array_equal(na.clip(x, low, 1.0).numpy()[1, :4], [0, 0, 0.5, 1])
    integers = na.asarray(np.array([-5, 0, 5], np.int8), device=device)
    assert na.clip(integers, -1, 3).dtype == na.int8
    np.testing.assert_array_equal(na.clip(integers, -1, 3).numpy(), [-1, 0, 3])
    assert na.clip(x[:0], 0.0, 1.0).shape == (0,)
    assert na.clip(x[0], 0.0).shape == ()


@every_device
def test_clip_is_differentiable_in_its_bounds_and_shares_ties(device: str) -> None:
    x = na.asarray(np.array([-2.0, 0.0, 0.5, 1.0, 3.0]), device=device)
    low, high = na.asarray(0.0, dtype=na.float64, device=device), na.asarray(1.0, dtype=na.float64, device=device)
    gx, gl, gh = nt.grad(lambda a, b, c: na.clip(a, b, c).sum(), (0, 1, 2))(x, low, high)
    np.testing.assert_array_equal(gx.numpy(), [0, 0.5, 1, 0.5, 0])
    assert gl.item() == 1.5
    assert gh.item() == 1.5
    nt.check_grads(lambda a, b, c: na.clip(a, b, c), (x + 0.1, low, high))


# --- isclose ---
@every_device
@pytest.mark.parametrize("equal_nan", [False, True])
def test_isclose_is_numpys(equal_nan: bool, device: str) -> None:
    values = np.array([0.0, 1e-9, 1.0, 1 + 1e-6, 1.1, 1e10, 1.00001e10, INF, -INF, NAN])
    x1, x2 = np.meshgrid(values, values)
    a, b = na.asarray(x1, device=device), na.asarray(x2, device=device)
    got = na.isclose(a, b, equal_nan=equal_nan)
    assert got.dtype == na.bool
    np.testing.assert_array_equal(got.numpy(), np.isclose(x1, x2, equal_nan=equal_nan))
    loose = na.isclose(a, b, rtol=0.2, atol=0.5)
    np.testing.assert_array_equal(loose.numpy(), np.isclose(x1, x2, rtol=0.2, atol=0.5))
    assert na.allclose(a, a, equal_nan=equal_nan).item() is equal_nan
    assert na.allclose(a[:0], b[:0]).item() is True


@every_device
def test_isclose_of_other_dtypes_and_numbers(device: str) -> None:
    bytes_ = na.asarray(np.array([0, 255], np.uint8), device=device)
    np.testing.assert_array_equal(na.isclose(bytes_, na.zeros(2, dtype=na.uint8, device=device)).numpy(), [True, False])
    np.testing.assert_array_equal(na.isclose(bytes_ > 0, True).numpy(), [False, True])
    np.testing.assert_array_equal(na.isclose(0.0, bytes_).numpy(), [True, False])
    z = na.asarray(np.array([1 + 1j, complex(NAN, 0), complex(INF, 1)]), device=device)
    np.testing.assert_array_equal(na.isclose(z, z).numpy(), [True, False, True])
    np.testing.assert_array_equal(na.isclose(z, z + 1e-9j).numpy(), [True, False, False])
    np.testing.assert_array_equal(na.isclose(z, z, equal_nan=True).numpy(), [True, True, True])
    half = na.asarray(np.array([1.0, 2.0], np.float16), device=device)
    np.testing.assert_array_equal(na.isclose(half, half + 1e-3, rtol=1e-2).numpy(), [True, True])


# --- nan_to_num ---
@every_device
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_nan_to_num_is_numpys(dtype: str, device: str) -> None:
    values = np.array([NAN, INF, -INF, -0.0, 1.5], dtype)
    x = na.asarray(values, device=device)
    np.testing.assert_array_equal(na.nan_to_num(x).numpy(), np.nan_to_num(values))
    given = na.nan_to_num(x, nan=7.0, posinf=8.0, neginf=-9.0)
    np.testing.assert_array_equal(given.numpy(), np.nan_to_num(values, nan=7.0, posinf=8.0, neginf=-9.0))
    assert na.nan_to_num(x).dtype == x.dtype


@every_device
def test_nan_to_num_of_other_dtypes(device: str) -> None:
    integers = na.asarray([1, 2], device=device)
    assert na.nan_to_num(integers) is integers
    z = np.array([complex(NAN, 1), complex(2, -INF), 3 + 4j])
    got = na.nan_to_num(na.asarray(z, device=device), neginf=-5.0).numpy()
    np.testing.assert_array_equal(got, [1j, 2 - 5j, 3 + 4j])


@pytest.mark.skipif(not find_spec("ml_dtypes"), reason="bfloat16 on NumPy is ml_dtypes'")
@every_device
def test_nan_to_num_of_bfloat16(device: str) -> None:
    x = array("bfloat16", device, [NAN, INF, -INF])
    largest = float.fromhex("0x1.fep127")
    np.testing.assert_array_equal(na.nan_to_num(x).astype("float64").numpy(), [0, largest, -largest])


@every_device
def test_what_nan_to_num_replaces_has_derivative_zero(device: str) -> None:
    x = na.asarray(np.array([NAN, INF, -INF, 2.0]), device=device)
    g = nt.grad(lambda a: (na.nan_to_num(a, posinf=1.0, neginf=1.0) * 3.0).sum())(x)
    np.testing.assert_array_equal(g.numpy(), [0, 0, 0, 3])
    z = na.asarray(np.array([complex(NAN, 1), 1 + 2j]), device=device)
    g = nt.grad(lambda a: na.real(na.nan_to_num(a) * (1 - 1j)).sum())(z)
    np.testing.assert_array_equal(g.numpy(), [-1j, 1 - 1j])  # of the first, only the imaginary part counts


# --- Singular points ---
def gradient(f: Callable[..., Array], *at: Any, device: str) -> list[Any]:
    xs = [na.asarray(np.array(a, np.float64), device=device) for a in at]
    out, pullback = nt.vjp(f, *xs)
    return [g.numpy() for g in pullback(na.ones_like(out))]


@every_device
def test_hypot_and_atan2_have_derivative_zero_at_the_origin(device: str) -> None:
    for f in (na.hypot, na.atan2):
        g1, g2 = gradient(f, [0.0, 3.0], [0.0, 4.0], device=device)
        assert g1[0] == g2[0] == 0
    np.testing.assert_allclose(gradient(na.hypot, [3.0], [4.0], device=device), [[0.6], [0.8]])
    np.testing.assert_allclose(gradient(na.atan2, [3.0], [4.0], device=device), [[4 / 25], [-3 / 25]])
    z = na.zeros(1, dtype=na.complex128, device=device)
    np.testing.assert_array_equal(nt.grad(lambda a: na.angle(a).sum())(z).numpy(), 0)
    np.testing.assert_array_equal(nt.grad(lambda a: na.abs(a).sum())(z).numpy(), 0)


@every_device
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_derivatives_do_not_overflow_before_the_value_does(dtype: str, device: str) -> None:
    big = {"float16": 3e4, "float32": 1e30}[dtype]
    x = na.asarray(np.array([big], dtype), device=device)
    slope = nt.grad(lambda a: na.asinh(a).sum())(x).astype("float64").item()
    assert slope == pytest.approx(1 / big, rel=0.01)
    slope = nt.grad(lambda a: na.acosh(a).sum())(x).astype("float64").item()
    assert slope == pytest.approx(1 / big, rel=0.01)
    slope = nt.grad(lambda a: na.atan2(a, x).sum())(x).astype("float64").item()
    assert slope == pytest.approx(0.5 / big, rel=0.01)


@every_device
def test_logaddexp_at_infinities(device: str) -> None:
    g1, g2 = gradient(na.logaddexp, [-INF, -INF, INF, INF, 2.0], [-INF, 1.0, INF, 1.0, 2.0], device=device)
    np.testing.assert_allclose(g1, [0.5, 0, 0.5, 1, 0.5], rtol=1e-15)
    np.testing.assert_allclose(g2, [0.5, 1, 0.5, 0, 0.5], rtol=1e-15)
    large = na.asarray(np.array([1e4]), dtype=na.float32, device=device)
    slope = nt.grad(lambda a: na.logaddexp(a, large - 1).sum())(large).item()
    assert slope == pytest.approx(1 / (1 + math.exp(-1)), rel=1e-6)
    far = na.asarray(np.array([-1e3, 1e3], np.float32), device=device)
    second = nt.grad(lambda a: nt.grad(lambda b: na.logaddexp(b, 0.0).sum())(a).sum())(far)
    np.testing.assert_array_equal(second.numpy(), [0, 0])


@every_device
def test_copysign_follows_abs_at_zero(device: str) -> None:
    g1, g2 = gradient(na.copysign, [0.0, -2.0, -2.0, 3.0], [-1.0, 1.0, -0.0, -5.0], device=device)
    np.testing.assert_array_equal(g1, [0, -1, 1, -1])
    np.testing.assert_array_equal(g2, 0)


@every_device
def test_remainder_and_floor_divide_where_they_jump(device: str) -> None:
    g1, g2 = gradient(na.remainder, [4.0, -4.0, 5.0], [2.0, 2.0, 2.0], device=device)
    np.testing.assert_array_equal(g1, 1)
    np.testing.assert_array_equal(g2, [-2, 2, -2])
    np.testing.assert_array_equal(gradient(na.floor_divide, [4.0], [2.0], device=device), 0)


@every_device
def test_ends_of_domains_have_the_limits_of_their_derivatives(device: str) -> None:
    np.testing.assert_array_equal(gradient(na.asin, [1.0, -1.0, 2.0], device=device)[0], [INF, INF, NAN])
    np.testing.assert_array_equal(gradient(na.acos, [1.0, -1.0], device=device)[0], [-INF, -INF])
    np.testing.assert_array_equal(gradient(na.acosh, [1.0], device=device)[0], [INF])
    np.testing.assert_array_equal(gradient(na.atanh, [1.0, -1.0], device=device)[0], [INF, INF])
    np.testing.assert_array_equal(gradient(na.reciprocal, [0.0, INF], device=device)[0], [-INF, 0])


@every_device
def test_rounding_is_constant(device: str) -> None:
    for f in (na.ceil, na.floor, na.trunc, na.round):
        np.testing.assert_array_equal(gradient(f, [0.3, 1.0, -2.5], device=device)[0], 0)
