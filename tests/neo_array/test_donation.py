"""Giving a buffer up: the result reuses it where nobody else can see it; who holds the memory keeps its values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, Donated
from tests.neo_array.devices import every_device, needs_torch, pointer
from tests.neo_array.donations import Op, fresh, ones, step

# --- Reuse ---
UPDATES: list[tuple[Op, int, dict[str, Any]]] = [
    (na.add_scaled, 1, {"scale": -0.5}),
    (na.add_product, 2, {}),
    (na.moving_average, 1, {"decay": 0.9, "weight": 0.1}),
    (na.lerp, 1, {"weight": 0.25}),
    (na.average_square, 1, {"decay": 0.9, "weight": 0.1}),
]
every_update = pytest.mark.parametrize(("op", "others", "options"), UPDATES, ids=[u[0].__name__ for u in UPDATES])


@every_device
@every_update
def test_the_result_reuses_the_buffer_and_is_the_ops(op: Op, others: int, options: dict[str, Any], device: str) -> None:
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(5, 7)) for _ in range(1 + others)]
    x, *rest = (na.asarray(v, device=device) for v in values)
    address = pointer(x)
    expected = op(*(na.asarray(v, device=device) for v in values), **options).numpy()
    out = step(x, *rest, op=op, **options)
    assert pointer(out) == address
    np.testing.assert_array_equal(out.numpy(), expected)
    for kept, v in zip(rest, values[1:], strict=True):
        np.testing.assert_array_equal(kept.numpy(), v)


@every_device
def test_a_chain_of_donations_keeps_one_buffer(device: str) -> None:
    x, g = fresh(device), ones(device)
    address = pointer(x)
    for _ in range(5):
        x = step(x, g, scale=1.0)
    assert pointer(x) == address
    np.testing.assert_array_equal(x.numpy(), [[6, 7], [8, 9]])


@every_device
def test_an_op_without_an_in_place_kernel_gives_the_same_values(device: str) -> None:
    x = fresh(device)
    out = step(x, op=na.exp)
    np.testing.assert_allclose(out.numpy(), np.exp([[1, 2], [3, 4]]), rtol=1e-12)
    with pytest.raises(na.DonatedError):
        x + 1


# --- Others who hold the memory keep their values ---
HOLDERS: dict[str, Callable[[Array], Any]] = {
    "a transpose": lambda x: x.T,
    "a row": lambda x: x[1],
    "a reversed slice": lambda x: x[::-1, ::-1],
    "another shape": lambda x: x.reshape(4),
    "a broadcast": lambda x: na.broadcast_to(x, (3, 2, 2)),
    "a view of a view": lambda x: x.T[0].reshape((1, 2)),
    "an alias": na.alias,
    "a constant of the same value": na.stop_gradient,
    "a NumPy view": lambda x: x.numpy(),
    "a NumPy view of a view": lambda x: x.T[0].numpy(),
    "a NumPy view of an alias": lambda x: na.alias(x).numpy(),
    "np.asarray": np.asarray,
    "a slice of a NumPy view": lambda x: x.numpy()[1:],
    "a memoryview": lambda x: memoryview(x.__array__()),  # type: ignore[arg-type]  # a buffer from Python 3.12 on
    "DLPack without a copy": lambda x: np.from_dlpack(x, copy=False),
    "DLPack of an alias": lambda x: np.from_dlpack(na.alias(x), copy=False),
    "DLPack of a view": lambda x: np.from_dlpack(x.T, copy=False),
    "the raw array": lambda x: x.raw,
    "a view of the raw array": lambda x: x.raw[0],
    "the raw array of an alias": lambda x: na.stop_gradient(x).raw,
    "a list of rows": list,
}


def values_of(held: Any) -> Any:
    """Return what the holder sees now, as lists."""
    if isinstance(held, list):
        return [values_of(h) for h in held]
    return held.numpy().tolist() if isinstance(held, Array) else held.tolist()


@every_device
@pytest.mark.parametrize("holder", HOLDERS)
def test_who_holds_the_memory_keeps_its_values(holder: str, device: str) -> None:
    x = fresh(device)
    held = HOLDERS[holder](x)
    before = values_of(held)
    out = step(x, ones(device))
    assert values_of(held) == before
    np.testing.assert_array_equal(out.numpy(), [[11, 12], [13, 14]])


@every_device
def test_memory_that_was_held_and_let_go_can_be_reused(device: str) -> None:
    x = fresh(device)
    address = pointer(x)
    del (held := [x.T, x[0], na.alias(x)])[:]
    assert held == []
    assert pointer(step(x, ones(device))) == address


SHARED: dict[str, Callable[[Any, str], Array]] = {
    "of NumPy": lambda owner, d: na.asarray(owner, device=d, copy=False),
    "of a NumPy view": lambda owner, d: na.asarray(owner[:], device=d, copy=False),
    "through DLPack": lambda owner, d: na.from_dlpack(owner, device=d, copy=False),
}


@every_device
@pytest.mark.parametrize("how", SHARED)
def test_memory_shared_with_its_owner_is_never_written(how: str, device: str) -> None:
    owner = np.array([[1.0, 2.0], [3.0, 4.0]])
    x = SHARED[how](owner, device)
    step(x, ones(device))
    np.testing.assert_array_equal(owner, [[1, 2], [3, 4]])


@needs_torch
@every_device
def test_memory_shared_with_a_tensor_is_never_written(device: str) -> None:
    import torch

    buffer = np.array([[1.0, 2.0], [3.0, 4.0]])
    for owner in (torch.tensor(buffer), torch.from_numpy(buffer), torch.tensor(buffer, requires_grad=True)):
        x = na.asarray(owner, device=device, copy=False)
        step(x, ones(device))
        np.testing.assert_array_equal(owner.detach().numpy(), [[1, 2], [3, 4]])
    x = na.asarray(torch.from_numpy(buffer), device=device, copy=False)  # the tensor is gone, NumPy's memory is not
    step(x, ones(device))
    np.testing.assert_array_equal(buffer, [[1, 2], [3, 4]])


@every_device
def test_a_broadcast_array_is_not_written_into(device: str) -> None:
    """All its elements are one, in memory that nobody else holds any more."""
    x = na.broadcast_to(na.asarray(np.array([1.0]), device=device), (2, 2))
    out = step(x, na.asarray(np.array([[1.0, 2.0], [3.0, 4.0]]), device=device))
    np.testing.assert_array_equal(out.numpy(), [[11, 21], [31, 41]])


# --- What does not fit in place ---
@every_device
def test_a_result_of_another_shape_or_dtype_is_the_ops(device: str) -> None:
    row, table = na.ones((2,), dtype=na.float64, device=device), fresh(device)
    wide = step(row, table, op=na.moving_average, decay=1.0, weight=2.0)
    np.testing.assert_array_equal(wide.numpy(), [[3, 5], [7, 9]])
    narrow = na.ones((2, 2), dtype=na.float32, device=device)
    assert step(narrow, table).dtype == na.float64
    whole = na.ones((2, 2), dtype=na.int64, device=device)
    np.testing.assert_array_equal(step(whole, table, scale=0.5).numpy(), [[1.5, 2], [2.5, 3]])


@every_device
def test_other_arguments_that_are_the_array_itself_are_read_before_it_is_written(device: str) -> None:
    x = fresh(device)
    np.testing.assert_array_equal(
        step(x, x, op=na.moving_average, decay=0.5, weight=2.0).numpy(), [[2.5, 5], [7.5, 10]]
    )
    y = fresh(device)
    np.testing.assert_array_equal(step(y, y.T, op=na.average_square, decay=1.0, weight=1.0).numpy(), [[2, 11], [7, 20]])


@every_device
@every_update
def test_overflow_in_place_is_a_value(op: Op, others: int, options: dict[str, Any], device: str) -> None:
    """pytest turns warnings into errors here, and an error half way would leave half an update."""
    values = [np.array([3e38, 1.0, np.inf, -3e38], np.float32) * sign for sign in (1, 1, -1)[: 1 + others]]
    options = {name: value * 100 for name, value in options.items()}
    expected = op(*(na.asarray(v, device=device) for v in values), **options).numpy()
    out = step(*(na.asarray(v, device=device) for v in values), op=op, **options)
    np.testing.assert_array_equal(out.numpy(), expected)
    assert not np.isfinite(expected).all()


@every_device
@every_update
def test_integers_are_updated_as_the_op_says(op: Op, others: int, options: dict[str, Any], device: str) -> None:
    values = [np.array([2, 4, 6])] * (1 + others)
    expected = op(*(na.asarray(v, device=device) for v in values), **options)
    out = step(*(na.asarray(v, device=device) for v in values), op=op, **options)
    assert out.dtype == expected.dtype
    np.testing.assert_array_equal(out.numpy(), expected.numpy())


@every_device
def test_an_op_that_fails_leaves_the_array_alive(device: str) -> None:
    x = fresh(device)
    with pytest.raises(na.ShapeError):
        step(x, na.ones((3,), dtype=na.float64, device=device))
    np.testing.assert_array_equal(x.numpy(), [[1, 2], [3, 4]])


# --- Several at once ---
def rows(device: str) -> tuple[list[Array], list[Array]]:
    return [na.asarray([1.0, 2.0], device=device), na.asarray([[3.0]], device=device)], [
        na.asarray([10.0, 20.0], device=device),
        na.asarray([[30.0]], device=device),
    ]


def step_each(xs: list[Array], ys: list[Array]) -> list[Any]:
    return [out.numpy().tolist() for out in na.donate_each(na.add_scaled, Donated("step"), xs, ys, scale=1.0)]


@every_device
def test_several_are_donated_at_once_into_their_own_buffers(device: str) -> None:
    xs, ys = rows(device)
    before = [pointer(x) for x in xs]
    out = na.donate_each(na.add_scaled, Donated("step"), xs, ys, scale=1.0)
    assert [pointer(o) for o in out] == before
    assert [o.numpy().tolist() for o in out] == [[11, 22], [[33]]]
    assert [y.numpy().tolist() for y in ys] == [[10, 20], [[30]]]
    for x in xs:
        with pytest.raises(na.DonatedError, match="step"):
            x.numpy()


@every_device
@pytest.mark.parametrize("holder", HOLDERS)
def test_one_of_several_that_is_held_keeps_its_values(holder: str, device: str) -> None:
    xs, ys = rows(device)
    xs[0] = fresh(device)
    ys[0] = ones(device)
    held = HOLDERS[holder](xs[0])
    before = values_of(held)
    assert step_each(xs, ys) == [[[2, 3], [4, 5]], [[33]]]
    assert values_of(held) == before


@every_device
def test_several_of_different_dtypes_are_the_ops(device: str) -> None:
    xs, ys = rows(device)
    xs[1], ys[1] = xs[1].astype(na.float64), ys[1].astype(na.float64)
    assert step_each(xs, ys) == [[11, 22], [[33]]]


@every_device
def test_an_update_that_is_another_rows_array_is_read_before_it_is_written(device: str) -> None:
    a, b = na.asarray([1.0, 2.0], device=device), na.asarray([5.0, 7.0], device=device)
    view = b[:]
    assert step_each([a, b], [view, na.ones(2, device=device)]) == [[6, 9], [6, 8]]
    assert view.numpy().tolist() == [5, 7]


@every_device
def test_an_open_tape_keeps_what_several_donations_gave_up(device: str) -> None:
    def loss(w: Array) -> Array:
        y = (w * w).sum()
        na.donate_each(na.add_scaled, Donated("step"), [w], [na.ones(2, device=device)], scale=1.0)
        return y

    gradient = nt.grad(loss)(na.asarray([1.0, 2.0], device=device))
    assert gradient.numpy().tolist() == [2, 4]


def test_none_at_all() -> None:
    assert na.donate_each(na.add_scaled, Donated("step"), [], [], scale=1.0) == []
