"""What each transform makes of each kind of leaf: the tree comes back whole, with a typed outcome at every place."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, DTypeError
from tests.neo_tape.transforms import F

X: Final = na.asarray(np.array([1.0, 2.0, 3.0]))
any_nt: Final[Any] = nt  # trees and outputs of any kind, which checkers need not follow


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclass(frozen=True)
class Layer:
    weight: Any
    bias: Any
    name: str
    size: int


def _flatten(layer: Layer) -> tuple[tuple[object, ...], tuple[str, int], tuple[str, ...]]:
    return (layer.weight, layer.bias), (layer.name, layer.size), ("weight", "bias")


def _unflatten(static: tuple[str, int], children: Iterable[Any]) -> Layer:
    weight, bias = children
    return Layer(weight, bias, *static)


na.tree.register(Layer, _flatten, _unflatten)


def zeros(*shape: int, dtype: Any = na.float64) -> Array:
    return na.zeros(shape, dtype=dtype)


# a leaf that f gets and does not use, and its gradient
LEAVES: Final[dict[str, tuple[Any, Any]]] = {
    # --- Differentiable: zeros that look like it ---
    "float64": (na.ones(2, dtype=na.float64), zeros(2)),
    "float32": (na.ones(2), zeros(2, dtype=na.float32)),
    "float16": (na.ones((2, 1), dtype=na.float16), zeros(2, 1, dtype=na.float16)),
    "0-d": (na.asarray(2.5), zeros(dtype=na.float32)),
    "empty": (zeros(0, 3), zeros(0, 3)),
    "float": (2.5, zeros(dtype=na.float32)),
    "NumPy float": (np.float64(2.5), zeros()),
    # --- Not differentiable: zeros of its own dtype, or its own zero ---
    "int64": (na.asarray([1, 2]), zeros(2, dtype=na.int64)),
    "uint8": (na.asarray([1, 2], dtype=na.uint8), zeros(2, dtype=na.uint8)),
    "bool array": (na.asarray([True, False]), zeros(2, dtype=na.bool)),
    "0-d int": (na.asarray(3), zeros(dtype=na.int64)),
    "int": (3, 0),
    "bool": (True, False),
    "NumPy int": (np.int32(3), np.int32(0)),
    "NumPy bool": (np.bool_(True), np.bool_(False)),
    # --- Static: passed through ---
    "text": ("relu", "relu"),
    "function": (abs, abs),
    "ellipsis": (..., ...),
    "None": (None, None),
    # --- Containers ---
    "NamedTuple": (Pair(X, None), Pair(zeros(3), None)),
    "dataclass": (Layer(X, None, "first", 3), Layer(zeros(3), None, "first", 3)),
    "dataclass of static leaves": (Layer("text", 3, "first", 3), Layer("text", 0, "first", 3)),
    "nested": (
        [Pair({"a": X, "b": 3}, ()), OrderedDict(z="s")],
        [Pair({"a": zeros(3), "b": 0}, ()), OrderedDict(z="s")],
    ),
}

# how to get the gradient of a scalar function of a tree
GRADIENTS: Final[dict[str, Callable[[F, Any], Any]]] = {
    "grad": lambda f, t: any_nt.grad(f)(t),
    "grad by tuple": lambda f, t: any_nt.grad(lambda a, t: f(t), (0, 1))(X, t)[1],
    "grad by name": lambda f, t: any_nt.grad(lambda *, tree: f(tree), argnames="tree")(tree=t),
    "value_and_grad": lambda f, t: any_nt.value_and_grad(f)(t)[1],
    "vjp": lambda f, t: any_nt.vjp(f, t)[1](na.asarray(1.0, dtype=na.float64))[0],
    "linear_transpose": lambda f, t: any_nt.linear_transpose(f, t)(na.asarray(1.0, dtype=na.float64))[0],
    "jacrev": lambda f, t: any_nt.jacrev(f)(t),
    "hvp": lambda f, t: any_nt.hvp(lambda t: 0.5 * f(t) ** 2, _with(t, 0.0), t),
    "grad of checkpoint": lambda f, t: any_nt.grad(any_nt.checkpoint(f))(t),
    "checkpoint of grad": lambda f, t: any_nt.checkpoint(any_nt.grad(f))(t),
    "vmap of grad": lambda f, t: any_nt.vmap(any_nt.grad(f), in_axes=None, out_axes=None, axis_size=2)(t),
    "grad of grad": lambda f, t: any_nt.grad(lambda t: any_nt.grad(lambda t: 0.5 * f(t) * f(t))(t)["x"][0])(t),
}


def _with(t: Any, x: float) -> Any:
    return t | {"x": x * t["x"]}


def same(got: Any, expected: Any) -> None:
    """Check leaves with their types and dtypes; what stands at a float's place is an Array."""
    assert na.tree.structure(got) == na.tree.structure(expected)
    for g, e in zip(na.tree.leaves(got), na.tree.leaves(expected), strict=True):
        assert type(g) is type(e)
        if type(e) is Array:
            assert (g.shape, g.dtype, g.device) == (e.shape, e.dtype, e.device)
            np.testing.assert_array_equal(g.numpy(), e.numpy())
        else:
            assert g is e or g == e


