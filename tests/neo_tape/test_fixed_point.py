"""fixed_point: what the unrolled iteration gives, values and derivatives, without keeping its steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, DTypeError, ShapeError, TreeError
from neo_tape import ConvergenceError
from tests.neo_tape.levels import assert_nothing_open

F = Callable[..., Any]
fixed_point: Final[Any] = nt.fixed_point
grad: Final[Any] = nt.grad
hessian: Final[Any] = nt.hessian


def draw(*shape: int, seed: int = 0) -> Array:
    return na.asarray(np.random.default_rng(seed + len(shape)).normal(size=shape))


def same(got: Any, expected: Any, rtol: float = 1e-9) -> None:
    assert na.tree.structure(got) == na.tree.structure(expected)
    for x, y in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=1e-10)


def unrolled(f: F, x: Any, *args: Any, steps: int = 60) -> Any:
    """Return what the iteration arrives at, to be differentiated through its steps: the oracle."""
    for _ in range(steps):
        x = f(x, *args)
    return x


def layer(x: Any, p: Any, b: Array) -> Any:
    h = na.tanh(p["w"] @ x["h"] * 0.3 + b)
    return {"h": h, "c": 0.4 * na.cos(x["c"] * na.sum(h) * p["s"]), "none": None}


START: Final = {"h": na.zeros(3, dtype=na.float64), "c": na.asarray(np.array(0.5)), "none": None}
PARAMS: Final = {"w": draw(3, 3), "s": na.asarray(np.array(0.8))}


@pytest.mark.parametrize("closed_over", [False, True])
def test_derivatives_are_those_of_the_unrolled_iteration(closed_over: bool, device: str) -> None:
    def loss(solve: F) -> F:
        def f(p: Any, b: Array) -> Array:
            q = {**p, "w": na.sin(p["w"])}
            x = solve(lambda x: layer(x, q, b), START) if closed_over else solve(layer, START, q, b)
            total: Array = (x["h"] ** 2).sum() * x["c"]
            return total

        return f

    start, args = na.tree.tree_map(lambda x: x.to(device), (START, (PARAMS, draw(3))))
    ours: F = loss(lambda f, _, *a: fixed_point(f, start, *a))
    expected: F = loss(lambda f, _, *a: unrolled(f, start, *a))
    same(nt.value_and_grad(ours, (0, 1))(*args), nt.value_and_grad(expected, (0, 1))(*args))
    same(nt.jvp(ours, args, args), nt.jvp(expected, args, args))
    same(hessian(ours, 1)(*args), hessian(expected, 1)(*args), rtol=1e-7)
    along: F = lambda f: lambda *a: nt.jvp(grad(f), a, args)[1]["s"]
    same(grad(along(ours), 1)(*args), grad(along(expected), 1)(*args), rtol=1e-6)
    many = na.stack([args[1], 0.1 * args[1]])
    for transform in (lambda f: grad(f, 1), lambda f: lambda p, b: nt.jvp(lambda b: f(p, b), (b,), (b,))[1]):
        mapped: F = lambda f, t=transform: nt.vmap(t(f), in_axes=(None, 0))
        same(mapped(ours)(args[0], many), mapped(expected)(args[0], many))
    total: F = lambda f: lambda p, bs: nt.vmap(f, in_axes=(None, 0))(p, bs).sum()
    same(grad(total(ours), (0, 1))(args[0], many), grad(total(expected), (0, 1))(args[0], many))
    assert_nothing_open()


def test_check_grads() -> None:
    f: F = lambda b: fixed_point(layer, START, PARAMS, b)["h"]
    nt.check_grads(f, (draw(3),), order=2)


def test_babylonian_square_root() -> None:
    f: F = lambda a: fixed_point(lambda x, a: 0.5 * (x + a / x), 1.0, a)
    two = na.asarray(2.0)
    np.testing.assert_allclose(f(two).item(), np.sqrt(2.0), rtol=1e-6)
    np.testing.assert_allclose(grad(f)(two).item(), 0.5 / np.sqrt(2.0), rtol=1e-6)


# --- The iteration ---
def counted(f: F) -> tuple[F, list[Any]]:
    """Return f, and a list that grows with each call."""
    calls: list[Any] = []

    def call(*args: Any) -> Any:
        calls.append(None)
        return f(*args)

    return call, calls


def test_examples_that_have_converged_keep_their_values() -> None:
    f: F = lambda x, rate: rate * x + 1.0
    rates = na.asarray(np.array([0.0, 0.5, 0.97]))
    one = na.asarray(np.array(1.0))
    tol = 1e-3  # coarse, so that each further step would show
    alone = [fixed_point(f, one, rates[i], tol=tol).item() for i in range(3)]
    together = nt.vmap(lambda rate: fixed_point(f, one, rate, tol=tol))(rates)
    assert together.numpy().tolist() == alone
    nested = nt.vmap(nt.vmap(lambda rate: fixed_point(f, one, rate, tol=tol)))(na.stack([rates, rates[::-1]]))
    assert nested.numpy().tolist() == [alone, alone[::-1]]
    same(nt.vmap(grad(lambda rate: fixed_point(f, one, rate)))(rates), (1.0 - rates) ** -2.0)


def test_a_converged_example_may_leave_where_f_is_defined() -> None:
    """Each step but the last is taken at another distance from the pole of the other example."""
    f: F = lambda x, a: na.where(a > 1.0, 0.5 * x, x / a)
    values = nt.vmap(lambda a: fixed_point(f, na.asarray(np.array(1.0)), a))(na.asarray(np.array([1.0, 2.0])))
    same(values, np.array([1.0, 0.0]))


def test_how_close_it_comes_depends_on_tol_and_dtype() -> None:
    errors = []
    for dtype, tol in ((na.float64, 1e-2), (na.float32, None), (na.float64, None)):
        x = fixed_point(lambda x: 0.5 * x + 1.0, na.asarray(0.0, dtype=dtype), tol=tol)
        assert x.dtype == dtype
        errors.append(abs(x.item() - 2.0))
        assert errors[-1] < 8.0 * (tol or float(na.finfo(dtype).eps) ** 0.75)
    assert errors[0] > errors[1] > errors[2] > 0.0


def test_f_is_called_once() -> None:
    f, calls = counted(lambda x: 0.5 * x + 1.0)
    grad(lambda a: fixed_point(lambda x: f(x) * a, ONE))(0.9)
    assert len(calls) == 1


def test_backward_does_not_depend_on_the_number_of_steps() -> None:
    def entries(tol: float) -> int:
        _, pullback = nt.vjp(lambda a: fixed_point(lambda x: na.cos(a * x), na.asarray(1.0), tol=tol), na.asarray(0.9))
        cells = [cell.cell_contents for cell in pullback.__closure__ or ()]
        return sum(len(tape.entries) for tape in cells if isinstance(tape, nt._tape.Tape))

    assert entries(1e-1) == entries(1e-6) == 1


# --- Errors ---
ONE: Final = na.asarray(1.0)
ERRORS: Final[dict[str, tuple[type[Exception], F, str]]] = {
    "slow": (ConvergenceError, lambda: fixed_point(lambda x: -x, ONE, max_steps=7), "after 7 steps.*up to 2.*tol"),
    "diverges": (ConvergenceError, lambda: fixed_point(lambda x: x * x, 2.0 * ONE), "infinite or nan after 7 steps"),
    "nan": (ConvergenceError, lambda: fixed_point(lambda x: na.log(x - 2.0), ONE), "nan after 1 steps"),
    "one example": (
        ConvergenceError,
        lambda: nt.vmap(lambda a: fixed_point(lambda x: a * x, ONE))(na.asarray([0.5, 2.0])),
        "infinite or nan",
    ),
    "integers": (DTypeError, lambda: fixed_point(lambda x: x, na.asarray(1)), "real floating"),
    "an int": (DTypeError, lambda: fixed_point(lambda x: x, 1), "type int"),
    "complex": (DTypeError, lambda: fixed_point(lambda x: x, na.asarray(1j)), "complex"),
    "structure": (TreeError, lambda: fixed_point(lambda x: (x, x), ONE), "f must return the structure"),
    "dtype": (DTypeError, lambda: fixed_point(lambda x: x.astype(na.float64), ONE), "f must return.*float64"),
    "shape": (DTypeError, lambda: fixed_point(lambda x: x * na.ones(2), ONE), r"unknown .*\(\).*got shape \(2,\)"),
    "path": (DTypeError, lambda: fixed_point(lambda x: {"a": x["a"][0]}, {"a": na.ones(2)}), "unknown at 'a'"),
    "no function": (DTypeError, lambda: fixed_point(ONE, ONE), "f must be a function"),
    "no steps": (ShapeError, lambda: fixed_point(lambda x: x, ONE, max_steps=0), "max_steps must be"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    kind, call, message = ERRORS[case]
    with pytest.raises(kind, match=f"(?s)fixed_point: .*{message}"):
        call()


def test_values_are_read_in_f() -> None:
    f: F = lambda a: fixed_point(lambda x: 0.5 * x + a if a > 0 else 0.25 * x + a, ONE)
    same(grad(f)(na.asarray(1.0)), na.asarray(2.0), rtol=1e-6)
    same(grad(f)(na.asarray(-1.0)), na.asarray(4 / 3), rtol=1e-6)


def test_integer_and_other_arguments() -> None:
    f: F = lambda x, how, n, p: 0.5 * x + p[n] if how == "half" else x
    p = draw(4)
    n = na.asarray(2)
    g = grad(lambda p, n: fixed_point(f, na.asarray(np.array(0.0)), "half", n, p), (0, 1))(p, n)
    same(g, (np.array([0.0, 0.0, 2.0, 0.0]), np.array(0)))
