"""Recording ops as they run, so that they can be run again on other values.

A recording is a list of steps: data, not closures, and no value but the constants. It is what `linearize` replays with
other tangents, what `checkpoint` replays to compute again what it did not keep, and what a Program is made of.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from neo_array import Array, LevelError
from neo_array._levels import Args, Params, current_stack, retain, set_stack
from neo_tape._tape import Tape

if TYPE_CHECKING:
    from neo_array._levels import Op

K = TypeVar("K", bound=Hashable)
Ids: TypeAlias = "tuple[int, ...]"
Step: TypeAlias = "tuple[Op, Args, Ids, Params, Ids]"  # op, arguments, their ids (0: the argument itself), results'


def operands(op: Op, args: Args, params: Params) -> Args:
    """Return what the op was called with. One without kernels stands for a call, and its rule says what belongs to it.

    Raises:
        LevelError: if its rule does not know how to make the call again.
    """
    if op.sources:
        return args
    rule = params.get("rule")
    if not hasattr(rule, "again"):
        raise LevelError(
            f"{op.__name__}: is made of other ops, and its rule has no `again` to run them anew, which linearize, "
            "checkpoint and trace need; call it outside of the function that they are given"
        )
    return tuple([args[i] for i in params["rule"].operands()])


def run_again(op: Op, args: Sequence[Any], params: Params) -> tuple[Array, ...]:
    """Run an op on other values, and return the tuple of its results."""
    if not op.sources:
        return tuple(params["rule"].again(list(args)))
    out = op.bind(*args, **params)
    return out if op.multi else (out,)


def has_effect(op: Op, params: Params) -> bool:
    """Tell whether a step must run even if nothing needs its results: it is a guard, or has one inside."""
    return not op.sources and getattr(params.get("rule"), "guarded", False)


def needed(
    flow: Sequence[tuple[Collection[K], Collection[K], bool]], outputs: Iterable[K]
) -> tuple[list[int], list[tuple[K, ...]], set[K]]:
    """Find which steps must run, by what they use, what they make, and whether they have an effect.

    Returns:
        The numbers of those steps; for each of them, what nothing after it uses; and all that is used.
    """
    used = set(outputs)
    numbers: list[int] = []
    dying: list[tuple[K, ...]] = []
    for number in range(len(flow) - 1, -1, -1):
        sources, results, effect = flow[number]
        if effect or not used.isdisjoint(results):
            dying.append(tuple({*sources, *results} - used))
            used.update(sources)
            numbers.append(number)
    return numbers[::-1], dying[::-1], used


class Recording(Tape):
    """A level that keeps steps for entries. What it records is for its subclasses to say."""

    __slots__ = ("_dying", "inputs", "outputs")
    inputs: list[int]
    outputs: list[int]
    _dying: list[tuple[int, ...]]  # for each step, the ids that nothing after it uses

    def add(self, op: Op, args: Args, ids: Ids, params: Params, out: Any) -> None:
        """Append a step; the arguments that have ids are not kept."""
        kept = tuple([None if i else a for a, i in zip(args, ids, strict=True)])
        results = tuple([o._id for o in out]) if op.multi else (out._id,)
        self.entries.append((op, kept, ids, params, results))

    def finish(self, inputs: Sequence[int], outputs: list[int]) -> None:
        """Drop what the outputs do not need. From here on the recording can be run; it takes those inputs it uses."""
        flow = [
            (tuple(filter(None, ids)), results, has_effect(op, params)) for op, _, ids, params, results in self.entries
        ]
        numbers, self._dying, used = needed(flow, outputs)
        self.entries[:] = [self.entries[number] for number in numbers]
        self.inputs = [i for i in inputs if i in used]
        self.outputs = outputs
        if any(type(a) is Array for _, args, *_ in self.entries for a in args):
            retain(self)  # a donation shall leave the constants alone

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Run the ops on these values of the inputs, and return the outputs. Nothing is held longer than it is used."""
        values: dict[int, Any] = dict(zip(self.inputs, arrays, strict=True))
        outer = current_stack()
        try:
            set_stack(outer.for_rules())  # what was to be replaced, was so when it was recorded
            for (op, args, sources, params, results), dying in zip(self.entries, self._dying, strict=True):
                given = [values[i] if i else a for a, i in zip(args, sources, strict=True)]
                values.update(zip(results, run_again(op, given, params), strict=True))
                del given
                for i in dying:
                    values.pop(i, None)
        finally:
            set_stack(outer)
        return [values[i] for i in self.outputs]
