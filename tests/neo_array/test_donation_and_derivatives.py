"""Donation while derivatives are in progress, or a pullback is kept: what they need keeps its values."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device
from tests.neo_array.donations import fresh, ones, step


@every_device
def test_an_open_tape_keeps_a_residual(device: str) -> None:
    w, x = fresh(device), ones(device) * 5

    def f(a: Array) -> Array:
        loss = (a * x).sum()  # the derivative is x
        step(x, ones(device))
        return loss

    np.testing.assert_array_equal(nt.grad(f)(w).numpy(), np.full((2, 2), 5.0))


@every_device
def test_a_tape_keeps_a_donated_input_and_intermediate(device: str) -> None:
    def f(a: Array) -> Array:
        b = a * a
        loss = (b * b).sum()  # 4 a^3
        step(b, ones(device))
        return loss

    np.testing.assert_allclose(nt.grad(f)(fresh(device)).numpy(), 4 * np.array([[1, 8], [27, 64]]))


@every_device
def test_donation_is_differentiable(device: str) -> None:
    w = fresh(device)

    def f(a: Array) -> Array:
        updated = step(a * 1.0, a * a)  # a + 10 a^2
        return (updated * updated).sum()

    a = w.numpy()
    expected = 2 * (a + 10 * a**2) * (1 + 20 * a)
    np.testing.assert_allclose(nt.grad(f)(w).numpy(), expected)
    _, tangent = nt.jvp(f, (w,), (ones(device),))
    np.testing.assert_allclose(tangent.item(), expected.sum())


@every_device
@pytest.mark.parametrize("which", ["input", "output"])
def test_a_pullback_that_is_kept_keeps_its_values(which: str, device: str) -> None:
    x = fresh(device)
    out, pullback = nt.vjp(lambda a: a * a * a, x)
    step(x if which == "input" else out, ones(device))
    for _ in range(2):
        (gradient,) = pullback(ones(device))
        np.testing.assert_array_equal(gradient.numpy(), 3 * np.array([[1, 4], [9, 16]]))


@every_device
def test_a_tangent_keeps_its_values(device: str) -> None:
    x, t = fresh(device), ones(device)

    def f(a: Array) -> Array:
        b = a * a
        step(t, ones(device))  # the direction itself
        return a * b

    _, tangent = nt.jvp(f, (x,), (t,))
    np.testing.assert_array_equal(tangent.numpy(), 3 * np.array([[1, 4], [9, 16]]))


@every_device
def test_a_level_that_another_thread_has_open_keeps_its_values(device: str) -> None:
    w, x = fresh(device), ones(device) * 5
    recorded, donated = threading.Event(), threading.Event()
    found: list[Array] = []

    def work() -> None:
        def f(a: Array) -> Array:
            loss = (a * x).sum()
            recorded.set()
            assert donated.wait(10)
            return loss

        found.append(nt.grad(f)(w))

    thread = threading.Thread(target=work)
    thread.start()
    assert recorded.wait(10)
    step(x, ones(device))
    donated.set()
    thread.join()
    np.testing.assert_array_equal(found[0].numpy(), np.full((2, 2), 5.0))


@every_device
def test_a_gradient_can_be_donated(device: str) -> None:
    x = fresh(device)
    g = nt.grad(lambda a: a.sum())(x)
    step(g, ones(device))
    again = nt.grad(lambda a: a.sum())(x)
    np.testing.assert_array_equal(again.numpy(), np.ones((2, 2)))
    value, slope = nt.value_and_grad(lambda a: a)(na.asarray(2.0, device=device))
    step(slope, value)
    np.testing.assert_array_equal(nt.grad(lambda a: a)(na.asarray(3.0, device=device)).numpy(), 1)