@pytest.mark.parametrize("leaf", LEAVES)
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_gradient_by_a_tree_with_such_a_leaf(gradient: str, leaf: str) -> None:
    given, expected = LEAVES[leaf]

    def f(t: Any) -> Any:
        for got, was in zip(na.tree.leaves(t["leaf"]), na.tree.leaves(given), strict=True):
            if isinstance(was, float):
                assert type(got) in (Array, type(was))  # a 0-d Array where it is differentiated
            else:
                assert type(got) is type(was)
                assert got is was or type(was) is Array or got == was
        return t["x"].sum()

    got = GRADIENTS[gradient](f, {"x": X, "leaf": given})
    same(got["leaf"], expected)
    assert got["x"].numpy().tolist() == [6.0 if gradient == "hvp" else 1.0] * 3


# --- Outputs ---
def tangent_of(leaf: Any) -> Any:
    """Return the zero that stands for an output's tangent: a number keeps its type."""
    if type(leaf) is Array:
        return na.zeros_like(leaf)
    return type(leaf)(0) if isinstance(leaf, int | float | complex | np.number | np.bool_) else leaf


TANGENTS: Final[dict[str, Callable[[F], Any]]] = {
    "jvp": lambda f: any_nt.jvp(f, (X,), (X,)),
    "linearize": lambda f: _linearized(f),
    "jvp of checkpoint": lambda f: any_nt.jvp(any_nt.checkpoint(f), (X,), (X,)),
    "checkpoint of jvp": lambda f: any_nt.checkpoint(lambda x: any_nt.jvp(f, (x,), (x,)))(X),
    "jvp of jvp": lambda f: any_nt.jvp(lambda x: any_nt.jvp(f, (x,), (x,)), (X,), (X,))[0],
}


def _linearized(f: F) -> Any:
    out, push = any_nt.linearize(f, X)
    return out, push(X)


@pytest.mark.parametrize("leaf", LEAVES)
@pytest.mark.parametrize("transform", TANGENTS)
def test_tangent_of_an_output_with_such_a_leaf(transform: str, leaf: str) -> None:
    given = LEAVES[leaf][0]
    out, tangent = TANGENTS[transform](lambda x: {"y": 2.0 * x, "leaf": given})
    same(out["leaf"], given)
    wanted = na.tree.tree_map(tangent_of, given)
    same(tangent["leaf"], wanted)
    assert tangent["y"].numpy().tolist() == [2.0, 4.0, 6.0]


@pytest.mark.parametrize("leaf", LEAVES)
@pytest.mark.parametrize("transform", ["vjp", "checkpoint", "vjp of checkpoint", "linear_transpose", "grad's aux"])
def test_output_with_such_a_leaf(transform: str, leaf: str) -> None:
    given = LEAVES[leaf][0]
    f: F = lambda x: {"y": 2.0 * x, "leaf": given}
    if transform == "checkpoint":
        out: Any = any_nt.checkpoint(f)(X)
    elif transform == "grad's aux":
        gradient, out = any_nt.grad(lambda x: (x.sum(), f(x)), has_aux=True)(X)
        assert gradient.numpy().tolist() == [1.0] * 3
    elif transform == "linear_transpose":
        zero = na.tree.tree_map(tangent_of, given)
        out = {"y": 2.0 * X, "leaf": given}
        transposed = any_nt.linear_transpose(lambda x: {"y": 2.0 * x, "leaf": zero}, X)
        assert transposed(out)[0].numpy().tolist() == [4.0, 8.0, 12.0]
    else:
        out, pullback = any_nt.vjp(any_nt.checkpoint(f) if "checkpoint" in transform else f, X)
        assert pullback(out)[0].numpy().tolist() == [4.0, 8.0, 12.0]
    same(out["leaf"], given)


@pytest.mark.parametrize("leaf", LEAVES)
def test_vmap_passes_such_a_leaf_on(leaf: str) -> None:
    given = LEAVES[leaf][0]
    seen: list[Any] = []

    def f(x: Array, leaf: Any) -> Any:
        seen.append(leaf)
        return {"y": 2.0 * x, "leaf": leaf}

    out = any_nt.vmap(f, in_axes=(0, None), out_axes={"y": 0, "leaf": None})(X, given)
    same(seen[0], given)
    same(out["leaf"], given)
    stacked = na.tree.tree_map(lambda x: na.stack([x, x, x]) if type(x) is Array else x, given)
    mapped = any_nt.vmap(f)(X, stacked)
    same(mapped["leaf"], stacked)
    assert [type(x) for x in na.tree.leaves(seen[1])] == [type(x) for x in na.tree.leaves(given)]


