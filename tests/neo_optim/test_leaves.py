"""What is no floating Array is passed over."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

import neo_array as na
import neo_optim as optim
from tests.neo_optim.table import NAMES, ROWS, Row, address


class Model(NamedTuple):
    """One leaf of each kind."""

    weight: na.Array
    table: na.Array
    mask: na.Array
    rate: float
    name: str
    nothing: None


def model(device: str) -> Model:
    return Model(
        na.ones((3,), device=device),
        na.arange(3, device=device),
        na.asarray([True, False], device=device),
        0.5,
        "relu",
        None,
    )


def gradients_of(params: Model) -> Model:
    """Return what a tape gives: zeros for integers and bools, a 0-d Array for a Python float."""
    return Model(
        na.ones_like(params.weight),
        na.zeros_like(params.table),
        na.zeros_like(params.mask),
        na.asarray(7.0),  # type: ignore[arg-type]
        "relu",
        None,
    )


@pytest.mark.parametrize("donate", [False, True])
@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_other_leaves_are_passed_over(row: Row, device: str, donate: bool) -> None:
    params, opt = model(device), row.ours(row.lr)
    state = opt.init(params)
    table, mask = params.table, params.mask
    new = params
    for _ in range(2):
        new, state = optim.step(opt, new, gradients_of(params if not donate else model(device)), state, donate=donate)
    assert new.table is table
    assert new.mask is mask
    assert (new.rate, new.name, new.nothing) == (0.5, "relu", None)
    assert (new.weight.numpy() < 1.0).all()
    assert table.numpy().tolist() == [0, 1, 2]  # alive


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_update_and_apply_pass_over_them_too(row: Row, device: str) -> None:
    params, opt = model(device), row.ours(row.lr)
    updates, _ = opt.update(gradients_of(params), opt.init(params), params)
    new = optim.apply_updates(params, updates)
    assert new.table is params.table
    assert (new.rate, new.name) == (0.5, "relu")
    assert (new.weight.numpy() < 1.0).all()


def test_one_integer_array_may_occur_twice_in_a_donated_tree(device: str) -> None:
    table = na.arange(3, device=device)
    params: Any = {"a": table, "b": table, "w": na.ones((3,), device=device)}
    gradients: Any = na.tree.tree_map(na.ones_like, params)
    opt = optim.sgd(1.0, momentum=0.5)
    before = address(params["w"])
    new, _ = optim.step(opt, params, gradients, opt.init(params), donate=True)
    assert new["a"] is new["b"] is table
    assert address(new["w"]) == before


@pytest.mark.parametrize("params", [{}, [], None, {"frozen": na.arange(3)}])
def test_nothing_to_train_is_no_error(params: Any) -> None:
    opt = optim.adamw(0.1)
    new, state = optim.step(opt, params, params, opt.init(params), donate=True)
    assert na.tree.structure(new) == na.tree.structure(params)
    assert state[0].step.item() == 1


def test_bare_array_and_empty_array_are_trees(device: str) -> None:
    opt = optim.adam(0.1)
    bare = na.ones((2,), device=device)
    assert optim.step(opt, bare, bare, opt.init(bare))[0].shape == (2,)
    empty = na.zeros((0, 3), device=device)
    assert optim.step(opt, empty, na.zeros_like(empty), opt.init(empty), donate=True)[0].shape == (0, 3)
