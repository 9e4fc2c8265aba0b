"""What `donate=True` may reuse, what it must leave alone, and what becomes of the arrays that were given up."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import neo_array as na
import neo_optim as optim
import neo_tape as nt
from neo_array._primitive import REGISTRY
from tests.neo_optim.table import NAMES, ROWS, Row, address, arrays, bits, host_values, recorded


def start(device: str) -> tuple[na.Array, na.Array]:
    """Return a parameter and its gradient: one step of plain SGD with a rate of 1 takes 1 from each element."""
    return na.asarray(np.arange(6.0).reshape(2, 3), device=device), na.asarray(np.ones((2, 3)), device=device)


BEFORE = np.arange(6.0).reshape(2, 3)
AFTER = BEFORE - 1.0


def sgd_step(params: Any, gradients: Any) -> Any:
    """Take one step of plain SGD, donating."""
    opt = optim.sgd(1.0)
    return optim.step(opt, params, gradients, opt.init(params), donate=True)[0]


# --- The same values ---
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shapes", ["mlp", "0-d"])
@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_donation_changes_no_bit_in_20_steps(row: Row, shapes: str, dtype: str, device: str) -> None:
    opt = row.ours(row.lr)
    kept, given = (arrays(host_values(shapes, dtype, 0), device) for _ in range(2))
    kept_state, given_state = opt.init(kept), opt.init(given)
    for values in recorded(shapes, dtype, 20):
        kept, kept_state = optim.step(opt, kept, arrays(values, device), kept_state)
        given, given_state = optim.step(opt, given, arrays(values, device), given_state, donate=True)
        assert bits((given, given_state)) == bits((kept, kept_state))


# --- The same buffers ---
@pytest.mark.parametrize("shapes", ["mlp", "0-d"])
@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_new_buffers_are_the_old_ones(row: Row, shapes: str, device: str) -> None:
    opt = row.ours(row.lr)
    params = arrays(host_values(shapes, "float32", 0), device)
    state = opt.init(params)
    for values in recorded(shapes, "float32", 3):
        floating = [leaf for leaf in na.tree.leaves((params, state)) if leaf.dtype == na.float32]
        before = [address(leaf) for leaf in floating]
        del floating
        params, state = optim.step(opt, params, arrays(values, device), state, donate=True)
        after = [address(leaf) for leaf in na.tree.leaves((params, state)) if leaf.dtype == na.float32]
        assert after == before


@pytest.mark.parametrize(("backend", "expected"), [("numpy", 4), ("torch", 1)])
def test_plain_sgd_is_one_kernel_per_parameter_or_one_for_all(
    backend: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    params = arrays(host_values("mlp", "float32", 0), "torch:cpu" if backend == "torch" else backend)
    assert len(params) == 4
    kind = type(params["w1"]._raw)

    def counted(kernel: Callable[..., Any]) -> Callable[..., Any]:
        def count(*raws: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            return kernel(*raws, **options)

        return count

    for kernels in (na.add_scaled.inplace_kernels, na.add_scaled.inplace_each_kernels):
        kernel, owner = kernels[kind]
        if kernel is not None:
            monkeypatch.setitem(kernels, kind, (counted(kernel), owner))
    gradients = na.tree.tree_map(na.ones_like, params)
    for op in REGISTRY.values():  # no op may run out of place
        monkeypatch.setitem(op.kernels, kind, None)
    sgd_step(params, gradients)
    assert calls == expected


# --- What is given up is dead ---
def test_old_parameters_and_state_are_dead_and_name_the_line(device: str) -> None:
    opt = optim.adam(0.1)
    params = arrays(host_values("mlp", "float32", 0), device)
    gradients, state = na.tree.tree_map(na.ones_like, params), opt.init(params)
    line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
    optim.step(opt, params, gradients, state, donate=True)
    for leaf in na.tree.leaves((params, state)):
        for touch in (lambda a: a + 1.0, lambda a: a.numpy(), lambda a: a.shape, lambda a: a.T, lambda a: na.exp(a)):
            with pytest.raises(na.DonatedError, match=rf"optim\.step at {__file__}:{line};.*donate=False"):
                touch(leaf)
    for leaf in na.tree.leaves(gradients):
        assert leaf.numpy().all()


def test_dead_even_if_the_buffer_could_not_be_reused(device: str) -> None:
    params, gradient = start(device)
    view = params.numpy()
    new = sgd_step(params, gradient)
    with pytest.raises(na.DonatedError, match=r"optim\.step"):
        params.numpy()
    assert view.tolist() == BEFORE.tolist()
    assert new.numpy().tolist() == AFTER.tolist()


def test_a_dead_parameter_cannot_be_stepped_again(device: str) -> None:
    params, gradient = start(device)
    sgd_step(params, gradient)
    with pytest.raises(na.DonatedError, match=r"optim\.step"):
        sgd_step(params, gradient)


# --- What others see keeps its values ---
VIEWS: dict[str, Callable[[na.Array], Any]] = {
    "transpose": lambda w: w.T,
    "slice": lambda w: w[1],
    "reshape": lambda w: w.reshape((6,)),
    "alias": na.alias,
    "numpy": lambda w: w.numpy(),
    "raw": lambda w: w.raw,
    "dlpack": lambda w: np.from_dlpack(w),
    "dlpack-shared": lambda w: torch.utils.dlpack.from_dlpack(w.__dlpack__(copy=False)),
}


def values(view: Any) -> object:
    """Return what an Array, an ndarray or a tensor shows now."""
    return (view.numpy() if isinstance(view, na.Array) else view).tolist()


@pytest.mark.parametrize("name", VIEWS)
def test_what_others_see_keeps_its_values(name: str, device: str) -> None:
    params, gradient = start(device)
    view = VIEWS[name](params)
    seen = values(view)
    new = sgd_step({"w": params}, {"w": gradient})["w"]
    assert values(view) == seen
    assert values(new) == AFTER.tolist()


def test_a_view_that_is_gone_does_not_hinder(device: str) -> None:
    params, gradient = start(device)
    before = address(params)
    transpose = params.T
    del transpose
    assert address(sgd_step(params, gradient)) == before


def test_an_exported_parameter_is_copied_once(device: str) -> None:
    params, gradient = start(device)
    view = params.numpy()
    new = sgd_step(params, gradient)
    assert address(new) != view.ctypes.data
    before = address(new)
    assert address(sgd_step(new, gradient)) == before


def test_memory_that_belongs_to_someone_else_is_not_written(device: str) -> None:
    owner = np.zeros(3) if device == "numpy" else torch.zeros(3)
    params = na.asarray(owner, copy=False)
    sgd_step(params, na.ones((3,), dtype=params.dtype, device=device))
    assert owner.tolist() == [0.0] * 3


def test_gradient_that_is_the_parameter(device: str) -> None:
    params, _ = start(device)
    same = na.alias(params)
    assert sgd_step(params, same).numpy().tolist() == np.zeros((2, 3)).tolist()
    assert same.numpy().tolist() == BEFORE.tolist()


# --- Under levels ---
def test_open_tape_keeps_what_it_saved(device: str) -> None:
    params, gradient = start(device)

    def loss(x: na.Array) -> na.Array:
        y = x * params  # the tape keeps params
        new: na.Array = sgd_step(params, gradient)
        return (y + new * x).sum()

    x = na.ones((2, 3), dtype=na.float64, device=device)
    assert nt.grad(loss)(x).numpy().tolist() == (BEFORE + AFTER).tolist()
    with pytest.raises(na.DonatedError, match=r"optim\.step"):
        params.numpy()


def test_step_on_watched_parameters_is_differentiated(device: str) -> None:
    params, gradient = start(device)

    def loss(w: na.Array) -> na.Array:
        return na.square(sgd_step(w, w * gradient)).sum() + na.square(sgd_step(na.positive(w + 0.0), gradient)).sum()

    with pytest.raises(na.DonatedError, match=r"optim\.step"):  # w is used after it was given up
        nt.grad(loss)(params)
    assert nt.grad(lambda w: na.square(sgd_step(w, gradient)).sum())(params).numpy().tolist() == (2 * AFTER).tolist()
    assert params.numpy().tolist() == BEFORE.tolist()  # inside, w was another Array with its values


def test_pullback_that_is_kept_keeps_its_values(device: str) -> None:
    params, gradient = start(device)
    x = na.ones((2, 3), dtype=na.float64, device=device)
    _, pullback = nt.vjp(lambda x: x * params, x)
    _, through = nt.vjp(lambda w: na.square(w), params)
    sgd_step(params, gradient)
    for _ in range(2):
        assert pullback(gradient)[0].numpy().tolist() == BEFORE.tolist()
        assert through(gradient)[0].numpy().tolist() == (2 * BEFORE).tolist()


def test_forward_mode_sees_a_donating_step(device: str) -> None:
    params, gradient = start(device)
    out, tangent = nt.jvp(lambda w: na.square(sgd_step(w, gradient)), (params,), (gradient,))
    assert out.numpy().tolist() == (AFTER**2).tolist()
    assert tangent.numpy().tolist() == (2 * AFTER).tolist()


# --- Threads ---
def test_donation_while_another_thread_has_a_tape_open(device: str) -> None:
    params, gradient = start(device)
    saved, donated = threading.Event(), threading.Event()
    found: list[na.Array] = []

    def loss(x: na.Array) -> na.Array:
        y = x * params
        saved.set()
        assert donated.wait(10)
        return y.sum()

    thread = threading.Thread(
        target=lambda: found.append(nt.grad(loss)(na.ones((2, 3), dtype=na.float64, device=device)))
    )
    thread.start()
    assert saved.wait(10)
    new = sgd_step(params, gradient)
    donated.set()
    thread.join(10)
    assert new.numpy().tolist() == AFTER.tolist()
    assert found[0].numpy().tolist() == BEFORE.tolist()


def test_threads_that_train_beside_each_other_are_right(device: str) -> None:
    results: dict[int, list[float]] = {}

    def train(number: int) -> None:
        opt = optim.sgd(0.1, momentum=0.9)
        params = na.asarray(np.full(4, float(number)), device=device)
        state = opt.init(params)
        for _ in range(30):
            gradients = nt.grad(lambda w: na.square(w).sum())(params)
            params, state = optim.step(opt, params, gradients, state, donate=True)
        results[number] = np.array(params.numpy()).tolist()

    threads = [threading.Thread(target=train, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    threaded = dict(results)
    for number in range(8):
        train(number)
    assert threaded == results


# --- Wrong uses ---
def test_same_array_twice_raises_and_names_both_paths(device: str) -> None:
    params, gradient = start(device)
    tree, gradients = {"encoder": params, "decoder": params}, {"encoder": gradient, "decoder": gradient}
    with pytest.raises(
        na.DonatedError, match=r"'params\.decoder' and 'params\.encoder' share one buffer.*donate=False"
    ):
        sgd_step(tree, gradients)
    assert params.numpy().tolist() == BEFORE.tolist()  # nothing was given up
    opt = optim.sgd(1.0)
    new, _ = optim.step(opt, tree, gradients, opt.init(tree))  # two parameters, if the buffers are kept
    assert new["encoder"].numpy().tolist() == new["decoder"].numpy().tolist() == AFTER.tolist()


def test_same_buffer_in_two_arrays_raises(device: str) -> None:
    params, gradient = start(device)
    with pytest.raises(na.DonatedError, match="share one buffer"):
        sgd_step([params, na.alias(params)], [gradient, gradient])


def test_same_array_in_the_parameters_and_in_the_state_raises(device: str) -> None:
    params, gradient = start(device)
    opt = optim.sgd(1.0, momentum=0.9)
    state = opt.init(params)
    shared = (state[0], state[1]._replace(trace=params), state[2])
    with pytest.raises(na.DonatedError, match=r"optim\.step"):
        optim.step(opt, params, gradient, shared, donate=True)


def test_nothing_is_given_up_by_a_step_that_raises(device: str) -> None:
    params, gradient = start(device)
    tree = {"a": params, "b": na.zeros((4,), dtype=na.float64, device=device)}
    with pytest.raises(na.ShapeError, match="'b'"):
        sgd_step(tree, {"a": gradient, "b": na.zeros((5,), dtype=na.float64, device=device)})
    assert params.numpy().tolist() == BEFORE.tolist()