@pytest.mark.parametrize("leaf", LEAVES)
def test_stop_gradient_passes_such_a_leaf_on(leaf: str) -> None:
    same(nt.stop_gradient(LEAVES[leaf][0]), LEAVES[leaf][0])


@pytest.mark.parametrize("leaf", LEAVES)
def test_policy_takes_such_a_leaf_as_argument_and_option(leaf: str) -> None:
    given = LEAVES[leaf][0]

    @nt.function
    class Doubles(nt.Policy):
        def forward(self, x: Array, tree: Any, *, option: Any) -> Array:
            same(option, given)
            self.ctx.save(tree, option)
            return 2.0 * x

        def backward(self, grad: Array) -> tuple[Any, ...]:
            tree, option = self.ctx.release
            same(tree, given)
            same(option, given)
            return 3.0 * grad, na.tree.tree_map(lambda x: na.zeros_like(x) if type(x) is Array else None, tree)

    for gradient in ("grad", "vjp", "jacrev", "grad of checkpoint"):
        f = lambda x: Doubles(x, given, option=given).sum()
        assert GRADIENTS[gradient](f, X).numpy().tolist() == [3.0] * 3


# --- Jacobians and Hessians: a block for each pair of leaves ---
@pytest.mark.parametrize("leaf", LEAVES)
@pytest.mark.parametrize("jacobian", ["jacrev", "jacfwd"])
def test_jacobian_by_a_tree_with_such_a_leaf(jacobian: str, leaf: str) -> None:
    given, expected = LEAVES[leaf]
    jac = {"jacrev": any_nt.jacrev, "jacfwd": any_nt.jacfwd}[jacobian]
    got = jac(lambda t: 2.0 * t["x"])({"x": X, "leaf": given})
    assert got["x"].numpy().tolist() == (2.0 * np.eye(3)).tolist()
    rows: F = lambda z: na.zeros(
        (3, *z.shape), dtype=z.dtype if jacobian == "jacrev" or _is_discrete(z) else na.float64
    )
    same(got["leaf"], na.tree.tree_map(lambda z: rows(z) if type(z) is Array else z, expected))


def _is_discrete(x: Array) -> bool:
    return x.dtype.kind not in "fc"


@pytest.mark.parametrize("leaf", LEAVES)
def test_hessian_by_a_tree_with_such_a_leaf(leaf: str) -> None:
    given, expected = LEAVES[leaf]
    got = any_nt.hessian(lambda t: (t["x"] ** 3).sum())({"x": X, "leaf": given})
    assert got["x"]["x"].numpy().tolist() == np.diag(6.0 * X.numpy()).tolist()
    assert na.tree.structure(got["x"]["leaf"]) == na.tree.structure(expected)
    for block, z in zip(na.tree.leaves(got["x"]["leaf"]), na.tree.leaves(expected), strict=True):
        if type(z) is Array:
            assert (block.shape, block.numpy().any()) == ((3, *z.shape), False)
        else:
            assert block == z
    # the rows of such a leaf: trees like the argument in its place
    rows = na.tree.flatten(got["leaf"])[0]
    tree = {"x": zeros(3), "leaf": expected}
    columns = na.tree.leaves(tree)
    blocks = [rows[i : i + len(columns)] for i in range(0, len(rows), len(columns))]
    assert len(blocks) == len(na.tree.leaves(expected))
    for row, y in zip(blocks, na.tree.leaves(expected), strict=True):
        for block, x in zip(row, columns, strict=True):
            if type(x) is Array and type(y) is Array:
                assert (block.shape, block.numpy().any()) == ((*y.shape, *x.shape), False)
                assert block.dtype == y.dtype or not _is_discrete(y)
            else:
                assert block == (y if type(x) is Array else x)


# --- What is refused ---
@pytest.mark.parametrize("leaf", [np.ones(2), np.ones(()), [np.ones(2)]], ids=["1-d", "0-d", "in a list"])
@pytest.mark.parametrize("gradient", GRADIENTS.keys() - {"hvp", "grad by name"})
def test_numpy_array_is_refused_by_its_path(gradient: str, leaf: Any) -> None:
    with pytest.raises(DTypeError, match=r"leaf '.*leaf.*' is a numpy.ndarray; wrap it in na.asarray"):
        GRADIENTS[gradient](lambda t: t["x"].sum(), {"x": X, "leaf": leaf})


def test_integers_that_the_output_depends_on_are_constants() -> None:
    """In every transform; a float that is cast to an integer on the way is one from there on."""
    n = na.asarray([1, 2, 3])
    f = lambda t: (t["x"] * t["n"] * t["k"] * t["x"].astype(na.int64)).sum()
    for name, gradient in GRADIENTS.items():
        if name in ("linear_transpose", "hvp", "grad of grad"):
            continue
        got = gradient(f, {"x": X, "n": n, "k": 2})
        assert got["x"].numpy().tolist() == [2.0, 8.0, 18.0], name
        same(got["n"], na.zeros_like(n))
        same(got["k"], 0)
