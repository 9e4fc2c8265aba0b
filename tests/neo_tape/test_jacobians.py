"""jacrev, jacfwd, hessian and hvp: against JAX in float64, in any structure, chunk and nesting."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, DTypeError, LevelError, ShapeError, TreeError
from tests.neo_tape.jax_float64 import jax_in_float64
from tests.neo_tape.levels import assert_nothing_open

F = Callable[..., Any]
jacrev: Final[Any] = nt.jacrev
jacfwd: Final[Any] = nt.jacfwd
hessian: Final[Any] = nt.hessian
hvp: Final[Any] = nt.hvp
BOTH: Final = pytest.mark.parametrize("jac", [jacrev, jacfwd], ids=["rev", "fwd"])


class Point(NamedTuple):
    x: Any
    y: Any


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed + len(shape)).normal(size=shape)


# --- Functions of an array library, their arguments, and the rest of the call ---
class Case(NamedTuple):
    f: F
    args: tuple[Any, ...]
    options: Mapping[str, Any] = MappingProxyType({})


CASES: Final[dict[str, Case]] = {
    "vector": Case(lambda xp, x: xp.sin(x) * xp.sum(x), (draw(3),)),
    "scalar to vector": Case(lambda xp, x: xp.stack([x, x * x, xp.exp(x)]), (draw(),)),
    "vector to scalar": Case(lambda xp, x: xp.sum(x * x * x), (draw(3),)),
    "scalar": Case(lambda xp, x: xp.tanh(x), (draw(),)),
    "matrix": Case(lambda xp, x: xp.tanh(x @ x.T), (draw(2, 3),)),
    "identity": Case(lambda xp, x: x, (draw(2, 2),)),
    "constant": Case(lambda xp, x: xp.ones((2,), dtype=xp.float64) * 3.0, (draw(3),)),
    "empty argument": Case(lambda xp, x: xp.sum(x) + xp.ones((2,), dtype=xp.float64), (draw(0, 3),)),
    "empty output": Case(lambda xp, x: xp.reshape(x, (2, 2))[:0], (draw(4),)),
    "two arguments": Case(lambda xp, w, x: xp.tanh(w @ x), (draw(2, 3), draw(3)), {"argnums": (0, 1)}),
    "second argument": Case(lambda xp, w, x: xp.tanh(w @ x), (draw(2, 3), draw(3)), {"argnums": 1}),
    "last argument, first": Case(lambda xp, w, x: xp.tanh(w @ x), (draw(2, 3), draw(3)), {"argnums": (-1, 0)}),
    "one in a tuple": Case(lambda xp, w, x: xp.tanh(w @ x), (draw(2, 3), draw(3)), {"argnums": (1,)}),
    "unused argument": Case(lambda xp, x, y: xp.sin(x), (draw(3), draw(2)), {"argnums": (0, 1)}),
    "pytree in": Case(
        lambda xp, p: xp.tanh(p["w"] @ p["b"][0]) * p["b"][1], ({"w": draw(2, 3), "b": [draw(3), draw()]},)
    ),
    "pytree out": Case(lambda xp, x: {"a": (xp.sin(x), x @ x), "b": [xp.sum(x)]}, (draw(3),)),
    "pytrees": Case(
        lambda xp, p, q: Point(p.x @ q["z"], {"s": xp.sum(p.y * p.y), "n": None}),
        (Point(draw(2, 3), draw(2)), {"z": draw(3), "none": None}),
        {"argnums": (0, 1)},
    ),
    "the same array twice": Case(lambda xp, x, y: x * xp.sin(y), (draw(3), draw(3)), {"argnums": (0, 1)}),
}


@pytest.fixture(scope="module")
def oracle() -> Iterator[Any]:
    with jax_in_float64() as jax:
        yield jax


def on(make: F, args: Any) -> Any:
    return na.tree.tree_map(make, args)


def same(got: Any, expected: Any) -> None:
    """Compare trees of our Arrays with trees of anything that NumPy reads."""
    assert na.tree.structure(got) == na.tree.structure(expected)
    for x, y in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
        assert x.shape == y.shape
        assert x.dtype == y.dtype
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=1e-11, atol=1e-12)


@BOTH
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("chunk_size", [None, 1, 2])
def test_jacobian_is_jax_s(jac: F, case: Case, chunk_size: int | None, oracle: Any) -> None:
    got = jac(lambda *a: case.f(na, *a), **case.options, chunk_size=chunk_size)(*on(na.asarray, case.args))
    xp = oracle.numpy
    reference = oracle.jacrev if jac is jacrev else oracle.jacfwd
    same(got, reference(lambda *a: case.f(xp, *a), **case.options)(*on(xp.asarray, case.args)))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("chunk_size", [None, 1, 2])
def test_hessian_is_jax_s(case: Case, chunk_size: int | None, oracle: Any) -> None:
    got = hessian(lambda *a: case.f(na, *a), **case.options, chunk_size=chunk_size)(*on(na.asarray, case.args))
    xp = oracle.numpy
    same(got, oracle.hessian(lambda *a: case.f(xp, *a), **case.options)(*on(xp.asarray, case.args)))


@pytest.mark.parametrize("name", ["vector to scalar", "scalar", "matrix", "pytree in", "empty argument"])
def test_hvp_is_jax_s(name: str, oracle: Any) -> None:
    case, xp = CASES[name], oracle.numpy
    (x,) = case.args
    v = on(lambda leaf: np.cos(leaf) + 0.5, x)
    got = hvp(lambda x: na.sum(case.f(na, x)), on(na.asarray, x), on(na.asarray, v))
    gradient = oracle.grad(lambda x: xp.sum(case.f(xp, x)))
    same(got, oracle.jvp(gradient, (on(xp.asarray, x),), (on(xp.asarray, v),))[1])


def test_jacobians_on_each_backend(device: str) -> None:
    w, x = na.asarray(draw(2, 3)), na.asarray(draw(3))
    f: F = lambda w, x: na.tanh(w @ x)
    for jac in (jacrev, jacfwd):
        by_w, by_x = jac(f, (0, 1), chunk_size=2)(w, x)
        assert (str(by_w.device), by_w.shape, by_x.shape) == (device, (2, 2, 3), (2, 3))
        np.testing.assert_allclose(by_x.numpy(), (1 - np.tanh(draw(2, 3) @ draw(3)) ** 2)[:, None] * draw(2, 3))


# --- The rest of the call ---
@BOTH
def test_arguments_by_name(jac: F) -> None:
    f: F = lambda x, *, a, b: x * a * b
    x, a, b = na.asarray(draw(2)), na.asarray(np.float64(3.0)), na.asarray(np.float64(2.0))
    assert jac(f, argnames="a")(x, a=a, b=b).numpy().tolist() == (2.0 * x).numpy().tolist()
    both = jac(f, argnames=("a", "b"))(x, a=a, b=b)
    assert {k: g.numpy().tolist() for k, g in both.items()} == {
        "a": (2.0 * x).numpy().tolist(),
        "b": (3.0 * x).numpy().tolist(),
    }
    second = hessian(lambda x, a: (x * a * a).sum(), argnames=("x", "a"))(x, a)
    assert {(i, j): g.shape for i, row in second.items() for j, g in row.items()} == {
        ("x", "x"): (2, 2),
        ("x", "a"): (2,),
        ("a", "x"): (2,),
        ("a", "a"): (),
    }


@pytest.mark.parametrize("jac", [jacrev, jacfwd, hessian], ids=["rev", "fwd", "hessian"])
def test_aux_comes_second(jac: F) -> None:
    calls = []

    def f(x: Array, k: int) -> Any:
        calls.append(k)
        return x * x, {"twice": x * 2.0, "k": k}

    x = na.asarray(draw(3))
    jacobian, aux = jac(f, has_aux=True)(x, 7)
    same(jacobian, jac(lambda x: x * x)(x))
    assert (aux["twice"].numpy().tolist(), aux["k"], calls) == ((2.0 * x).numpy().tolist(), 7, [7])


@BOTH
def test_function_runs_once_whatever_the_chunks(jac: F) -> None:
    calls = []

    def f(x: Array) -> Array:
        calls.append(1)
        return na.sin(x)

    for chunk_size in (None, 1, 2):
        jac(f, chunk_size=chunk_size)(na.asarray(draw(5)))
    assert len(calls) == 3


@BOTH
def test_numbers_integers_and_static_leaves(jac: F) -> None:
    """A float is a 0-d Array, an integer Array has zeros of its dtype, all else its own zero or itself."""
    n = na.asarray([1, 2])
    tree = {"x": na.asarray(draw(3)), "f": 2.0, "n": n, "i": 3, "flag": True, "s": "text", "none": None}
    got = jac(lambda t: t["x"] * t["f"] * t["n"][1] * t["i"])(tree)
    assert na.tree.structure(got) == na.tree.structure(tree)
    np.testing.assert_allclose(got["x"].numpy(), 12.0 * np.eye(3))
    np.testing.assert_allclose(got["f"].numpy(), 6.0 * draw(3))
    assert (got["n"].shape, got["n"].dtype, got["n"].numpy().any()) == ((3, 2), n.dtype, False)
    assert (got["i"], got["flag"], got["s"]) == (0, False, "text")


@BOTH
def test_float_output_is_a_constant(jac: F) -> None:
    got = jac(lambda x: {"x": x, "c": 2.5})(na.asarray(draw(2)))
    assert got["c"].numpy().tolist() == [0.0, 0.0]


# --- Complex numbers ---
Z: Final = draw(3) + 1j * draw(3, seed=5)


@BOTH
def test_holomorphic_function_has_its_complex_derivative(jac: F, oracle: Any) -> None:
    f: F = lambda xp, z: xp.exp(z) * xp.sum(z * z)
    reference = oracle.jacrev if jac is jacrev else oracle.jacfwd
    expected = reference(lambda z: f(oracle.numpy, z), holomorphic=True)(oracle.numpy.asarray(Z))
    same(jac(lambda z: f(na, z), holomorphic=True)(na.asarray(Z)), expected)
    second = oracle.hessian(lambda z: f(oracle.numpy, z), holomorphic=True)(oracle.numpy.asarray(Z))
    same(hessian(lambda z: f(na, z), holomorphic=True)(na.asarray(Z)), second)


def test_complex_output_of_a_real_argument_and_real_output_of_a_complex_one(oracle: Any) -> None:
    xp = oracle.numpy
    curve: F = lambda xp, x: xp.exp(x * (1.0 + 2.0j))
    same(
        jacfwd(lambda x: curve(na, x))(na.asarray(draw(3))), oracle.jacfwd(lambda x: curve(xp, x))(xp.asarray(draw(3)))
    )
    energy: F = lambda xp, z: xp.abs(z) ** 2 + xp.real(z * z)
    same(jacrev(lambda z: energy(na, z))(na.asarray(Z)), oracle.jacrev(lambda z: energy(xp, z))(xp.asarray(Z)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: jacrev(lambda z: z * z)(na.asarray(Z)), r"jacrev: .*holomorphic=True.*complex128 outputs; jacfwd"),
        (lambda: jacrev(lambda x: x * 1j)(na.asarray(draw(2))), r"jacrev: .*complex128 outputs; jacfwd"),
        (lambda: jacfwd(lambda z: z * z)(na.asarray(Z)), r"jacfwd: .*holomorphic=True.*complex128 arguments; jacrev"),
        (lambda: jacrev(na.sin, holomorphic=True)(na.asarray(draw(2))), r"jacrev: holomorphic=True needs complex"),
        (lambda: jacfwd(na.abs, holomorphic=True)(na.asarray(Z)), r"jacfwd: holomorphic=True needs complex"),
        (lambda: jacrev(na.argmax)(na.asarray(draw(2))), r"jacrev: .*floating Arrays.*int64; return it as aux"),
        (lambda: jacfwd(lambda x: {"a": [x, x > 0]})(na.asarray(draw(2))), r"jacfwd: .*'a.1' has dtype bool"),
        (lambda: jacrev(lambda x: "text")(na.asarray(draw(2))), r"jacrev: .*type str"),
        (lambda: jacrev(na.sin, 1)(na.asarray(draw(2))), r"jacrev: argnums=1 but the call has 1"),
        (lambda: hessian(na.sin, "x")(na.asarray(draw(2))), r"hessian: argnums must be an int"),
        (lambda: jacfwd(na.sin, 1, argnames="x"), r"jacfwd: give argnums or argnames"),
        (lambda: jacfwd(na.sin, chunk_size=2.0), r"jacfwd: chunk_size must be an int"),
        (lambda: jacrev(lambda x: x)(draw(2)), r"jacrev: .*ndarray; wrap it in na.asarray"),
    ],
)
def test_what_has_no_jacobian_is_refused(call: F, words: str) -> None:
    with pytest.raises(DTypeError, match=words):
        call()
    assert_nothing_open()


def test_wrong_sizes_and_structures_are_refused() -> None:
    x = na.asarray(draw(2))
    with pytest.raises(ShapeError, match="hessian: chunk_size must be positive, got 0"):
        hessian(na.sin, chunk_size=0)
    with pytest.raises(TreeError, match=r"jacrev: with has_aux=True, f must return \(output, aux\)"):
        jacrev(na.sin, has_aux=True)(x)
    with pytest.raises(TreeError, match="hvp: the vector must have the argument's structure"):
        hvp(lambda p: p["a"].sum(), {"a": x}, {"b": x})
    with pytest.raises(ShapeError, match=r"hvp: the vector has shape \(3,\), its argument \(2,\)"):
        hvp(lambda x: (x * x).sum(), x, na.asarray(draw(3)))
    with pytest.raises(ShapeError, match="must return a scalar"):
        hvp(na.sin, x, x)


# --- What cannot run under vmap ---
@nt.function
class Reads(nt.Policy):
    """Squares, and reads values on the way back."""

    def forward(self, x: Array) -> Array:
        self.ctx.save(x)
        return x * x

    def backward(self, grad: Array) -> tuple[Array]:
        (x,) = self.ctx.release
        return (2.0 * grad * x if grad.sum() else na.zeros_like(grad),)

    def jvp(self, t: Array) -> Array:
        (x,) = self.ctx.release
        return 2.0 * t * x if t.sum().item() or t[0].item() else na.zeros_like(t)


def test_rule_that_reads_values_needs_a_loop() -> None:
    x = na.asarray(draw(3))
    with pytest.raises(LevelError, match=r"jacrev: vmap: .*; jacrev\(f, chunk_size=1\)"):
        jacrev(Reads)(x)
    assert_nothing_open()
    np.testing.assert_allclose(jacrev(Reads, chunk_size=1)(x).numpy(), np.diag(2 * draw(3)))


# --- In one another, and in other transforms ---
def test_jacobians_of_jacobians() -> None:
    x = na.asarray(draw(3))
    f: F = lambda x: na.sin(x) * x.sum()
    orders = [a(b(f)) for a in (jacrev, jacfwd) for b in (jacrev, jacfwd)]
    for g in orders[1:]:
        same(g(x), orders[0](x))
    third = jacfwd(jacrev(jacfwd(f)))(x)
    for i in range(3):
        same(third[i], jacfwd(hessian(lambda x, i=i: f(x)[i]))(x))
    same(na.moveaxis(third, 3, 1), third)  # mixed derivatives commute
    same(na.moveaxis(third, 2, 1), third)


def test_gradient_through_a_jacobian_and_over_its_closure() -> None:
    w, x = na.asarray(draw(3, seed=4)), na.asarray(draw(3))
    for jac in (jacrev, jacfwd):
        loss = lambda w, jac=jac: (jac(lambda x: na.sin(w * x) * x.sum())(x) ** 2).sum()
        nt.check_grads(loss, (w,), order=2)


def test_jacobian_of_each_example() -> None:
    xs = na.asarray(draw(4, 3))
    f: F = lambda x: na.sin(x) * x.sum()
    for jac in (jacrev, jacfwd, hessian):
        for chunk_size in (None, 1, 2):
            got = nt.vmap(jac(f, chunk_size=chunk_size))(xs)
            same(got, na.stack([jac(f)(xs[i]) for i in range(4)]))


def test_hessian_of_a_checkpointed_policy() -> None:
    x = na.asarray(draw(3))

    @nt.function
    class Sine(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return na.sin(x)

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * na.cos(self.ctx.release[0]),)

    same(hessian(nt.checkpoint(lambda x: (Sine(x) * x).sum()))(x), hessian(lambda x: (na.sin(x) * x).sum())(x))


def test_hvp_takes_further_arguments_and_agrees_with_the_hessian() -> None:
    x, v, w = (na.asarray(draw(3, seed=s)) for s in range(3))
    f: F = lambda x, w, *, power: ((x * w).sum() ** power) + (x**3).sum()
    expected = hessian(f)(x, w, power=3) @ v
    np.testing.assert_allclose(hvp(f, x, v, w, power=3).numpy(), expected.numpy())
    nt.check_grads(lambda x, v: hvp(f, x, v, w, power=2), (x, v), order=1)
    assert hvp(lambda p: p[0] * p[0] * p[1], (na.asarray(2.0), 3.0), (1.0, 0.0))[1].item() == 4.0


def test_chunks_bound_the_memory() -> None:
    x = na.asarray(draw(300))
    peaks = []
    for chunk_size in (None, 10):
        tracemalloc.start()
        jacrev(lambda x: na.cumulative_sum(na.sin(na.sin(na.sin(x)))), chunk_size=chunk_size)(x)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 0.75 * peaks[0]
