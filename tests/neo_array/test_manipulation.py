"""Rearranging, joining, repeating, triangles and diagonals, against NumPy; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device

DTYPES = ["bool", "int8", "uint8", "uint16", "uint64", "float16", "bfloat16", "float32", "float64", "complex64"]


def counted(*shape: int) -> Any:
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


Case = tuple[Callable[[Array], Any], Callable[[Any], Any]]
X = counted(2, 3, 4)
CASES: dict[str, Case] = {
    "flip": (na.flip, np.flip),
    "flip, axis": (lambda x: na.flip(x, axis=-1), lambda x: np.flip(x, -1)),
    "flip, axes": (lambda x: na.flip(x, axis=(0, -1)), lambda x: np.flip(x, (0, 2))),
    "flip, no axes": (lambda x: na.flip(x, axis=()), lambda x: np.flip(x, ())),
    "roll": (lambda x: na.roll(x, 5), lambda x: np.roll(x, 5)),
    "roll, axis": (lambda x: na.roll(x, -7, axis=1), lambda x: np.roll(x, -7, 1)),
    "roll, one shift": (lambda x: na.roll(x, 1, axis=(0, 2)), lambda x: np.roll(x, 1, (0, 2))),
    "roll, shifts": (lambda x: na.roll(x, (1, -1), axis=(0, -1)), lambda x: np.roll(x, (1, -1), (0, 2))),
    "roll, twice": (lambda x: na.roll(x, (1, 1), axis=(2, 2)), lambda x: np.roll(x, (1, 1), (2, 2))),
    "moveaxis": (lambda x: na.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1)),
    "moveaxis, several": (lambda x: na.moveaxis(x, (0, -1), (-1, 0)), lambda x: np.moveaxis(x, (0, 2), (2, 0))),
    "moveaxis, to": (lambda x: na.moveaxis(x, (2, 0), (0, 1)), lambda x: np.moveaxis(x, (2, 0), (0, 1))),
    "permute_dims": (lambda x: na.permute_dims(x, (2, 0, -2)), lambda x: np.transpose(x, (2, 0, 1))),
    "matrix_transpose": (na.matrix_transpose, lambda x: np.swapaxes(x, -1, -2)),
    "expand_dims": (lambda x: na.expand_dims(x, axis=-2), lambda x: np.expand_dims(x, -2)),
    "expand_dims, several": (lambda x: na.expand_dims(x, axis=(0, -1)), lambda x: np.expand_dims(x, (0, -1))),
    "squeeze": (lambda x: na.squeeze(x[:1, :, :1], (0, -1)), lambda x: np.squeeze(x[:1, :, :1], (0, 2))),
    "reshape": (lambda x: na.reshape(x, (4, -1)), lambda x: np.reshape(x, (4, -1))),
    "reshape of a transpose": (lambda x: na.reshape(x.mT, (-1,)), lambda x: np.reshape(x.swapaxes(1, 2), -1)),
    "ravel": (na.ravel, np.ravel),
    "repeat": (lambda x: na.repeat(x, 2), lambda x: np.repeat(x, 2)),
    "repeat, axis": (lambda x: na.repeat(x, 3, axis=-2), lambda x: np.repeat(x, 3, 1)),
    "repeat, never": (lambda x: na.repeat(x, 0, axis=0), lambda x: np.repeat(x, 0, 0)),
    "repeat, counts": (lambda x: na.repeat(x, [2, 0, 1], axis=1), lambda x: np.repeat(x, [2, 0, 1], 1)),
    "repeat, one count": (lambda x: na.repeat(x, [2], axis=2), lambda x: np.repeat(x, [2], 2)),
    "tile": (lambda x: na.tile(x, (2,)), lambda x: np.tile(x, (2,))),
    "tile, more axes": (lambda x: na.tile(x, (2, 1, 3, 1)), lambda x: np.tile(x, (2, 1, 3, 1))),
    "tile, never": (lambda x: na.tile(x, (0, 1)), lambda x: np.tile(x, (0, 1))),
    "tile, once": (lambda x: na.tile(x, (1, 1, 1, 1)), lambda x: np.tile(x, (1, 1, 1, 1))),
    "rot90": (na.rot90, np.rot90),
    "rot90, back": (lambda x: na.rot90(x, k=-1, axes=(1, 2)), lambda x: np.rot90(x, -1, (1, 2))),
    "rot90, half": (lambda x: na.rot90(x, k=2, axes=(2, 0)), lambda x: np.rot90(x, 2, (2, 0))),
    "rot90, full": (lambda x: na.rot90(x, k=4), lambda x: np.rot90(x, 4)),
    "concat": (lambda x: na.concat([x, x[:, :1]], axis=1), lambda x: np.concatenate([x, x[:, :1]], 1)),
    "concat, flat": (lambda x: na.concat([x, x[0]], axis=None), lambda x: np.concatenate([x, x[0]], None)),
    "stack": (lambda x: na.stack([x, x], axis=-1), lambda x: np.stack([x, x], -1)),
    "broadcast_to": (
        lambda x: na.broadcast_to(x[:, :1], (5, 2, 3, 4)),
        lambda x: np.broadcast_to(x[:, :1], (5, 2, 3, 4)),
    ),
    "tril": (lambda x: na.tril(x, k=1), lambda x: np.tril(x, 1)),
    "triu": (lambda x: na.triu(x, k=-1), lambda x: np.triu(x, -1)),
    "triu, far": (lambda x: na.triu(x, k=9), lambda x: np.triu(x, 9)),
    "diagonal": (lambda x: na.diagonal(x, offset=1), lambda x: np.diagonal(x, 1, -2, -1)),
    "diagonal, far": (lambda x: na.diagonal(x, offset=-5), lambda x: np.diagonal(x, -5, -2, -1)),
    "diag of a matrix": (lambda x: na.diag(x[0], k=-1), lambda x: np.diag(x[0], -1)),
    "diag of a vector": (lambda x: na.diag(x[0, 0], k=-1), lambda x: np.diag(x[0, 0], -1)),
}


@every_device
@pytest.mark.parametrize("case", CASES)
def test_result_is_numpys(case: str, device: str) -> None:
    ours, numpys = CASES[case]
    got, expected = ours(na.asarray(X, device=device)), numpys(X)
    assert (got.shape, got.dtype, str(got.device)) == (expected.shape, na.float64, device)
    np.testing.assert_array_equal(got.numpy(), expected)


@every_device
@pytest.mark.parametrize("case", CASES)
def test_derivatives_to_second_order(case: str, device: str) -> None:
    ours, _ = CASES[case]
    nt.check_grads(lambda x: ours(x * x), (na.asarray(X / 10, device=device),))


@every_device
@pytest.mark.parametrize("case", CASES)
def test_a_batch_is_a_loop(case: str, device: str) -> None:
    ours, numpys = CASES[case]
    many = np.stack([X, X[::-1] + 100], axis=1)
    got = nt.vmap(ours, in_axes=1)(na.asarray(many, device=device))
    np.testing.assert_array_equal(got.numpy(), np.stack([numpys(many[:, 0]), numpys(many[:, 1])]))


@every_device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_every_dtype_is_kept(case: str, dtype: str, device: str) -> None:
    ours, numpys = CASES[case]
    x = na.asarray(X % 7, device=device).astype(dtype)
    got = ours(x)
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(got.numpy(), numpys(np.array(x.numpy())))


@every_device
@pytest.mark.parametrize("case", ["flip", "roll", "roll, axis", "repeat", "tile", "ravel", "moveaxis", "tril", "stack"])
def test_empty_arrays_stay_empty(case: str, device: str) -> None:
    ours, numpys = CASES[case]
    x = np.zeros((2, 3, 0))
    assert ours(na.asarray(x, device=device)).shape == numpys(x).shape


@every_device
def test_a_0d_array_has_no_axes_to_move(device: str) -> None:
    x = na.asarray(2.5, device=device)
    for y in (na.flip(x), na.roll(x, 3), na.moveaxis(x, (), ()), na.permute_dims(x, ()), na.squeeze(x, ())):
        assert (y.shape, y.item()) == ((), 2.5)
    assert na.repeat(x, 3).shape == na.tile(x, (3,)).shape == (3,)
    assert na.tile(x, ()).shape == ()
    assert na.ravel(x).shape == (1,)


# --- Taking apart ---
@every_device
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_unstack_undoes_stack(axis: int, device: str) -> None:
    x = na.asarray(X, device=device)
    pieces = na.unstack(x, axis=axis)
    assert isinstance(pieces, tuple)
    for i, piece in enumerate(pieces):
        np.testing.assert_array_equal(piece.numpy(), np.take(X, i, axis))
    np.testing.assert_array_equal(na.stack(pieces, axis=axis).numpy(), X)
    assert na.unstack(na.zeros((2, 0), device=device), axis=1) == ()


@every_device
def test_split_undoes_concat(device: str) -> None:
    x = na.asarray(X, device=device)
    assert [p.shape for p in na.split(x, 2, axis=-1)] == [(2, 3, 2)] * 2
    pieces = na.split(x, (2, 0, 1), axis=1)
    assert [p.shape for p in pieces] == [(2, 2, 4), (2, 0, 4), (2, 1, 4)]
    np.testing.assert_array_equal(na.concat(pieces, axis=1).numpy(), X)


@every_device
def test_pieces_that_are_not_used_have_a_derivative_of_zero(device: str) -> None:
    x = na.asarray(X, device=device)

    def f(a: Array) -> Array:
        _, middle, _ = na.unstack(a, axis=1)
        first, _ = na.split(a, 2, axis=2)
        return (middle * middle).sum() + 3 * first.sum()

    expected = np.zeros_like(X)
    expected[:, 1] = 2 * X[:, 1]
    expected[:, :, :2] += 3
    np.testing.assert_array_equal(nt.grad(f)(x).numpy(), expected)
    nt.check_grads(lambda a: na.unstack(a * a, axis=2)[1:3], (x,))
    nt.check_grads(lambda a: na.split(a * a, (1, 3), axis=2), (x,))


@every_device
def test_broadcast_arrays_is_numpys(device: str) -> None:
    arrays = [counted(3, 1), counted(2, 1, 4), counted()]
    found = na.broadcast_arrays(*(na.asarray(a, device=device) for a in arrays))
    assert isinstance(found, list)
    for got, expected in zip(found, np.broadcast_arrays(*arrays), strict=True):
        np.testing.assert_array_equal(got.numpy(), expected)
    assert na.broadcast_arrays() == []


@every_device
def test_joined_dtypes_promote_and_each_input_keeps_its_own_in_the_gradient(device: str) -> None:
    a, b = na.ones((2,), dtype=na.float32, device=device), na.ones((2,), dtype=na.float64, device=device)
    out, pullback = nt.vjp(lambda x, y: na.concat([x, y]), a, b)
    assert out.dtype == na.float64
    assert [g.dtype for g in pullback(out)] == [na.float32, na.float64]
    assert na.stack([a, na.ones((2,), dtype=na.int8, device=device)]).dtype == na.float32


@every_device
def test_counts_of_repeat_may_be_an_array_of_any_integer_dtype(device: str) -> None:
    x = na.asarray(X, device=device)
    for dtype in (na.int8, na.uint8, na.int64):
        counts = na.asarray([1, 0, 2], dtype=dtype, device=device)
        np.testing.assert_array_equal(na.repeat(x, counts, axis=1).numpy(), np.repeat(X, [1, 0, 2], 1))
    np.testing.assert_array_equal(na.repeat(x, na.asarray(2, device=device)).numpy(), np.repeat(X, 2))
    nt.check_grads(lambda a: na.repeat(a * a, na.asarray([1, 0, 2], device=device), axis=1), (x,))


@every_device
def test_reshape_without_a_copy_shares_memory_or_refuses(device: str) -> None:
    x = na.asarray(X, device=device)
    np.testing.assert_array_equal(na.reshape(x, (6, 4), copy=False).numpy(), X.reshape(6, 4))
    assert na.reshape(x.mT, (2, 4, 3, 1), copy=False).shape == (2, 4, 3, 1)
    assert na.reshape(x.mT, (24,), copy=True).shape == (24,)
    with pytest.raises(ValueError, match="copy=False"):
        na.reshape(x.mT, (24,), copy=False)


# --- What is refused ---
REFUSED: dict[str, tuple[str, Callable[[Array], object]]] = {
    "flip": ("flip: axis 3 is out of range", lambda x: na.flip(x, axis=3)),
    "flip twice": ("flip: axis .* names an axis twice", lambda x: na.flip(x, axis=(0, -3))),
    "roll": ("roll: axis -4 is out of range", lambda x: na.roll(x, 1, axis=-4)),
    "roll, counts": ("roll: 3 shifts for 2 axes", lambda x: na.roll(x, (1, 2, 3), axis=(0, 1))),
    "moveaxis": ("must name as many axes", lambda x: na.moveaxis(x, (0, 1), 0)),
    "moveaxis twice": ("names an axis twice", lambda x: na.moveaxis(x, (0, 0), (0, 1))),
    "expand_dims": ("expand_dims: axis 4 is out of range", lambda x: na.expand_dims(x, axis=4)),
    "squeeze": ("squeeze: axis 0 must name axes of size 1", lambda x: na.squeeze(x, 0)),
    "repeat": ("must not be negative", lambda x: na.repeat(x, -1)),
    "repeat, some": ("must not be negative", lambda x: na.repeat(x, [1, -1, 1], axis=1)),
    "repeat, count": ("repeat: counts of shape", lambda x: na.repeat(x, [1, 2], axis=1)),
    "tile": ("tile: repetitions must not be negative", lambda x: na.tile(x, (-1,))),
    "stack": ("stack: needs at least one", lambda x: na.stack([])),
    "unstack": ("unstack: axis 5 is out of range", lambda x: na.unstack(x, axis=5)),
    "split": ("no 3 equal parts", lambda x: na.split(x, 3)),
    "split, sizes": ("must sum to 2", lambda x: na.split(x, (1, 2))),
    "broadcast_arrays": ("do not broadcast", lambda x: na.broadcast_arrays(x, x[:, :2])),
    "tril": ("tril: needs at least two axes", lambda x: na.tril(x[0, 0])),
    "diagonal": ("diagonal: needs at least two axes", lambda x: na.diagonal(x[0, 0])),
    "diag": ("diag: needs a vector or a matrix", na.diag),
    "rot90": ("a plane has two axes", lambda x: na.rot90(x, axes=(0, 1, 2))),  # type: ignore[arg-type]
}


@every_device
@pytest.mark.parametrize("case", REFUSED)
def test_wrong_shapes_and_axes_are_refused(case: str, device: str) -> None:
    message, attempt = REFUSED[case]
    with pytest.raises(na.ShapeError, match=message):
        attempt(na.asarray(X, device=device))


@every_device
def test_wrong_types_are_refused(device: str) -> None:
    x: Any = na.asarray(X, device=device)
    wrong: list[Callable[[], object]] = [
        lambda: na.flip(x, axis=1.5),  # type: ignore[arg-type]
        lambda: na.roll(x, 1.5),  # type: ignore[arg-type]
        lambda: na.repeat(x, 1.5),  # type: ignore[arg-type]
        lambda: na.repeat(x, na.asarray([1.0], device=device)),
        lambda: na.tile(x, (1.5,)),  # type: ignore[arg-type]
        lambda: na.tril([[1.0]]),  # type: ignore[arg-type]
        lambda: na.unstack([1.0, 2.0]),  # type: ignore[arg-type]
    ]
    for attempt in wrong:
        with pytest.raises(na.DTypeError):
            attempt()


def test_counts_that_differ_by_example_are_refused() -> None:
    x, counts = na.zeros((2, 3)), na.asarray([[1, 2, 0], [1, 1, 1]])
    with pytest.raises(na.LevelError, match="same for every example"):
        nt.vmap(lambda a, n: na.repeat(a, n))(x, counts)
