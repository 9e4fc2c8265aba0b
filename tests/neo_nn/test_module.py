from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_nn as nn
import neo_tape as nt
from neo_array import Array
from neo_array.tree import flatten, leaves_with_paths, tree_map, unflatten


class Scale(nn.Module):
    factor: Array
    shift: Array | None = None
    power: int = nn.static(default=1)

    def __call__(self, x: Array, /) -> Array:
        y = self.factor * x**self.power
        return y if self.shift is None else y + self.shift


class Nested(nn.Module):
    parts: dict[str, list[Scale]]
    extra: tuple[Array, ...]


class Counted(nn.Module):
    made = 0
    x: Array
    names: tuple[str, ...] = nn.static(default_factory=tuple)

    def __post_init__(self) -> None:
        Counted.made += 1


class Empty(nn.Module):
    pass


class OnlyOptions(nn.Module):
    rate: float = nn.static(default=0.5)


def scale(**options: Any) -> Scale:
    return Scale(na.asarray([1.0, 2.0]), **options)


# --- As a pytree ---
def test_fields_are_children_and_static_fields_are_structure() -> None:
    module = scale(shift=na.asarray(3.0), power=2)
    assert [path for path, _ in leaves_with_paths(module)] == ["factor", "shift"]
    leaves, structure = flatten(module)
    again = unflatten(structure, leaves)
    assert type(again) is Scale
    assert (again.factor, again.shift, again.power) == (module.factor, module.shift, 2)
    assert flatten(scale(shift=na.asarray(3.0), power=3))[1] != structure
    assert flatten(scale(shift=na.asarray(4.0), power=2))[1] == structure
    assert hash(flatten(scale(shift=na.asarray(4.0), power=2))[1]) == hash(structure)


def test_none_is_no_leaf() -> None:
    module = scale()
    assert [path for path, _ in leaves_with_paths(module)] == ["factor"]
    doubled = tree_map(lambda x: x * 2, module)
    assert doubled.shift is None
    np.testing.assert_array_equal(doubled.factor.numpy(), [2.0, 4.0])


def test_nested_containers_have_readable_paths() -> None:
    module = Nested({"a": [scale(), scale(shift=na.asarray(0.0))]}, (na.asarray(1.0),))
    assert [path for path, _ in leaves_with_paths({"model": module})] == [
        "model.parts.a.0.factor",
        "model.parts.a.1.factor",
        "model.parts.a.1.shift",
        "model.extra.0",
    ]
    mapped = tree_map(lambda x: x + 1, module)
    assert type(mapped) is Nested
    assert type(mapped.parts["a"][1]) is Scale
    assert mapped.extra[0].item() == 2.0


@pytest.mark.parametrize("module", [Empty(), OnlyOptions(0.25)], ids=repr)
def test_modules_without_arrays_are_trees_without_leaves(module: nn.Module) -> None:
    leaves, structure = flatten(module)
    assert leaves == []
    again = unflatten(structure, leaves)
    assert type(again) is type(module)
    assert vars(again) == vars(module)


def test_putting_a_tree_together_runs_no_constructor() -> None:
    module = Counted(na.asarray(1.0))
    before = Counted.made
    strings: Any = tree_map(lambda x: "anything", module)
    assert strings.x == "anything"
    assert Counted.made == before


def test_gradient_has_the_structure_of_the_module(device: str) -> None:
    module = Scale(na.asarray([1.0, 2.0], device=device), na.asarray(0.5, device=device), 2)
    x = na.asarray([3.0, 4.0], device=device)
    gradient = nt.grad(lambda module: module(x).sum())(module)
    assert type(gradient) is Scale
    assert gradient.power == 2
    assert gradient.shift is not None
    np.testing.assert_array_equal(gradient.factor.numpy(), [9.0, 16.0])
    assert gradient.shift.item() == 2.0


def test_subclass_has_its_parents_fields_too() -> None:
    class Wider(Scale):
        more: Array | None = None
        mode: str = nn.static(default="a")

    module = Wider(na.asarray(1.0), more=na.asarray(2.0), mode="b")
    assert [path for path, _ in leaves_with_paths(module)] == ["factor", "more"]
    again = unflatten(*reversed(flatten(module)))
    assert type(again) is Wider
    assert (again.mode, again.power) == ("b", 1)


