"""value_and_grad and grad: which arguments, and gradients in the structure of the inputs."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array

value_and_grad: Final[Any] = nt.value_and_grad  # for calls that only the run time decides on
grad: Final[Any] = nt.grad


def vector(*values: float) -> Array:
    return na.asarray(np.array(values, np.float64))


def weighted(a: Array, b: Array, c: Array) -> Array:
    return (2.0 * a + 3.0 * b + 5.0 * c).sum()


X: Final = vector(1.0, 2.0)


# --- Which arguments ---
def test_value_and_gradient_of_the_first_argument(device: str) -> None:
    x = na.asarray([1.0, 2.0])
    value, gradient = nt.value_and_grad(lambda x: (x * x).sum())(x)
    assert (value.item(), gradient.numpy().tolist()) == (5.0, [2.0, 4.0])
    assert str(value.device) == str(gradient.device) == device


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [(0, 2.0), (1, 3.0), (2, 5.0), (-1, 5.0), (-3, 2.0)],
)
def test_argnums_int_gives_one_gradient(argnums: int, expected: float) -> None:
    assert grad(weighted, argnums)(X, X, X).numpy().tolist() == [expected, expected]


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [((0,), [2.0]), ((0, 1), [2.0, 3.0]), ((2, 0), [5.0, 2.0]), ([1, -1], [3.0, 5.0]), ([0], [2.0]), ((), [])],
)
def test_argnums_tuple_or_list_gives_a_tuple_in_that_order(argnums: Any, expected: list[float]) -> None:
    gradients = grad(weighted, argnums)(X, X, X)
    assert type(gradients) is tuple
    assert [g.numpy().tolist() for g in gradients] == [[e, e] for e in expected]


@pytest.mark.parametrize("call", [lambda f: f(X, X, X), lambda f: f(X, c=X, b=X), lambda f: f(a=X, b=X, c=X)])
def test_argnames_finds_the_argument_however_it_is_passed(call: Callable[[Any], Any]) -> None:
    assert call(grad(weighted, argnames="b")).numpy().tolist() == [3.0, 3.0]
    gradients = call(grad(weighted, argnames=("c", "a")))
    assert {name: g.numpy().tolist() for name, g in gradients.items()} == {"c": [5.0, 5.0], "a": [2.0, 2.0]}
    assert list(gradients) == ["c", "a"]


def test_argnames_finds_keyword_only_arguments_defaults_and_extra_keywords() -> None:
    def f(x: Array, /, *, scale: float = 3.0, **options: Array) -> Array:
        return (x * scale * options.get("offset", X)).sum()

    assert grad(f, argnames="scale")(X).item() == 5.0
    assert grad(f, argnames="scale")(X, scale=4.0).item() == 5.0
    assert grad(f, argnames="offset")(X, offset=X).numpy().tolist() == [3.0, 6.0]


def test_other_arguments_are_passed_on_untouched() -> None:
    marker = object()

    def f(x: Array, other: object, *rest: object, key: object = None) -> Array:
        assert other is key is rest[0] is marker
        return x.sum()

    assert grad(f)(X, marker, marker, key=marker).numpy().tolist() == [1.0, 1.0]


def test_arguments_that_are_not_differentiated_keep_their_identity() -> None:
    grad(lambda x, y: (y is X) * x.sum())(X, X)
    assert grad(lambda x, y: (2.0 if y is X else 7.0) * x.sum())(vector(1.0), X).item() == 2.0


def test_name_and_docstring_are_the_functions() -> None:
    assert nt.grad(weighted).__name__ == "weighted"


def test_methods_and_callable_objects_can_be_differentiated() -> None:
    class Scale:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def __call__(self, x: Array) -> Array:
            return na.sum(x * self.factor)

    scale = Scale(4.0)
    for f in (scale, scale.__call__, lambda x: scale(x)):
        assert nt.grad(f)(X).numpy().tolist() == [4.0, 4.0]


# --- has_aux ---
def test_aux_comes_back_beside_the_value() -> None:
    def f(x: Array) -> tuple[Array, dict[str, Any]]:
        return (x * x).sum(), {"doubled": 2.0 * x, "note": "seen"}

    (value, aux), gradient = nt.value_and_grad(f, has_aux=True)(X)
    assert (value.item(), gradient.numpy().tolist()) == (5.0, [2.0, 4.0])
    assert (aux["doubled"].numpy().tolist(), aux["note"]) == ([2.0, 4.0], "seen")
    gradient, aux = nt.grad(f, has_aux=True)(X)
    assert (gradient.numpy().tolist(), aux["note"]) == ([2.0, 4.0], "seen")


def test_aux_is_differentiated_by_an_outer_transform() -> None:
    def f(x: Array) -> Array:
        gradient, aux = nt.grad(lambda y: ((y * y).sum(), y * y * y), has_aux=True)(x)
        return na.sum(gradient + aux)  # 2 x + x**3

    assert nt.grad(f)(X).numpy().tolist() == [5.0, 14.0]


# --- Structure in, structure out ---
class Pair(NamedTuple):
    first: Array
    second: Any


@dataclass
class Layer:
    weight: Array
    name: str


def _flatten(layer: Layer) -> tuple[tuple[object, ...], str, tuple[str, ...]]:
    return (layer.weight,), layer.name, ("weight",)


def _unflatten(name: str, children: Iterable[Any]) -> Layer:
    (weight,) = children
    return Layer(weight, name)


na.tree.register(Layer, _flatten, _unflatten)

TREES: Final[dict[str, Any]] = {
    "tuple": (X, X),
    "nested list": [X, [X, (X,)]],
    "empty tuple": (X, ()),
    "dict in no order": {"b": X, "a": X, "c": {"z": X, "y": X}},
    "OrderedDict": OrderedDict(b=X, a=X),
    "defaultdict": defaultdict(list, {"b": X, "a": X}),
    "deque": deque([X, X], maxlen=5),
    "NamedTuple": Pair(X, Pair(X, None)),
    "None": {"w": X, "bias": None},
    "registered dataclass": Layer(X, "first"),
    "dataclasses in a dict": {"b": Layer(X, "b"), "a": [Layer(X, "a"), None]},
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_gradient_has_the_structure_of_the_argument(tree: Any) -> None:
    def f(tree: Any) -> Array:
        total = na.asarray(0.0)
        for k, x in enumerate(na.tree.leaves(tree)):
            total = total + na.sum((k + 1.0) * x)
        return total

    gradient = grad(f)(tree)
    assert type(gradient) is type(tree)
    assert na.tree.structure(gradient) == na.tree.structure(tree)
    leaves = na.tree.leaves(gradient)
    assert [g.numpy().tolist() for g in leaves] == [[k + 1.0] * 2 for k in range(len(leaves))]


def test_gradient_keeps_the_order_of_dict_keys_and_static_fields() -> None:
    gradient = grad(lambda p: (p["b"] * p["a"]["z"]).sum())({"b": X, "a": {"z": X, "y": X}})
    assert (list(gradient), list(gradient["a"])) == (["b", "a"], ["z", "y"])
    layer = grad(lambda layer: (layer.weight * layer.weight).sum())(Layer(X, "kept"))
    assert (layer.name, layer.weight.numpy().tolist()) == ("kept", [2.0, 4.0])


@pytest.mark.parametrize("dtype", [na.float16, na.float32, na.float64], ids=str)
def test_gradient_has_the_dtype_and_device_of_the_argument(dtype: na.DType, device: str) -> None:
    x, y = na.asarray([1.0, 2.0], dtype=dtype), na.asarray([3.0, 4.0], dtype=na.float64)
    for gradient in (nt.grad(lambda x: (x.astype(na.float64) * y).sum())(x), nt.grad(lambda x: y.sum())(x)):
        assert (gradient.dtype, gradient.shape, str(gradient.device)) == (dtype, (2,), device)


# --- Leaves that are no floating arrays ---
def test_python_float_counts_as_a_0d_array() -> None:
    value, gradient = nt.value_and_grad(lambda x: x * x)(3.0)
    assert type(gradient) is Array
    assert (value.item(), gradient.item(), gradient.shape, gradient.dtype) == (9.0, 6.0, (), na.float32)


@pytest.mark.parametrize("leaf", [3, True, np.int64(3), np.bool_(True)], ids=lambda leaf: type(leaf).__name__)
def test_whole_numbers_and_truth_values_have_zero_gradients_of_their_own_type(leaf: Any) -> None:
    gradient = grad(lambda p: (p["w"] * p["n"]).sum())({"w": X, "n": leaf})
    assert gradient["w"].numpy().tolist() == [float(leaf)] * 2
    assert type(gradient["n"]) is type(leaf)
    assert gradient["n"] == 0


def test_numpy_float_scalar_counts_as_an_array_of_its_dtype() -> None:
    for scalar in (np.float32(3), np.float64(3)):
        gradient = grad(lambda p: p["x"] * p["x"])({"x": scalar})["x"]
        assert (type(gradient), gradient.item(), gradient.dtype) == (Array, 6.0, scalar.dtype)


@pytest.mark.parametrize("dtype", [na.int32, na.int64, na.uint8, na.bool], ids=str)
def test_integer_and_bool_arrays_have_zero_gradients_of_their_own_dtype(dtype: na.DType, device: str) -> None:
    n = na.asarray([1, 0], dtype=dtype)
    gradient = grad(lambda p: (na.where(p["n"] > 0, p["w"], 0.0)).sum())({"w": na.asarray([1.0, 2.0]), "n": n})
    assert gradient["w"].numpy().tolist() == [1.0, 0.0]
    assert (gradient["n"].dtype, gradient["n"].numpy().tolist(), str(gradient["n"].device)) == (dtype, [0, 0], device)


def test_other_leaves_pass_through() -> None:
    seen: list[object] = []

    def f(p: dict[str, Any]) -> Array:
        seen.append(p["mode"])
        return na.sum(p["w"] * 2.0)

    gradient = grad(f)({"w": X, "mode": "relu"})
    assert (seen, gradient["mode"], gradient["w"].numpy().tolist()) == (["relu"], "relu", [2.0, 2.0])


# --- Unused ---
@pytest.mark.parametrize("constant", [3.0, na.asarray(3.0)])
def test_what_f_does_not_use_has_zero_gradient(constant: Any) -> None:
    gradient = grad(lambda p: constant)({"a": X, "b": [na.asarray(1.0), 2.0]})
    assert [g.numpy().tolist() for g in na.tree.leaves(gradient)] == [[0.0, 0.0], 0.0, 0.0]
    gradient = grad(lambda p: p["a"].sum())({"a": X, "b": na.ones((2, 3), dtype=na.float16)})
    assert (gradient["b"].shape, gradient["b"].dtype, gradient["b"].sum().item()) == ((2, 3), na.float16, 0.0)
