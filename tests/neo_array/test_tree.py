"""Pytrees: what is a container, in which order and under which paths its leaves come, and how two trees differ."""

from __future__ import annotations

import collections
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neo_array as na
import neo_tape as nt
from neo_array import Array, tree


class Pair(NamedTuple):
    weight: Any
    bias: Any


@dataclass(frozen=True)
class Layer:
    weight: Any
    bias: Any
    activation: str = "relu"


def flatten_layer(layer: Layer) -> tuple[tuple[object, ...], str, tuple[str, ...]]:
    return (layer.weight, layer.bias), layer.activation, ("weight", "bias")


def unflatten_layer(activation: str, children: Iterable[Any]) -> Layer:
    weight, bias = children
    return Layer(weight, bias, activation)


tree.register(Layer, flatten_layer, unflatten_layer)

# --- Round trips ---
KEYS = st.text("abcxyz", min_size=1, max_size=3)
LEAVES = st.one_of(st.integers(), st.floats(allow_nan=False), st.text(max_size=2), st.booleans())
TREES = st.recursive(
    st.one_of(LEAVES, st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.dictionaries(KEYS, inner, max_size=3).map(collections.OrderedDict),
        st.lists(inner, max_size=3).map(collections.deque),
        st.builds(Pair, inner, inner),
        st.builds(Layer, inner, inner, st.sampled_from(["relu", "tanh"])),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(value=TREES)
def test_flatten_and_unflatten_are_inverse(value: Any) -> None:
    leaves, treedef = tree.flatten(value)
    again = tree.unflatten(treedef, leaves)
    assert again == value
    assert type(again) is type(value)
    assert tree.leaves(value) == leaves
    assert tree.structure(again) == treedef == tree.structure(value)
    assert [leaf for _, leaf in tree.leaves_with_paths(value)] == leaves
    assert tree.tree_map(lambda x: x, value) == value
    assert not any(leaf is None for leaf in leaves)


def test_containers_keep_their_types() -> None:
    counts = collections.defaultdict(list, {"a": [1.0]})
    value = {"l": [1.0], "t": (2.0,), "o": collections.OrderedDict(z=3.0, a=4.0), "n": Pair(5.0, None), "c": counts}
    doubled: Any = tree.tree_map(lambda x: x * 2, value)
    assert doubled == {
        "l": [2.0],
        "t": (4.0,),
        "o": collections.OrderedDict(z=6.0, a=8.0),
        "n": Pair(10.0, None),
        "c": {"a": [2.0]},
    }
    assert [type(doubled[k]) for k in value] == [type(v) for v in value.values()]
    assert doubled["c"]["new"] == []


def test_dicts_come_in_the_order_of_their_keys_and_ordered_dicts_in_their_own() -> None:
    assert tree.leaves({"b": 1, "a": 2, "c": 0}) == [2, 1, 0]
    assert tree.leaves({10: "x", 9: "y"}) == ["y", "x"]
    assert tree.leaves(collections.OrderedDict(b=1, a=2)) == [1, 2]
    assert tree.structure({"a": 1, "b": 2}) == tree.structure({"b": 2, "a": 1})
    assert list(tree.tree_map(lambda x: x, {"b": 1, "a": 2})) == ["b", "a"]


@pytest.mark.parametrize("leaf", [1, 2.5, True, "text", na.ones(2), np.ones(2), object(), {1, 2}, len])
def test_everything_else_is_a_leaf(leaf: Any) -> None:
    (found,) = tree.leaves([leaf])
    assert found is leaf
    assert tree.leaves_with_paths(leaf) == [("", leaf)] or isinstance(leaf, Array | np.ndarray)


def test_none_is_an_empty_container() -> None:
    assert tree.leaves([None, 1, {"a": None}]) == [1]
    assert tree.tree_map(lambda x: x + 1, [None, 1]) == [None, 2]
    assert tree.leaves(None) == []


def test_subclasses_of_containers_that_are_not_registered_are_leaves() -> None:
    class Config(dict[str, int]):
        pass

    config = Config(a=1)
    assert tree.leaves([config]) == [config]


# --- Registered classes ---
def test_a_registered_class_is_a_container_with_static_data() -> None:
    layer = Layer(na.ones(2), None, "tanh")
    doubled = tree.tree_map(lambda x: x * 2, layer)
    assert type(doubled) is Layer
    assert doubled.activation == "tanh"
    assert doubled.bias is None
    np.testing.assert_array_equal(doubled.weight.numpy(), [2, 2])
    assert tree.structure(layer) != tree.structure(Layer(1, None, "relu"))


def test_a_registered_class_is_differentiable() -> None:
    layer = Layer(na.asarray([1.0, 2.0]), na.asarray(3.0))
    gradient = nt.grad(lambda m: (m.weight * m.weight).sum() * m.bias)(layer)
    assert type(gradient) is Layer
    np.testing.assert_array_equal(gradient.weight.numpy(), [6, 12])
    assert gradient.bias.item() == 5


def test_registering_in_neo_leaves_other_users_of_pytrees_alone() -> None:
    import optree

    layer = Layer(1, 2)
    assert optree.tree_leaves(layer) == [layer]  # type: ignore[arg-type]  # a leaf there


# --- Paths ---
def test_paths_are_written_as_attributes_keys_and_numbers() -> None:
    value = {"layers": [Layer(1, 2), Pair(3, 4)], "scale": 5, "deep": ({"x": 6},)}
    assert tree.leaves_with_paths(value) == [
        ("deep.0.x", 6),
        ("layers.0.weight", 1),
        ("layers.0.bias", 2),
        ("layers.1.weight", 3),
        ("layers.1.bias", 4),
        ("scale", 5),
    ]


def test_paths_of_different_leaves_differ() -> None:
    value = {"a": {"b": 1}, "a.b": 2, "c": [3], "c.0": 4}
    paths = [path for path, _ in tree.leaves_with_paths(value)]
    assert len(set(paths)) == len(paths)


# --- Several trees ---
def test_tree_map_goes_over_several_trees() -> None:
    a, b, c = {"x": 1, "y": [2]}, {"x": 10, "y": [20]}, {"x": 100, "y": [200]}
    assert tree.tree_map(lambda p, q, r: p + q + r, a, b, c) == {"x": 111, "y": [222]}


MISMATCHES: dict[str, tuple[Any, Any, str]] = {
    "missing": ({"a": 1, "b": [2, 3]}, {"a": 1, "b": [2]}, r"'b\.1': the second tree has no such leaf"),
    "extra": ({"a": 1}, {"a": 1, "z": 2}, "'z': the first tree has no such leaf"),
    "leaf for a container": ({"a": [1]}, {"a": 1}, r"'a\.0': the second tree has no such leaf"),
    "None for a leaf": ({"a": 1, "b": 2}, {"a": 1, "b": None}, "'b': the second tree has no such leaf"),
    "a name": ([Layer(1, 2)], [{"weight": 1, "bas": 2}], r"'0\.bias': the second tree has no such leaf"),
    "list for tuple": ({"a": [1]}, {"a": (1,)}, "in their containers"),
    "static data": (Layer(1, 2, "relu"), Layer(1, 2, "tanh"), "in their containers.*relu.*tanh"),
    "at the root": (1, [1], "'the root': the second tree has no such leaf"),
}


@pytest.mark.parametrize("case", MISMATCHES)
def test_trees_that_differ_are_refused_and_the_place_is_named(case: str) -> None:
    first, second, message = MISMATCHES[case]
    with pytest.raises(na.TreeError, match=f"tree_map: the trees differ .*{message}"):
        tree.tree_map(lambda a, b: a, first, second)


def test_tree_error_is_a_value_error() -> None:
    assert issubclass(na.TreeError, ValueError)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_wrong_number_of_leaves_is_refused(count: int) -> None:
    treedef = tree.structure({"a": 1, "b": 2})
    with pytest.raises(na.TreeError, match=r"leaves.*2"):
        tree.unflatten(treedef, range(count))


@pytest.mark.parametrize("error", [ValueError("mine"), na.ShapeError("mine"), KeyError("mine"), StopIteration("mine")])
def test_an_error_of_the_function_comes_out_as_it_is(error: Exception) -> None:
    def fail(_: Array) -> Array:
        raise error

    with pytest.raises(type(error)) as caught:
        tree.tree_map(fail, {"a": na.ones(1)})
    assert caught.value is error


def test_a_tree_of_arrays_can_be_pickled() -> None:
    value = {"a": [na.ones(2)], "n": Pair(na.zeros(1), None)}
    again: Any = pickle.loads(pickle.dumps(value))
    assert tree.structure(again) == tree.structure(value)
    np.testing.assert_array_equal(again["a"][0].numpy(), [1, 1])
