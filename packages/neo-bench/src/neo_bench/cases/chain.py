"""A chain of 1,000 tiny ops forward and back: what recording and walking an op costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import neo_array as na
import neo_tape as nt
from neo_bench.cases.case import Case
from neo_bench.threads import pool_of
from neo_bench.timing.contender import Answers, Contender, Pair


class ChainProblem(NamedTuple):
    """`x = x * a + b`, `pairs` times, summed; a and b are constants close to one and zero."""

    x: npt.NDArray[np.float32]
    a: npt.NDArray[np.float32]
    b: npt.NDArray[np.float32]
    pairs: int


def build(backend: str, quick: bool, /) -> Pair:
    """Set up 1,000 ops on 4 x 4 arrays, or 20."""
    from neo_bench.peers.torch import chain

    problem, device = problem_of(quick), "torch:cpu" if backend == "torch" else backend
    return Pair(neo=neo_chain(device, problem), peer=chain(problem), tolerance=1e-4)


def problem_of(quick: bool, /) -> ChainProblem:
    """Draw the start and the constants."""
    x, a, b = (
        np.array(na.random.uniform(key, (4, 4), device="numpy").numpy()) for key in na.random.split(na.random.key(0), 3)
    )
    return ChainProblem(
        x=x, a=np.float32(0.995) + np.float32(0.01) * a, b=np.float32(0.01) * b, pairs=10 if quick else 500
    )


def neo_chain(device: str, problem: ChainProblem, /) -> Contender:
    """Return neo's side."""
    x, a, b = (na.asarray(values, device=device) for values in (problem.x, problem.a, problem.b))

    def total(x: na.Array) -> na.Array:
        for _ in range(problem.pairs):
            x = x * a
            x = x + b
        return x.sum()

    run = nt.value_and_grad(total)

    def answers() -> Answers:
        value, gradient = run(x)
        return {"value": np.array(value.numpy()), "gradient": np.array(gradient.numpy())}

    return Contender(f"neo on {device}", pool_of(device.partition(":")[0]), lambda: run(x), answers)


CASE = Case(
    name="chain",
    summary="1,000 ops on 4 x 4 arrays, forward and backward",
    peer="PyTorch eager",
    backends=("numpy", "torch"),
    build=build,
)
