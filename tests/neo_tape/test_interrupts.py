"""An exception or an interrupt, wherever it strikes, passes through and leaves no level open."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_tape.levels import assert_nothing_open


def raising(error: type[BaseException], in_forward: bool) -> Callable[[Array], Array]:
    @nt.function
    class Raises(nt.Policy):
        def forward(self, x: Array) -> Array:
            if in_forward:
                raise error
            return x * 2.0

        def backward(self, grad: Array) -> tuple[Array]:
            raise error

    return Raises


def total(f: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda x: (f(x * x) * x).sum()


TRANSFORMS: dict[str, Callable[[Callable[[Array], Array], Array], object]] = {
    "grad": lambda f, x: nt.grad(total(f))(x),
    "vjp": lambda f, x: nt.vjp(f, x)[1](na.ones_like(x)),
    "jvp": lambda f, x: nt.jvp(f, (x,), (x,)),
    "grad of grad": lambda f, x: nt.grad(lambda y: nt.grad(total(f))(y).sum())(x),
    "grad of jvp": lambda f, x: nt.grad(lambda y: nt.jvp(total(f), (y,), (y,))[1])(x),
    "jvp of grad": lambda f, x: nt.jvp(nt.grad(total(f)), (x,), (x,)),
    "check_grads": lambda f, x: nt.check_grads(f, (x,)),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("in_forward", [True, False], ids=["forward", "backward"])
def test_exception_passes_through_and_closes_all_levels(
    transform: str, error: type[BaseException], in_forward: bool
) -> None:
    x = na.asarray([1.0, 2.0])
    with pytest.raises(error):
        TRANSFORMS[transform](raising(error, in_forward), x)
    assert_nothing_open()
    assert nt.grad(lambda x: (x * x).sum())(x).numpy().tolist() == [2.0, 4.0]


def test_inner_failure_that_f_handles_does_not_disturb_the_outer_derivative() -> None:
    def f(x: Array) -> Array:
        for name in TRANSFORMS.keys() - {"check_grads"}:  # which reads values, and says that it cannot
            with pytest.raises(ZeroDivisionError):
                TRANSFORMS[name](raising(ZeroDivisionError, in_forward=False), x)
        return (x * x * x).sum()

    assert nt.grad(f)(na.asarray([2.0])).numpy().tolist() == [12.0]
    assert nt.jvp(f, (na.asarray([2.0]),), (na.asarray([1.0]),))[1].item() == 12.0


def test_failed_pullback_can_be_called_again() -> None:
    fails = [True]

    @nt.function
    class FailsOnce(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x * 2.0

        def backward(self, grad: Array) -> tuple[Array]:
            if fails.pop():
                raise KeyboardInterrupt
            return (grad * 2.0,)

    _, pullback = nt.vjp(lambda x: FailsOnce(x * x), na.asarray(3.0))
    with pytest.raises(KeyboardInterrupt):
        pullback(na.asarray(1.0))
    fails.append(False)
    assert pullback(na.asarray(1.0))[0].item() == 12.0


# --- The signal itself, in a process of its own ---
PREAMBLE = """
    import random, signal, sys, time
    import neo_array as na, neo_tape as nt
    from neo_array import Array, _levels

    def assert_nothing_open() -> None:
        assert _levels.current_stack() is _levels.EMPTY
        assert not [ref for ref in (*_levels.OPEN, *_levels.RETAINED) if ref() is not None]

    x = na.asarray([0.1, 0.2, 0.3])
"""


def run_in_a_process(script: str) -> None:
    source = textwrap.dedent(PREAMBLE) + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1:] == ["done"]
    assert "Exception ignored" not in done.stderr, "an interrupt was swallowed"


def test_ctrl_c_during_backward_closes_the_levels() -> None:
    run_in_a_process("""
        @nt.function
        class Interrupted(nt.Policy):
            def forward(self, x: Array) -> Array:
                return x * 2.0
            def backward(self, grad: Array) -> tuple[Array]:
                signal.raise_signal(signal.SIGINT)
                time.sleep(60)
                raise AssertionError("the signal was lost")

        for f in (nt.grad(lambda x: Interrupted(x).sum()),
                  nt.grad(lambda x: nt.grad(lambda y: Interrupted(y * x).sum())(x).sum()),
                  lambda x: nt.jvp(nt.grad(lambda y: Interrupted(y * y).sum()), (x,), (x,))):
            try:
                f(x)
            except KeyboardInterrupt:
                assert_nothing_open()
            else:
                raise AssertionError("the signal was lost")
        assert nt.grad(lambda x: (x * x).sum())(na.asarray(3.0)).item() == 6.0
        print("done")
    """)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
def test_interrupts_at_random_moments_leave_nothing_open_and_are_never_lost() -> None:
    run_in_a_process("""
        def f(x: Array) -> Array:
            return nt.jvp(lambda y: nt.grad(lambda z: (na.sin(z) * z * y).sum())(y), (x,), (x,))[1]

        def due(*_: object) -> None:
            global fired
            fired = True
            raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, due)
        expected = f(x).numpy().tolist()
        random.seed(0)
        caught, end = 0, time.monotonic() + 8
        while caught < 2000 and time.monotonic() < end:
            fired = False
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 1e-3))
                while True:
                    f(x)
                    assert not fired, "an interrupt was swallowed"
            except KeyboardInterrupt:
                caught += 1
            assert_nothing_open()
        assert caught > 100
        assert f(x).numpy().tolist() == expected
        print("done")
    """)
