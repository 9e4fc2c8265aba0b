"""Wrong uses: what they raise, and what the message says to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_optim as optim

WRONG_OPTIONS: list[tuple[Callable[[], object], str]] = [
    (lambda: optim.sgd(-0.1), r"learning_rate must be at least 0, got -0\.1; write learning_rate=0\.1"),
    (lambda: optim.adam(float("nan")), r"learning_rate must be at least 0, got nan"),
    (lambda: optim.adamw(-1), r"learning_rate must be at least 0, got -1\.0"),
    (lambda: optim.sgd(0.1, momentum=-0.9), r"momentum must be at least 0, got -0\.9"),
    (lambda: optim.sgd(0.1, momentum=0.9, dampening=-1.0), r"dampening must be at least 0, got -1\.0"),
    (lambda: optim.sgd(0.1, weight_decay=-0.1), r"weight_decay must be at least 0, got -0\.1"),
    (lambda: optim.adam(0.1, weight_decay=-0.1), r"weight_decay must be at least 0, got -0\.1"),
    (lambda: optim.adamw(0.1, weight_decay=-0.1), r"weight_decay must be at least 0, got -0\.1"),
    (
        lambda: optim.sgd(0.1, nesterov=True),
        r"needs a momentum and no dampening, got momentum=0\.0.*write momentum=0\.9",
    ),
    (
        lambda: optim.sgd(0.1, momentum=0.9, dampening=0.5, nesterov=True),
        r"needs a momentum and no dampening, got momentum=0\.9, dampening=0\.5",
    ),
    (lambda: optim.adam(0.1, b1=1.0), r"b1 must lie in \[0, 1\), got 1\.0"),
    (lambda: optim.adam(0.1, b2=-0.1), r"b2 must lie in \[0, 1\), got -0\.1"),
    (lambda: optim.adamw(0.1, b2=float("nan")), r"b2 must lie in \[0, 1\), got nan"),
    (lambda: optim.adam(0.1, eps=-1e-8), r"eps must be at least 0, got -1e-08"),
    (lambda: optim.sgd(na.asarray([0.1, 0.2])), r"the learning rate must be 0-d, got shape \(2,\)"),
]


@pytest.mark.parametrize(("make", "message"), WRONG_OPTIONS)
def test_option_out_of_range(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("wrong", ["0.1", None, True, 0.1j, [0.1]])
def test_learning_rate_that_is_no_number(wrong: Any) -> None:
    with pytest.raises(TypeError, match="must be a number, a 0-d Array or a function of the step, got "):
        optim.sgd(wrong)


def test_learning_rate_may_be_any_real_number() -> None:
    params = na.asarray([0.0])
    rates: list[Any] = [1, 1.0, np.float32(1), np.int64(1), na.asarray(1.0), na.asarray(1)]
    for rate in rates:
        opt = optim.sgd(rate)
        assert optim.step(opt, params, na.ones_like(params), opt.init(params))[0].item() == -1.0


def test_chain_of_something_else() -> None:
    with pytest.raises(TypeError, match=r"chain: argument 1 must be a GradientTransformation, got function"):
        optim.chain(optim.sgd(0.1), optim.adam)  # type: ignore[call-overload]


# --- State ---
OPTIMIZERS: list[Callable[[], optim.GradientTransformation]] = [
    lambda: optim.sgd(0.1),
    lambda: optim.sgd(0.1, momentum=0.9),
    lambda: optim.adam(0.1),
    lambda: optim.adamw(0.1),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
@pytest.mark.parametrize("state", [None, (), {}, (optim.EmptyState(),), [optim.EmptyState()] * 3])
def test_update_before_init(make: Callable[[], optim.GradientTransformation], state: Any) -> None:
    params = {"w": na.asarray([1.0])}
    with pytest.raises(na.TreeError, match=r"must be the .* that init made, got .*; write state = opt\.init\(params\)"):
        make().update(params, state, params)
    with pytest.raises(na.TreeError, match=r"must be the .* that init made, got .*; write state = opt\.init\(params\)"):
        optim.step(make(), params, params, state)


def test_state_of_another_optimizer() -> None:
    params = {"w": na.asarray([1.0])}
    with pytest.raises(na.TreeError, match=r"trace: the state must be the TraceState that init made, got AdamState"):
        optim.step(optim.sgd(0.1, momentum=0.9), params, params, optim.adam(0.1).init(params))  # type: ignore[misc]


@pytest.mark.parametrize("opt", [optim.sgd(0.1, weight_decay=0.1), optim.adam(0.1, weight_decay=0.1), optim.adamw(0.1)])
def test_missing_parameters(opt: optim.GradientTransformation) -> None:
    params = {"w": na.asarray([1.0])}
    with pytest.raises(ValueError, match=r"needs the parameters, got None; write opt\.update\(grads, state, params\)"):
        opt.update(params, opt.init(params))


# --- Trees ---
@pytest.mark.parametrize("make", OPTIMIZERS)
@pytest.mark.parametrize("donate", [False, True])
def test_trees_that_differ_name_the_path(make: Callable[[], optim.GradientTransformation], donate: bool) -> None:
    params = {"layers": [{"w": na.ones((2,)), "b": na.ones((2,))}]}
    opt = make()
    state = opt.init(params)
    missing: Any = {"layers": [{"w": na.ones((2,))}]}
    surplus: Any = {"layers": [{"w": na.ones((2,)), "b": na.ones((2,)), "c": na.ones((2,))}]}
    for wrong, path in ((missing, r"'layers\.0\.b'"), (surplus, r"'layers\.0\.c'"), (None, r"'layers\.0\.b'")):
        with pytest.raises(na.TreeError, match=path):
            optim.step(opt, params, wrong, state, donate=donate)
    assert [leaf.numpy().tolist() for leaf in na.tree.leaves(params)] == [[1.0, 1.0]] * 2
    assert all(leaf.numpy().sum() == 0 for leaf in na.tree.leaves(state))


WRONG_LEAVES: list[tuple[Any, type[Exception], str]] = [
    (na.ones((3,)), na.ShapeError, r"at 'b', .* shape \(2,\), and updates have \(3,\)"),
    (na.ones((1,)), na.ShapeError, r"at 'b', .* shape \(2,\), and updates have \(1,\)"),  # would broadcast
    (na.ones((2,), dtype=na.float64), na.DTypeError, r"at 'b', .* dtype float32, and updates have float64; .*\.astype"),
    (na.ones((2,), dtype=na.int64), na.DTypeError, r"at 'b', .* dtype float32, and updates have int64"),
    (
        na.ones((2,), device="torch:cpu"),
        na.DeviceError,
        r'at \'b\', .* live on numpy, and updates on torch:cpu; .*\.to\("',
    ),
    (0.0, na.DTypeError, r"at 'b', .* have an Array, and updates have float"),
    (np.ones(2, np.float32), na.DTypeError, r"at 'b', .* have an Array, and updates have ndarray"),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
@pytest.mark.parametrize("donate", [False, True])
@pytest.mark.parametrize(("wrong", "error", "message"), WRONG_LEAVES)
def test_gradient_that_does_not_fit_names_the_path(
    make: Callable[[], optim.GradientTransformation], donate: bool, wrong: Any, error: type[Exception], message: str
) -> None:
    params = {"a": na.ones((2,)), "b": na.ones((2,))}
    opt = make()
    state = opt.init(params)
    with pytest.raises(error, match=message):
        optim.step(opt, params, {"a": na.ones((2,)), "b": wrong}, state, donate=donate)
    assert [leaf.numpy().tolist() for leaf in na.tree.leaves(params)] == [[1.0, 1.0]] * 2


def test_apply_updates_checks_too() -> None:
    with pytest.raises(na.ShapeError, match=r"apply_updates: at 'the root', params have shape \(2,\)"):
        optim.apply_updates(na.ones((2,)), na.ones((3,)))
    with pytest.raises(na.TreeError, match=r"apply_updates\(params, updates\): the trees differ"):
        optim.apply_updates([na.ones((2,))], [])


def test_complex_parameters_are_refused() -> None:
    params = {"w": na.asarray([1.0 + 2.0j])}
    with pytest.raises(na.DTypeError, match=r"complex parameters are not supported, got dtype complex64"):
        optim.adam(0.1).init(params)
    with pytest.raises(na.DTypeError, match=r"complex parameters are not supported"):
        optim.step(optim.sgd(0.1), params, params, optim.sgd(0.1).init(params))


def test_arrays_of_another_library_are_refused() -> None:
    params: Any = {"w": np.ones(3, np.float32)}
    with pytest.raises(na.DTypeError, match=r"must be an Array, got ndarray; wrap it in na\.asarray"):
        optim.adam(0.1).init(params)
    with pytest.raises(na.DTypeError, match=r"must be an Array, got ndarray"):
        optim.step(optim.sgd(0.1), params, params, optim.sgd(0.1).init(params))
