"""1,000 untaped additions of 4 x 4 arrays beside the raw library's own: what calling an op costs."""

from __future__ import annotations

from typing import Any

import numpy as np

import neo_array as na
from neo_bench.cases.case import Case
from neo_bench.threads import Pool, pool_of
from neo_bench.timing.contender import Answers, Contender, Pair


def build(backend: str, quick: bool, /) -> Pair:
    """Set up 1,000 additions, or 10."""
    count, device = (10 if quick else 1000), "torch:cpu" if backend == "torch" else backend
    x, y = (na.random.uniform(key, (4, 4), device=device) for key in na.random.split(na.random.key(0)))
    pool = pool_of(backend)
    return Pair(
        neo=_additions(f"neo on {device}", pool, x, y, count),
        peer=_additions(f"raw {backend}", pool, x.raw, y.raw, count),
        tolerance=0.0,
        operations=count,
    )


def _additions(name: str, pool: Pool, x: Any, y: Any, count: int) -> Contender:
    """Return either side: the loop is the same."""

    def run() -> None:
        for _ in range(count):
            x + y

    def answers() -> Answers:
        total = x + y
        return {"sum": np.asarray(total.numpy() if isinstance(total, na.Array) else total)}

    return Contender(name, pool, run, answers)


CASE = Case(
    name="dispatch",
    summary="1,000 untaped additions of 4 x 4 arrays",
    peer="the raw library",
    backends=("numpy", "torch"),
    build=build,
)
