"""Products, diagonals and powers: as NumPy has them, and what is said of arguments that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import linalg
from tests.neo_array.devices import every_device

RNG = np.random.default_rng(0)


def numbers(*shape: int, kind: str = "f8") -> Any:
    if kind[0] == "i":
        return RNG.integers(-5, 6, size=shape).astype(kind)
    x = RNG.normal(size=shape)
    return (x + 1j * RNG.normal(size=shape) if kind[0] == "c" else x).astype(kind)


def same(found: na.Array, expected: Any) -> None:
    expected = np.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


every_kind = pytest.mark.parametrize("kind", ["i4", "i8", "f8", "c16"])


@every_device
@every_kind
@pytest.mark.parametrize(
    ("left", "right", "axis"),
    [((5,), (5,), -1), ((2, 3, 5), (3, 5), -1), ((3, 1, 5), (2, 5), -1), ((5, 3), (2, 5, 1), -2), ((5, 3), (5, 3), 0)],
)
def test_vecdot_sums_products_with_the_first_conjugated(
    left: Any, right: Any, axis: int, kind: str, device: str
) -> None:
    a, b = numbers(*left, kind=kind), numbers(*right, kind=kind)
    same(
        na.vecdot(na.asarray(a, device=device), na.asarray(b, device=device), axis=axis),
        (np.conj(a) * b).sum(axis=axis, dtype=kind),
    )


@every_device
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_vecdot_of_half_precision_is_summed_in_float32(dtype: str, device: str) -> None:
    x = na.ones(3000, dtype=dtype, device=device)
    out = na.vecdot(x, x)
    assert str(out.dtype) == dtype
    assert abs(float(out.astype(na.float32)) - 3000) < 16


@every_device
def test_vecdot_of_what_does_not_fit(device: str) -> None:
    a, b = na.ones((2, 3), device=device), na.ones((2, 1), device=device)
    with pytest.raises(na.ShapeError, match=r"vecdot: sizes differ along the axis, got shapes \(2, 3\) and \(2, 1\)"):
        na.vecdot(a, b)
    with pytest.raises(na.ShapeError, match="vecdot: the other axes do not broadcast"):
        na.vecdot(a, na.ones((5, 3), device=device))
    with pytest.raises(na.ShapeError, match="vecdot: axis 0 must count from the end of both"):
        na.vecdot(na.ones((5, 2, 3), device=device), a, axis=0)
    with pytest.raises(na.DTypeError, match="bool"):
        na.vecdot(a > 0, a > 0)


@every_device
@every_kind
@pytest.mark.parametrize(
    ("left", "right", "axes"),
    [
        ((2, 3, 5), (3, 5, 7), 2),
        ((2, 3), (5,), 0),
        ((), (3,), 0),
        ((2, 3, 5), (5, 2), ((2, 0), (0, 1))),
        ((2, 3, 5), (5, 2), ((-1,), (-2,))),
        ((2, 3), (2, 3), ((), ())),
        ((0, 3), (3, 2), 1),
    ],
)
def test_tensordot_is_numpys(left: Any, right: Any, axes: Any, kind: str, device: str) -> None:
    a, b = numbers(*left, kind=kind), numbers(*right, kind=kind)
    same(na.tensordot(na.asarray(a, device=device), na.asarray(b, device=device), axes=axes), np.tensordot(a, b, axes))


def test_tensordot_of_what_does_not_fit() -> None:
    a, b = na.ones((2, 3)), na.ones((2, 5))
    with pytest.raises(na.ShapeError, match="tensordot: sizes 3 and 2 of axes 1 and 0 differ"):
        na.tensordot(a, b, axes=1)
    with pytest.raises(na.ShapeError, match="tensordot: axes 3 do not fit shapes"):
        na.tensordot(a, b, axes=3)
    with pytest.raises(na.ShapeError, match="tensordot: axes must be a number or two sequences of one length"):
        na.tensordot(a, b, axes=((0,), (0, 1)))


@every_device
@every_kind
def test_outer_and_cross_are_numpys(kind: str, device: str) -> None:
    a, b = numbers(3, kind=kind), numbers(4, kind=kind)
    same(linalg.outer(na.asarray(a, device=device), na.asarray(b, device=device)), np.outer(a, b))
    for left, right, axis in [((3,), (3,), -1), ((2, 3), (5, 1, 3), -1), ((3, 2), (3, 2), 0), ((3, 1), (5, 3, 4), -2)]:
        a, b = numbers(*left, kind=kind), numbers(*right, kind=kind)
        out = linalg.cross(na.asarray(a, device=device), na.asarray(b, device=device), axis=axis)
        moved = [np.moveaxis(x, axis if axis < 0 else axis - 2, -1) for x in (a, b)]
        same(out, np.moveaxis(np.cross(*moved), -1, axis if axis < 0 else axis - 2))


def test_outer_and_cross_of_what_does_not_fit() -> None:
    with pytest.raises(na.ShapeError, match=r"outer: needs two vectors, got shapes \(2, 3\) and \(3,\)"):
        linalg.outer(na.ones((2, 3)), na.ones(3))
    with pytest.raises(na.ShapeError, match="cross: needs three elements along axis -1"):
        linalg.cross(na.ones(3), na.ones((3, 1)))
    with pytest.raises(na.ShapeError, match="cross: axis 0 must count from the end of both"):
        linalg.cross(na.ones(3), na.ones((3, 1)), axis=0)
    with pytest.raises(na.DTypeError, match="cross: needs numbers, got booleans"):
        linalg.cross(na.ones(3) > 0, na.ones(3) > 0)


@every_device
@every_kind
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (2, 4, 4), (0, 3), (2, 3, 0)])
@pytest.mark.parametrize("offset", [-7, -3, -1, 0, 1, 2, 4, 9])
def test_diagonal_and_trace_are_numpys(offset: int, shape: tuple[int, ...], kind: str, device: str) -> None:
    x = numbers(*shape, kind=kind)
    a = na.asarray(x, device=device)
    same(linalg.diagonal(a, offset=offset), np.linalg.diagonal(x, offset=offset))
    total = linalg.trace(a, offset=offset)
    np.testing.assert_allclose(total.numpy(), np.linalg.trace(x, offset=offset), atol=1e-12)
    assert total.dtype == (na.int64 if kind[0] == "i" else x.dtype)
    assert linalg.trace(a, offset=offset, dtype=na.complex64).dtype == na.complex64


@every_device
@every_kind
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
def test_matrix_power_is_numpys(n: int, kind: str, device: str) -> None:
    x = numbers(2, 3, 3, kind=kind)
    same(linalg.matrix_power(na.asarray(x, device=device), n), np.linalg.matrix_power(x, n))


@every_device
def test_negative_powers_are_those_of_the_inverse(device: str) -> None:
    x = numbers(3, 3)
    same(linalg.matrix_power(na.asarray(x, device=device), -3), np.linalg.matrix_power(x, -3))


def test_powers_that_cannot_be() -> None:
    with pytest.raises(na.ShapeError, match=r"matrix_power: needs square matrices, got shape \(2, 3\)"):
        linalg.matrix_power(na.ones((2, 3)), 2)
    with pytest.raises(na.DTypeError, match=r"matrix_power: the power must be an integer, got 0\.5"):
        linalg.matrix_power(na.ones((2, 2)), 0.5)  # type: ignore[arg-type]
    with pytest.raises(na.DTypeError, match="inv: needs floating or complex numbers"):
        linalg.matrix_power(na.ones((2, 2), dtype=na.int64), -1)


@every_device
@pytest.mark.parametrize("kind", ["f8", "c16"])
def test_derivatives_of_what_is_composed(kind: str, device: str) -> None:
    a, b = (na.asarray(numbers(3, 3, kind=kind), device=device) for _ in range(2))
    nt.check_grads(lambda x, y: na.tensordot(x, y, axes=((0,), (1,))), (a, b))
    nt.check_grads(lambda x, y: linalg.cross(x, y, axis=-2), (a, b))
    nt.check_grads(lambda x, y: linalg.outer(x[0], y[:, 1]), (a, b))
    nt.check_grads(lambda x: linalg.diagonal(x, offset=-1), (a,))
    nt.check_grads(lambda x: linalg.trace(x)[None], (a,))
    nt.check_grads(lambda x: tuple(linalg.matrix_power(x, n) for n in (-2, 0, 1, 5)), (a,))
