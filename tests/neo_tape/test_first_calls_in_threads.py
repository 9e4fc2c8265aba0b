"""What is made at first use (functions, kernels, ids, plans, constants) may be made by many threads at once."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Final

import pytest

PREAMBLE: Final = """
    import sys, threading
    from concurrent.futures import ThreadPoolExecutor
    import numpy as np
    import neo_array as na, neo_tape as nt
    from neo_array import Array

    THREADS = 16
    sys.setswitchinterval(1e-6)

    def at_once(work):
        start = threading.Barrier(THREADS)
        def begin(number):
            start.wait(timeout=60)
            return work(number)
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(begin, range(THREADS)))

    def same(found):
        first, *rest = (na.tree.leaves(each) for each in found)
        assert all(np.array_equal(a.numpy(), b.numpy()) for other in rest for a, b in zip(first, other, strict=True))
        return found[0]
"""

SCRIPTS: Final = {
    "ops in all modes": """
        x = na.asarray(np.linspace(0.1, 0.9, 9).reshape(3, 3))

        def f(x):
            y = na.sin(x) * na.exp(x) + na.log(x) / na.sqrt(x) - na.tanh(x) ** 2
            y = na.concat([y @ x, na.cumulative_sum(y, axis=0)]) * na.where(x > 0.5, x, 2.0 * x).sum()
            y = y + na.max(na.sort(x, axis=0)) + na.linalg.inv(x + na.eye(3, dtype=na.float64)).sum()
            return na.logsumexp(y) + na.softmax(x)[1].sum() + na.erf(x[0, 1:]).sum() + na.mean(na.abs(y))

        def work(number):
            transforms = [
                lambda: nt.grad(f)(x), lambda: nt.jvp(f, (x,), (x,)), lambda: nt.vmap(f)(na.stack([x, x])),
                lambda: nt.grad(nt.checkpoint(f))(x), lambda: nt.linearize(f, x)[1](x), lambda: nt.hvp(f, x, x),
            ]
            order = [*range(number % 6, 6), *range(number % 6)]
            found = {i: transforms[i]() for i in order}  # each thread begins with another one
            return [found[i] for i in range(6)]

        same(at_once(work))
    """,
    "a Policy": """
        class Cube(nt.Policy):
            def forward(self, x, *, times=1.0):
                self.ctx.save(x)
                return x * x * x * times
            def backward(self, grad):
                (x,) = self.ctx.release
                return (grad * 3.0 * x * x,)

        x = na.asarray(np.array([1.0, 2.0]))
        found = at_once(lambda _: (nt.grad(lambda x: Cube(x).sum())(x), nt.jvp(Cube, (x,), (x,))[1]))
        assert same(found)[0].numpy().tolist() == [3.0, 12.0]
    """,
    "ids": """
        for turn in range(300):
            x, y = na.asarray(np.array([1.0, 2.0])), na.asarray(np.array([3.0, 4.0]))  # without ids as yet
            ids = at_once(lambda _: (hash(x), hash(y)))
            assert len(set(ids)) == 1 and ids[0][0] != ids[0][1]
    """,
    "constants": """
        x = na.asarray(np.array([1.0, 2.0]))

        def work(number):  # more numbers than are kept
            return all((x * float(n)).numpy().tolist() == [n, 2.0 * n] for n in range(number, 6000, 3))

        assert all(at_once(work))
    """,
    "one pullback with a checkpoint": """
        def f(x):
            return na.sin(na.exp(na.tanh(x)))

        for budget in (None, 0, 30, 1000):
            x = na.asarray(np.array([0.1, 0.2]))
            _, pullback = nt.vjp(nt.checkpoint(f, budget_bytes=budget), x)
            (found,) = same(at_once(lambda _: pullback(x)))
            assert np.array_equal(found.numpy(), nt.vjp(f, x)[1](x)[0].numpy())
    """,
    "a backend": """
        import importlib.util
        if importlib.util.find_spec("torch"):
            def work(number):
                x = na.ones(3, device="torch:cpu")
                return nt.grad(lambda x: (x * x).sum())(x).numpy().tolist() == [2.0] * 3
            assert all(at_once(work))
    """,
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_first_calls_may_race(script: str) -> None:
    source = textwrap.dedent(PREAMBLE) + textwrap.dedent(SCRIPTS[script]) + "\nprint('done')"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["done"]
