"""Which ops must run again, so that the reverse rules have the values that they keep."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING

from neo_array._rules import WHOLE
from neo_tape._meta import Meta
from neo_tape._recording import Ids, Recording

if TYPE_CHECKING:
    from neo_array._levels import Op


def must_run(
    recording: Recording, wanted: Sequence[bool], metas: Mapping[int, Meta], kept: Container[int]
) -> list[bool]:
    """Say of each equation whether it must run, for derivatives by the wanted inputs to be had.

    It must if a rule needs one of its results, or an equation that must run does, and it was not kept. What a rule
    needs is said by the names of its parameters; an op that records in a way of its own must run, since nothing is
    known of it.

    Args:
        metas: what the results look like, by id.
        kept: the ids of values that need not be computed again.
    """
    active = {i for i, w in zip(recording.inputs, wanted, strict=True) if w}  # at least what the tape will watch
    needed: set[int] = set()
    opaque: list[bool] = []
    for op, _, sources, _, results in recording.entries:
        touched = not op.discrete and not active.isdisjoint(sources)
        opaque.append(touched and (op.custom_record is not None or not op.sources))
        if touched:
            needed |= _residuals(op, sources, results, active)
            active.update(i for i in results if metas[i].differentiable)
    runs: list[bool] = []
    for (_, _, sources, _, results), must in zip(reversed(recording.entries), reversed(opaque), strict=True):
        runs.append(must or any(i in needed and i not in kept for i in results))
        if runs[-1]:
            needed.update(sources)
    return runs[::-1]


def _residuals(op: Op, sources: Ids, results: Ids, active: set[int]) -> set[int]:
    """Return the ids of the values that an op's reverse rules keep, for its arguments that are active."""
    names = op.arrays * (len(sources) if op.variadic else 1)
    wanted = {name for name, i in zip(names, sources, strict=True) if i in active}
    kept = {r.name for rule in op.vjp_rules if wanted & set(rule.inputs) for r in rule.residuals if r.part == WHOLE}
    arguments = {i for name, i in zip(names, sources, strict=True) if name in kept}
    return arguments | set(results) if "out" in kept else arguments
