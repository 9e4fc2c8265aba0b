"""What value_and_grad, vjp and jvp refuse: each error says what, got, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, DTypeError, LevelError, ShapeError, TreeError

value_and_grad: Final[Any] = nt.value_and_grad
vjp: Final[Any] = nt.vjp
jvp: Final[Any] = nt.jvp

X: Final = na.asarray([1.0, 2.0, 3.0])
Y: Final = na.asarray([[1.0], [2.0]])


def needs(*words: str) -> str:
    """Match a message that has these parts in this order."""
    return ".*".join(map(re.escape, words))


# --- The output ---
@pytest.mark.parametrize(
    ("output", "error", "words"),
    [
        (lambda x: x, ShapeError, ("must return a scalar", "shape (3,)", ".sum()", "vjp")),
        (lambda x: x[:1], ShapeError, ("must return a scalar", "shape (1,)", "vjp")),
        (lambda x: (x > 1.0).sum(), DTypeError, ("real floating scalar", "int64")),
        (lambda x: na.any(x > 1.0), DTypeError, ("real floating scalar", "bool")),
        (lambda x: x.sum() * 1j, DTypeError, ("real floating scalar", "complex")),
        (lambda x: (x.sum(), x), DTypeError, ("tuple", "has_aux=True")),
        (lambda x: None, DTypeError, ("NoneType",)),
        (lambda x: 3, DTypeError, ("int",)),
        (lambda x: "loss", DTypeError, ("str",)),
        (lambda x: np.float64(3.0) if x is None else [x.sum()], DTypeError, ("list",)),
    ],
)
def test_output_that_is_no_real_scalar(
    output: Callable[[Array], Any], error: type[Exception], words: tuple[str, ...]
) -> None:
    with pytest.raises(error, match=needs("value_and_grad", *words)):
        value_and_grad(output)(X)
    with pytest.raises(error):
        nt.grad(output)(X)


@pytest.mark.parametrize("result", [lambda x: x.sum(), lambda x: (x.sum(),), lambda x: [x.sum(), x]])
def test_has_aux_needs_a_pair(result: Callable[[Array], Any]) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: value_and_grad(result, has_aux=True)(X),
        lambda: vjp(result, X, has_aux=True),
        lambda: jvp(result, (X,), (X,), has_aux=True),
    ]
    for call in calls:
        with pytest.raises(TreeError, match=needs("has_aux=True", "(output, aux)", "got")):
            call()


# --- The arguments ---
@pytest.mark.parametrize(
    ("argnums", "words"),
    [
        (2, ("argnums=2", "2 positional arguments", "argnames")),
        (-3, ("argnums=-3", "2 positional")),
        ((0, 5), ("(0, 5)", "2 positional")),
        ((0, 0), ("twice",)),
        ((1, -1), ("twice",)),
        ("x", ("argnums must be an int or a tuple or list", "'x'", "argnames")),
        (1.0, ("argnums must be", "1.0")),
        (True, ("argnums must be", "True")),
        ((True,), ("argnums must be", "True")),
        (None, ("argnums must be", "None")),
    ],
)
def test_bad_argnums(argnums: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(DTypeError, match=needs("value_and_grad", *words)):
        value_and_grad(lambda x, y: x.sum(), argnums)(X, X)


def test_bad_argnames() -> None:
    def f(x: Array, y: Array) -> Array:
        return x.sum()

    with pytest.raises(DTypeError, match=needs("argnames='z'", "['x', 'y']")):
        value_and_grad(f, argnames="z")(X, X)
    with pytest.raises(DTypeError, match=needs("argnames=('x', 'z')", "['x', 'y']")):
        value_and_grad(f, argnames=("x", "z"))(X, X)
    with pytest.raises(DTypeError, match=needs("argnums or argnames, not both")):
        value_and_grad(f, 1, argnames="x")(X, X)


def test_differentiated_argument_given_by_keyword() -> None:
    with pytest.raises(DTypeError, match=needs("0 positional arguments", "argnames=")):
        value_and_grad(lambda x: x.sum())(x=X)


@pytest.mark.parametrize("transform", ["value_and_grad", "vjp", "jvp"])
def test_foreign_array_is_refused_by_its_path(transform: str) -> None:
    tree = {"layers": [{"w": X}, {"w": np.ones(3)}]}
    calls: dict[str, Callable[[Any], Any]] = {
        "value_and_grad": lambda p: value_and_grad(lambda p: p["layers"][0]["w"].sum())(p),
        "vjp": lambda p: vjp(lambda p: p["layers"][0]["w"], p),
        "jvp": lambda p: jvp(lambda p: p["layers"][0]["w"], (p,), (p,)),
    }
    with pytest.raises(DTypeError, match=needs(transform, "layers.1.w", "numpy.ndarray", "na.asarray")):
        calls[transform](tree)
    with pytest.raises(DTypeError, match=needs("numpy.ndarray", "na.asarray")):
        value_and_grad(lambda x: x.sum())(np.ones(3))


def test_torch_tensor_is_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(DTypeError, match=needs("torch.Tensor", "na.asarray")):
        value_and_grad(lambda x: x.sum())(torch.ones(3))


# --- Cotangents and tangents ---
WRONG: Final[list[tuple[Any, type[Exception], tuple[str, ...]]]] = [
    ((X, X, X), TreeError, ("structure",)),
    ({"a": X}, TreeError, ("structure",)),
    (X, TreeError, ("structure",)),
    (None, TreeError, ("structure",)),
    ((X, X), ShapeError, ("shape (3,)", "(2, 1)")),
    ((X[:2], Y), ShapeError, ("shape (2,)", "(3,)")),
    ((X[:1], Y), ShapeError, ("shape (1,)", "(3,)")),
    ((1.0, Y), ShapeError, ("shape ()", "(3,)")),
    ((X.astype(na.float64), Y), DTypeError, ("dtype float64", "float32", "astype")),
    ((na.asarray([1, 2, 3]), Y), DTypeError, ("dtype int64", "float32")),
    ((np.ones(3, np.float32), Y), DTypeError, ("ndarray", "na.asarray")),
    (("x", Y), DTypeError, ("str",)),
]


@pytest.mark.parametrize(("wrong", "error", "words"), WRONG)
def test_cotangent_that_does_not_fit(wrong: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    _, pullback = vjp(lambda x, y: (x * 2.0, y * 2.0), X, Y)
    with pytest.raises(error, match=needs("vjp", "cotangent", *words)):
        pullback(wrong)
    assert pullback((X, Y))[0].numpy().tolist() == [2.0, 4.0, 6.0]  # it still works


@pytest.mark.parametrize(("wrong", "error", "words"), WRONG)
def test_tangent_that_does_not_fit(wrong: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    if type(wrong) is not tuple:
        words = ("tuple",)
    with pytest.raises(error, match=needs("jvp", *words)):
        jvp(lambda x, y: x, (X, Y), wrong)


def test_primals_of_jvp_must_be_a_tuple() -> None:
    with pytest.raises(TreeError, match=needs("jvp", "must be tuples", "list", "jvp(f, (x,), (t,))")):
        jvp(lambda x: x, [X], [X])
    with pytest.raises(TreeError, match=needs("jvp", "must be tuples", "Array")):
        jvp(lambda x: x, X, X)


@pytest.mark.parametrize("device", ["torch:cpu"])
def test_cotangent_of_another_device(device: str) -> None:
    pytest.importorskip("torch")
    _, pullback = vjp(lambda x: x * 2.0, X)
    with pytest.raises(na.DeviceError, match=needs("cotangent", "torch:cpu", "numpy")):
        pullback(X.to(device))
    with pytest.raises(na.DeviceError, match=needs("tangent", "torch:cpu", "numpy")):
        jvp(lambda x: x * 2.0, (X,), (X.to(device),))


# --- Leaving the graph by accident ---
READS: Final[dict[str, Callable[[Array], Any]]] = {
    "numpy()": lambda x: x.numpy(),
    "np.asarray": np.asarray,
    "np.array": np.array,
    "raw": lambda x: x.raw,
    "DLPack": np.from_dlpack,
    "numpy() of a result": lambda x: na.sin(x * 2.0).numpy(),
    "raw of a view": lambda x: x[0].raw,
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("mode", ["grad", "vjp", "jvp", "outer grad"])
def test_reading_a_watched_array_raises_and_says_how(read: Callable[[Array], Any], mode: str) -> None:
    def f(x: Array) -> Array:
        read(x)
        return x.sum()

    call: Callable[[], Any] = {
        "grad": lambda: nt.grad(f)(X),
        "vjp": lambda: vjp(f, X),
        "jvp": lambda: jvp(f, (X,), (X,)),
        "outer grad": lambda: nt.grad(lambda x: nt.grad(lambda y: (f(x) * y).sum())(X).sum())(X),
    }[mode]
    with pytest.raises(LevelError, match=needs("being differentiated", "stop_gradient")):
        call()


def test_values_can_be_read_and_stopped_arrays_exported() -> None:
    def f(x: Array) -> Array:
        first = x[0]
        assert (first.item(), float(first), bool(first), int(first)) == (1.0, 1.0, True, 1)
        assert "1." in repr(x)
        assert nt.stop_gradient(x).numpy().tolist() == [1.0, 2.0, 3.0]
        assert np.asarray(nt.stop_gradient({"x": x})["x"]).sum() == 6.0
        assert X.numpy() is not None  # the array outside is not watched: the input was aliased
        return x.sum()

    assert nt.grad(f)(X).numpy().tolist() == [1.0, 1.0, 1.0]