def test_class_made_twice_is_no_conflict() -> None:
    def make() -> type[nn.Module]:
        class Local(nn.Module):
            x: Array

        return Local

    first, second = make(), make()
    assert first is not second
    assert flatten(first(na.asarray(1.0)))[1] != flatten(second(na.asarray(1.0)))[1]  # type: ignore[call-arg]


# --- As a value ---
def test_fields_cannot_be_assigned() -> None:
    module: Any = scale()
    with pytest.raises(dataclasses.FrozenInstanceError):
        module.power = 3


def test_modules_are_compared_and_hashed_by_identity() -> None:
    module = scale()
    assert module == module
    assert module != scale()
    assert len({module, scale()}) == 2


def test_replace_returns_a_changed_copy() -> None:
    module = Counted(na.asarray(1.0))
    before = Counted.made
    changed = module.replace(x=na.asarray(5.0), names=("a",))
    assert type(changed) is Counted
    assert (changed.x.item(), changed.names) == (5.0, ("a",))
    assert (module.x.item(), module.names) == (1.0, ())
    assert Counted.made == before


def test_replace_names_an_unknown_field() -> None:
    with pytest.raises(
        TypeError, match=r"Scale.replace: no field \['facter'\], got fields \['factor', 'shift', 'power'\]"
    ):
        scale().replace(facter=1)


@pytest.mark.parametrize("made", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_modules_copy_and_pickle(made: Any) -> None:
    again = made(scale(shift=na.asarray(3.0), power=2))
    assert type(again) is Scale
    assert again.power == 2
    np.testing.assert_array_equal(again.factor.numpy(), [1.0, 2.0])


# --- Options ---
def test_option_must_be_hashable() -> None:
    options: Any = ["a"]
    with pytest.raises(na.DTypeError, match=r"Counted: the option 'names' .* must be hashable, got list; use a tuple"):
        Counted(na.asarray(1.0), options)
    with pytest.raises(na.DTypeError, match="the option 'names'"):
        Counted(na.asarray(1.0)).replace(names=options)


def test_option_of_a_handwritten_constructor_must_be_hashable() -> None:
    class Table(nn.Module):
        entries: Any = nn.static()

        def __init__(self, entries: Any) -> None:
            object.__setattr__(self, "entries", entries)

    assert Table((1, 2)).entries == (1, 2)
    with pytest.raises(na.DTypeError, match=r"Table: the option 'entries' .* got dict"):
        Table({})


def test_option_is_checked_once_the_whole_module_is_made() -> None:
    class Base(nn.Module):
        a: int = nn.static()

    class Child(Base):
        b: int = nn.static()

        def __init__(self, a: int, b: int) -> None:
            super().__init__(a)
            object.__setattr__(self, "b", b)

    assert (Child(1, 2).a, Child(1, 2).b) == (1, 2)


def test_constructor_keeps_its_signature_and_errors() -> None:
    make: Any = Scale
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'factor'"):
        make()


# --- How it prints ---
def test_short_module_prints_on_one_line() -> None:
    assert repr(scale(power=2)) == "Scale(factor=float32[2], shift=None, power=2)"
    assert repr(Empty()) == "Empty()"


def test_long_module_prints_a_line_for_each_part() -> None:
    assert repr(nn.MLP.init(na.random.key(0), (784, 256, 10))) == (
        "MLP(\n"
        "    layers=(\n"
        "        Linear(weight=float32[256, 784], bias=float32[256]),\n"
        "        Linear(weight=float32[10, 256], bias=float32[10]),\n"
        "    ),\n"
        "    activation=relu,\n"
        ")"
    )


def test_containers_print_as_python_writes_them() -> None:
    module = Nested({"a": [scale()]}, (na.asarray(1),))
    assert repr(module) == "Nested(parts={'a': [Scale(factor=float32[2], shift=None, power=1)]}, extra=(int64[],))"


def test_donated_array_prints_as_such() -> None:
    x = na.asarray([1.0])
    na.donate(na.add_scaled, na.Donated("a test"), x, na.asarray([1.0]), scale=1.0)
    assert "donated to a test" in repr(Scale(x))
