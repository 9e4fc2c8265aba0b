"""Does a custom rule run wherever its arguments do? In batches as in a loop, and in single as in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from neo_array import Array, asarray, stack
from neo_tape._check_case import ADVICE, Case, other_values
from neo_tape._differences import TOLERANCE, coarsest, values, varies
from neo_tape._products import jvp, vjp
from neo_tape._vmap import vmap

_FACTORS: Final = (1.0, 0.9, 1.1, 1.05, 0.95, 0.85, 1.15, 0.8, 1.2, 0.875, 1.125)
_PRIMES: Final = (2, 3, 5, 7, 11)
_OTHER_DTYPE: Final = {
    "float64": "float32",
    "float32": "float64",
    "complex128": "complex64",
    "complex64": "complex128",
}


def check_batches(case: Case, modes: tuple[str, ...]) -> None:
    """Compare forward, backward and jvp under vmap with a loop over the examples."""
    size = next((p for p in _PRIMES if all(p not in x.shape for x in case.leaves)), _PRIMES[0])
    batches = [tuple(other_values(x, factor) for factor in _FACTORS[:size]) for x in case.leaves]
    cotangents = case.random(case.outputs(*case.leaves))
    tangents = case.random(case.leaves)
    output_names = case.output_names()
    everything = tuple(range(len(case.leaves)))
    chosen = [everything, *([(i,) for i in everything] if len(everything) > 1 else [])]
    for which in chosen:
        mapped = tuple(stack(batches[i]) for i in which)
        columns = list(zip(*(batches[i] for i in which), strict=True))
        who = " and ".join(case.names[i] for i in which)

        def fill(some: tuple[Array, ...], which: tuple[int, ...] = which) -> tuple[Array, ...]:
            leaves = list(case.leaves)
            for i, x in zip(which, some, strict=True):
                leaves[i] = x
            return tuple(leaves)

        def forward(*some: Array, fill: Any = fill) -> tuple[Array, ...]:
            return case.outputs(*fill(some))

        def backward(*some: Array, fill: Any = fill) -> tuple[Array, ...]:
            return vjp(case.outputs, *fill(some))[1](cotangents)

        def push(*some: Array, fill: Any = fill) -> tuple[Array, ...]:
            return jvp(case.outputs, fill(some), tangents)[1]

        _compare(case, forward, mapped, columns, output_names, f"{{}} of forward, with a batch of {who},")
        _compare(case, backward, mapped, columns, case.names, f"the gradient of {{}}, with a batch of {who},")
        if "fwd" in modes:
            _compare(case, push, mapped, columns, output_names, f"the tangent of {{}}, with a batch of {who},")


def _compare(
    case: Case, f: Callable[..., Any], mapped: tuple[Array, ...], columns: list[Any], names: list[str], what: str
) -> None:
    with case.during("under vmap, the rule", "batch"):
        got = vmap(f)(*mapped)
    expected = [stack(column) for column in zip(*(f(*one) for one in columns), strict=True)]
    case.same(got, expected, names, f"under vmap, {what} is not that of a loop over the examples", ADVICE["batch"])


def check_dtypes(case: Case) -> None:
    """Run forward and backward in the other precision: the dtypes must follow the arguments', the values agree."""
    if any(x.dtype.name not in _OTHER_DTYPE for x in case.leaves):
        return
    there = case.cast(_cast)
    out, pull = vjp(case.outputs, *case.leaves)
    cotangents = case.random(out)
    expected, gradients = out, pull(cotangents)
    what = f"with {there.leaves[0].dtype} arguments, the rule"
    with case.during(what, "dtypes"):
        found, pull_there = vjp(there.outputs, *there.leaves)
        for mine, here, name in zip(found, expected, case.output_names(), strict=True):
            wanted = _OTHER_DTYPE.get(here.dtype.name)
            if mine.dtype != wanted:
                raise case.wrong(
                    f"with {there.leaves[0].dtype} arguments, {name} has dtype {mine.dtype}, expected {wanted}: make "
                    f"constants of the arguments' dtype; {ADVICE['dtypes']}"
                )
        gradients_there = pull_there(tuple(map(_cast, cotangents)))
    pairs = [*zip(found, expected, case.output_names(), strict=True)]
    pairs += zip(gradients_there, gradients, [f"the gradient of {name}" for name in case.names], strict=True)
    for mine, here, name in pairs:
        a, b = values(mine), values(here)
        error = float(np.max(np.abs(a - b), initial=0.0))
        if not error <= TOLERANCE[coarsest(mine, here)] * max(1.0, float(np.max(np.abs(b), initial=0.0))):
            raise case.wrong(
                f"in {mine.dtype}, {name} is not that in {here.dtype}: got {a}, expected {b}; {ADVICE['dtypes']}"
            )


def _cast(x: Any) -> Any:
    if type(x) is Array and varies(x):
        return asarray(x.numpy(), dtype=np.dtype(_OTHER_DTYPE.get(x.dtype.name, x.dtype.name)), device=x.device)
    return x
