"""Updated copies, x.at[index] and scatter: values and derivatives against JAX, repeated indices, batches, masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device

WAYS = ["set", "add", "subtract", "multiply", "divide", "power", "min", "max"]
needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed")


def cases(count: int) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Draw arrays, indices with repetitions, values for them, and weights for the result."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        shape = tuple(rng.integers(1, 4, size=rng.integers(1, 4)))
        points = tuple(rng.integers(1, 4, size=rng.integers(1, 3)))
        kinds: list[Callable[[int], Any]] = [
            lambda n, points=points: rng.integers(-n, n, size=points),  # type: ignore[misc]
            lambda n: slice(None, None, -1),
            lambda n: int(rng.integers(n)),
        ]
        index = tuple(kinds[rng.choice(3, p=[0.6, 0.2, 0.2])](n) for n in shape[: rng.integers(1, len(shape) + 1)])
        x = rng.uniform(0.5, 2, size=shape)
        yield x, index, rng.uniform(0.5, 2, size=x[index].shape), rng.normal(size=shape)


def translate(index: Any, device: str) -> Any:
    if isinstance(index, tuple):
        return tuple(translate(i, device) for i in index)
    return na.asarray(index, device=device) if isinstance(index, np.ndarray) else index


@needs_jax
@pytest.mark.parametrize("way", WAYS)
def test_values_and_derivatives_are_jaxs(way: str) -> None:
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True):
        for x, index, v, weights in cases(5):
            expected = getattr(jnp.asarray(x).at[index], way)(v)

            def theirs(a: Any, b: Any, index: Any = index, weights: Any = weights) -> Any:
                return (getattr(a.at[index], way)(b) * weights).sum()

            try:
                gradients = jax.grad(theirs, (0, 1))(jnp.asarray(x), jnp.asarray(v))
            except NotImplementedError:  # of products at repeated indices
                gradients = None
            for device in ("numpy", *(["torch:cpu"] if find_spec("torch") else [])):
                at, w = translate(index, device), na.asarray(weights, device=device)

                def ours(a: Array, b: Array, at: Any = at, w: Array = w) -> Array:
                    out: Array = (getattr(a.at[at], way)(b) * w).sum()
                    return out

                mine = na.asarray(x, device=device), na.asarray(v, device=device)
                np.testing.assert_allclose(getattr(mine[0].at[at], way)(mine[1]).numpy(), expected, rtol=1e-12)
                if gradients is not None:
                    for got, one in zip(nt.grad(ours, (0, 1))(*mine), gradients, strict=True):
                        np.testing.assert_allclose(got.numpy(), one, rtol=1e-10, atol=1e-12)


@every_device
@pytest.mark.parametrize("way", WAYS)
def test_derivatives_at_repeated_indices_to_second_order(way: str, device: str) -> None:
    rng = np.random.default_rng(1)
    x = na.asarray(rng.uniform(0.5, 2, size=(3, 4)), device=device)
    i, j = na.asarray([0, 2, 0, 0], device=device), na.asarray([1, -1, 1, 1], device=device)
    v = na.asarray(rng.uniform(0.5, 2, size=(4,)), device=device)
    nt.check_grads(lambda a, b: getattr(a.at[i, j], way)(b), (x, v))
    nt.check_grads(lambda a, b: getattr(a.at[i[:2]], way)(b), (x, v))
    nt.check_grads(lambda a, b: getattr(a.at[1:, ::-2], way)(b[0]), (x, v))


@every_device
def test_products_with_zeros_have_the_right_derivatives(device: str) -> None:
    """v = (0, 3, 0, 5) at one place: the derivative by one factor is the product of the others, and so on."""
    i = na.asarray([0, 0, 1, 1], device=device)
    x = na.asarray([2.0, 7.0], dtype=na.float64, device=device)
    v = na.asarray([0.0, 3.0, 0.0, 0.0], dtype=na.float64, device=device)

    def f(b: Array) -> Array:
        return x.at[i].multiply(b).sum()

    np.testing.assert_array_equal(nt.grad(f)(v).numpy(), [6, 0, 0, 0])
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = 2
    expected[2, 3] = expected[3, 2] = 7
    for row, direction in zip(expected, np.eye(4), strict=True):
        _, second = nt.jvp(nt.grad(f), (v,), (na.asarray(direction, device=device),))
        np.testing.assert_array_equal(second.numpy(), row)


@every_device
def test_extrema_share_the_derivative_of_ties_evenly(device: str) -> None:
    x = na.asarray([1.0, 1.0, 5.0], device=device)
    v = na.asarray([1.0, 1.0, 0.0, 2.0], device=device)
    i = na.asarray([0, 0, 1, 1], device=device)
    gx, gv = nt.grad(lambda a, b: a.at[i].min(b).sum(), (0, 1))(x, v)
    np.testing.assert_allclose(gx.numpy(), [1 / 3, 0, 1], rtol=1e-6)
    np.testing.assert_allclose(gv.numpy(), [1 / 3, 1 / 3, 1, 0], rtol=1e-6)


@every_device
@pytest.mark.parametrize("way", ["min", "max"])
def test_nan_wins_and_leaves_other_places_alone(way: str, device: str) -> None:
    x = na.asarray([1.0, np.nan, np.nan, 4.0], device=device)
    v = na.asarray([np.nan, 2.0], device=device)
    i = na.asarray([0, 1], device=device)
    np.testing.assert_array_equal(getattr(x.at[i], way)(v).numpy(), [np.nan, np.nan, np.nan, 4])
    gx, gv = nt.grad(lambda a, b: getattr(a.at[i], way)(b).sum(), (0, 1))(x, v)
    np.testing.assert_array_equal(gx.numpy(), [0, 1, 1, 1])
    np.testing.assert_array_equal(gv.numpy(), [1, 0])


# --- Batches ---
@every_device
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mapped", [(0, None, None), (None, 0, None), (None, None, 0), (0, 0, 0)], ids=repr)
def test_a_batch_is_a_loop(way: str, mapped: tuple[int | None, ...], device: str) -> None:
    rng = np.random.default_rng(2)
    stacks = [rng.uniform(1, 2, size=(3, 4, 5)), rng.uniform(1, 2, size=(3, 2, 3, 5)), rng.integers(-4, 4, (3, 2, 3))]
    args = [s if axis == 0 else s[0] for s, axis in zip(stacks, mapped, strict=True)]

    def gradients(x: Array, v: Array, i: Array) -> Any:
        out, pullback = nt.vjp(lambda a, b: getattr(a.at[i], way)(b), x, v)
        return out, *pullback(na.ones_like(out))

    found = nt.vmap(gradients, in_axes=mapped)(*(na.asarray(a, device=device) for a in args))
    for k in range(3):
        one = [na.asarray(a[k] if axis == 0 else a, device=device) for a, axis in zip(args, mapped, strict=True)]
        for got, expected in zip(found, gradients(*one), strict=True):
            np.testing.assert_allclose(got.numpy()[k], expected.numpy(), rtol=1e-10)


# --- Masks: one value for all that they select needs no shape that depends on them ---
@every_device
@pytest.mark.parametrize("way", WAYS)
def test_masks_with_one_value(way: str, device: str) -> None:
    values = np.arange(1.0, 13).reshape(3, 4)
    x = na.asarray(values, device=device)
    masks: list[tuple[Any, Any]] = [(values > 5, 2.0), (values[:, 0] > 3, np.arange(1.0, 5)), (values[:, 0] > 99, 2.0)]
    for mask, v in masks:
        expected = x.at[na.asarray(np.flatnonzero(mask) if mask.ndim == 1 else mask, device=device)]
        part = np.broadcast_to(v, values[mask].shape)
        wanted = getattr(expected, way)(na.asarray(part, device=device))
        got = getattr(x.at[na.asarray(mask, device=device)], way)(na.asarray(v, device=device))
        np.testing.assert_array_equal(got.numpy(), wanted.numpy())


@every_device
@pytest.mark.parametrize("way", WAYS)
def test_masks_with_one_value_may_differ_by_example(way: str, device: str) -> None:
    values = np.arange(1.0, 13).reshape(3, 4)
    x, c = na.asarray(values, device=device), na.asarray(2.0, dtype=na.float64, device=device)
    got = nt.vmap(lambda a: getattr(a.at[a > 5.5], way)(c))(x)
    np.testing.assert_array_equal(got.numpy(), getattr(x.at[x > 5.5], way)(c).numpy())
    nt.check_grads(lambda a, b: getattr(a.at[a > 5.5], way)(b), (x, c))


@every_device
@pytest.mark.parametrize("way", ["divide", "power"])
def test_what_a_mask_leaves_out_gets_no_nan(way: str, device: str) -> None:
    x = na.asarray([-1.0, 2.0], device=device)
    mask = na.asarray([False, True], device=device)
    v = na.asarray([0.0, 2.0], device=device)
    for g in nt.grad(lambda a, b: getattr(a.at[mask], way)(b[1]).sum(), (0, 1))(x, v):
        assert np.isfinite(g.numpy()).all()


# --- dtypes and values ---
@every_device
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float16", "bfloat16", "complex64"])
@pytest.mark.parametrize("way", WAYS)
def test_the_dtype_stays(way: str, dtype: str, device: str) -> None:
    x = na.asarray([[2, 3], [5, 7]], device=device).astype(dtype)
    value = 1 if way == "subtract" else 2  # no unsigned integer wraps around
    i = na.asarray([0, 0], device=device)
    if (way == "divide" and x.dtype.kind in "iu") or (way in ("min", "max") and x.dtype.kind == "c"):
        with pytest.raises(na.DTypeError):
            getattr(x.at[i], way)(value)
        return
    for index in (i, 0, (i, 1), x[:, 0] == x[0, 0]):
        got = getattr(x.at[index], way)(value)
        assert got.dtype == x.dtype
        wide = getattr(
            x.astype(na.complex128).at[index] if x.dtype.kind == "c" else x.astype(na.float64).at[index], way
        )
        np.testing.assert_allclose(got.astype(na.complex128).numpy(), wide(value).astype(na.complex128).numpy())


@every_device
def test_parts_can_be_read_and_named_both_ways(device: str) -> None:
    x = na.asarray([[1.0, 2.0], [3.0, 4.0]], device=device)
    for index in (0, (slice(None), na.asarray([1, 1], device=device)), x > 2):
        np.testing.assert_array_equal(x.at[index].get().numpy(), x[index].numpy())
    np.testing.assert_array_equal(x.at[0].mul(3.0).numpy(), x.at[0].multiply(3.0).numpy())


@every_device
def test_wrong_values_and_indices_are_refused(device: str) -> None:
    x = na.zeros((2, 3), device=device)
    i = na.asarray([0, 1], device=device)
    for index in (0, i, (i, i), slice(1)):
        with pytest.raises(na.ShapeError, match="broadcast"):
            x.at[index].set(na.ones((7,), device=device))
    with pytest.raises(na.DTypeError, match="complex values"):
        x.at[i].set(1j)
    with pytest.raises(na.DTypeError, match="divide gives no integers"):
        x.astype(na.int64).at[i].divide(2)
    for way in WAYS:
        with pytest.raises(IndexError, match="out of range"):
            getattr(x.at[i, na.asarray([0, 3], device=device)], way)(1.0)


# --- scatter ---
@every_device
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("mode", WAYS)
def test_scatter_updates_what_take_reads(mode: Any, axis: int, device: str) -> None:
    x = na.asarray(np.linspace(0.4, 2, 12).reshape(3, 4), device=device)
    i = na.asarray([[0, 2], [2, -1]], device=device)
    part = na.take(x, i, axis=axis)
    v = na.asarray(np.random.default_rng(0).uniform(0.5, 3, part.shape), device=device)
    expected = getattr(x.at[i] if axis == 0 else x.at[:, i], mode)(v)
    np.testing.assert_array_equal(na.scatter(x, i, v, axis=axis, mode=mode).numpy(), expected.numpy())
    nt.check_grads(lambda a, b: na.scatter(a, i, b, axis=axis, mode=mode), (x, v))


def test_scatter_checks_its_arguments() -> None:
    x, i = na.zeros((3, 4)), na.asarray([0, 1])
    wrong: list[tuple[type[Exception], Callable[[], object]]] = [
        (ValueError, lambda: na.scatter(x, i, 1.0, mode="average")),  # type: ignore[arg-type]
        (na.DTypeError, lambda: na.scatter(x, na.asarray([0.5]), 1.0)),
        (na.ShapeError, lambda: na.scatter(x, i, 1.0, axis=2)),
        (na.ShapeError, lambda: na.scatter(x, i, na.ones((5,)))),
        (IndexError, lambda: na.scatter(x, na.asarray([3]), 1.0)),
    ]
    for error, attempt in wrong:
        with pytest.raises(error, match=r"scatter|broadcast|out of range"):
            attempt()
