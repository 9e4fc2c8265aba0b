"""What an operation costs that is recorded and walked back over, beyond the library's own time for both.

The chain of the case `chain` under `value_and_grad`, beside the same arithmetic on raw arrays, forward and backward,
with no tape: `x * a`, `x + b` and the final sum, then `g * a` for each product. The rest is neo's: running an operation
through its Array, recording it, walking back to it, and running its derivative's operations through Arrays of their
own. This is divided by the operations that were recorded, the sum among them.

So a recorded operation pays here for the untaped ones of its derivative too: a product for two operations, a sum of two
arrays, whose cotangents pass through as they are, for one. Half of the chain is one, half the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import neo_array as na
from neo_bench.cases.case import Case
from neo_bench.cases.chain import ChainProblem, neo_chain, problem_of
from neo_bench.threads import pool_of
from neo_bench.timing.contender import Answers, Contender, Pair


def build(backend: str, quick: bool, /) -> Pair:
    """Set up the chain of 1,000 operations and a sum, or of 20."""
    problem, device = problem_of(quick), "torch:cpu" if backend == "torch" else backend
    return Pair(
        neo=neo_chain(device, problem),
        peer=_raw_chain(backend, device, problem),
        tolerance=1e-6,
        operations=2 * problem.pairs + 1,
    )


def _raw_chain(backend: str, device: str, problem: ChainProblem, /) -> Contender:
    """Return the arithmetic without neo: the same calls for an ndarray and a tensor."""
    x, a, b = (na.asarray(values, device=device).raw for values in (problem.x, problem.a, problem.b))
    ones = na.ones_like(na.asarray(problem.x, device=device)).raw

    def run() -> tuple[Any, Any]:
        y = x
        for _ in range(problem.pairs):
            y = y * a
            y = y + b
        total = y.sum()
        gradient = ones
        for _ in range(problem.pairs):
            gradient = gradient * a
        return total, gradient

    def answers() -> Answers:
        total, gradient = run()
        return {"value": np.asarray(total), "gradient": np.asarray(gradient)}

    return Contender(f"raw {backend}", pool_of(backend), run, answers)


CASE = Case(
    name="tape_cost",
    summary="1,001 recorded ops on 4 x 4 arrays, forward and backward",
    peer="the raw library",
    backends=("numpy", "torch"),
    build=build,
)
