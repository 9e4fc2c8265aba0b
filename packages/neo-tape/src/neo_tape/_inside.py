"""What happened inside a checkpointed call: a recording, and how derivatives are had from it.

The levels that are hidden while the function runs see one op in its place, `checkpoint_call`, whose arguments are the
arrays that they know and the function uses, as arguments or by closure, and whose results are all arrays made inside
that are still alive. So closures, and what leaves the function by another way than `return`, need no care.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from neo_array import Array, Device, DType, alias, backends, broadcast_to, primitive
from neo_array._array import wrap
from neo_array._bind import accumulate, is_differentiable
from neo_array._levels import (
    Args,
    Level,
    Params,
    Recorder,
    Stack,
    check_strangers,
    current_stack,
    entered,
    left,
    set_stack,
)
from neo_tape._guards import Guard, guard
from neo_tape._keeping import Keep, Kept
from neo_tape._meta import Meta
from neo_tape._planning import must_run
from neo_tape._policy_batch import layers
from neo_tape._program.trace import Trace
from neo_tape._recording import Recording, has_effect, operands, run_again
from neo_tape._tangent import Tangent
from neo_tape._tape import Tape

if TYPE_CHECKING:
    from neo_array._levels import Op

Hide: TypeAlias = "Callable[[Callable[[], Any], Keep], Any]"


class Inside(Recording):
    """Records a checkpointed call for the hidden levels of one zone: those between two vmaps, which see the same ops.

    Its rule as an op is to run again, under a level of its own, with everything hidden that was hidden then.
    """

    __slots__ = (
        "_closures",
        "_concluded",
        "_hide",
        "_lock",
        "_made",
        "_metas",
        "_plans",
        "derived",
        "hidden",
        "kept",
        "outs",
        "produced",
    )

    def __init__(self, keep: Keep, hide: Hide) -> None:
        super().__init__([])
        self.kept = Kept(keep)
        self.hidden: list[Level] = []
        self.produced: set[int] = set()
        self.outs: tuple[Array, ...] = ()
        self.derived: tuple[bool, ...] = ()
        self._hide = hide
        self._lock = threading.RLock()  # threads that inherit the context record here too
        self._concluded = False
        self._closures: dict[int, Array] = {}
        self._made: list[weakref.ref[Array]] = []
        self._metas: dict[int, Meta] = {}
        self._plans: dict[tuple[bool, ...], list[bool]] = {}

    @property
    def trace(self) -> Trace | None:
        """A hidden Trace: what it must hear of is what it would have recorded itself."""
        traces = (level.trace if isinstance(level, Inside) else level for level in self.hidden)
        return next((level for level in traces if isinstance(level, Trace)), None)

    @property
    def guarded(self) -> bool:
        """Whether there are guards inside."""
        return any(has_effect(op, params) for op, _, _, params, _ in self.entries)

    def __str__(self) -> str:
        return f"of {len(self.entries)} ops"

    # --- While the function runs ---
    def knows(self, array: Array) -> bool:
        follows = array._id in self.watched or any(level.knows(array) for level in self.hidden)
        return follows or (array._id in self.produced and self.trace is not None)

    def read(self, array: Array, how: str) -> None:
        trace = self.trace
        if trace is not None and array._id in self.produced:  # else the trace has heard of it itself
            self._expect(array, trace.truth(array, how))

    def owns(self, array: Array) -> bool:
        """Tell whether the array is the function's own, or known to a hidden level."""
        return array._id in self.produced or any(owns(level, array) for level in self.hidden)

    def see(self, stack: Stack, index: int, op: Op, args: Args, params: Params, out: Any) -> None:
        with self._lock:
            if self._concluded:  # the context was copied inside, and lives on: what was hidden then would see nothing
                check_strangers(Stack(stack.levels, stack.levels, None), op, args)
            else:
                self._record(op, args, params, out)

    def _record(self, op: Op, args: Args, params: Params, out: Any) -> None:
        given = operands(op, args, params)
        self.add(op, given, tuple(map(self._source, given)), params, out)
        self.kept.offer(op, given, params, out)
        derived = not op.discrete and any(type(a) is Array and self.knows(a) for a in given)
        outs = out if op.multi else (out,)
        flags = params["rule"].derived if op is checkpoint_call else (derived,) * len(outs)
        for each, flag in zip(outs, flags, strict=True):
            self.produced.add(each._id)
            self._made.append(weakref.ref(each))
            self._metas[each._id] = Meta(each)
            if derived and flag and is_differentiable(each):
                self.watched.add(each._id)
        trace = self.trace if op.sized_by_values else None
        if trace is not None:
            for each in outs:
                self._expect(each, trace.shape(each))

    def _expect(self, array: Array, rule: Guard) -> None:
        self.add(guard, (array,), (array._id,), {"rule": rule}, ())

    def _source(self, a: Any) -> int:
        """Return the id of an argument that is not to be kept as it is: made inside, or known to a hidden level."""
        if type(a) is not Array:
            return 0
        if a._id not in self.produced and a._id not in self._closures:
            if not self.owns(a):
                return 0
            self._closures[a._id] = a
        return a._id

    def conclude(self) -> tuple[Array, ...]:
        """Find what is alive of all that was made, drop what it does not need, and return the arguments."""
        with self._lock:
            self._concluded = True
        nested = any(isinstance(level, Inside | Trace) for level in self.hidden)  # it shall know constants too, as made
        alive = [x for ref in self._made if (x := ref()) is not None and (nested or x._id in self.watched)]
        self.outs = tuple(alive)
        self.derived = tuple(x._id in self.watched for x in alive)
        self.finish(list(self._closures), [x._id for x in alive])
        arguments = tuple(self._closures[i] for i in self.inputs)
        used = {i for *_, results in self.entries for i in results}
        self._metas = {i: meta for i, meta in self._metas.items() if i in used}
        if self.kept.values:
            ran = must_run(self, [True] * len(arguments), self._metas, {})
            needed = {i for (*_, results), runs in zip(self.entries, ran, strict=True) if runs for i in results}
            self.kept.restrict(needed if self.trace is None else set())  # a Program has values of its own to keep
        self._made.clear()
        self._closures.clear()
        return arguments

    def rescue(self, array: Array, spare: Array) -> bool:
        found = super().rescue(array, spare)
        if self._closures.get(array._id) is array:
            self._closures[array._id] = spare
            found = True
        return found

    # --- The rule ---
    def operands(self) -> range:
        """Return which arguments the op is called on: all of them."""
        return range(len(self.inputs))

    def again(self, arrays: list[Array]) -> list[Array]:
        """Make the call again."""
        found: list[Array] = self._hide(lambda: self.run(arrays), self.kept.keep)
        return found

    def pull(self, cotangents: list[Array | None], arrays: tuple[Array, ...], wanted: list[bool]) -> list[Array | None]:
        """Run again under a tape, and walk back."""
        found: list[Array | None]
        if self._concerns_levels(arrays):
            found = self._hide(lambda: self._walk(cotangents, arrays, wanted, self._run_all), self.kept.keep)
        else:
            found = self._walk(cotangents, arrays, wanted, self._run_needed)
        return found

    def _concerns_levels(self, arrays: tuple[Array, ...]) -> bool:
        """Tell whether an open level follows what is computed again: what was kept would be a constant to it."""
        levels = current_stack().levels
        used = (*arrays, *self._constants()) if levels and self.kept.values else arrays
        return any(owns(level, each) for level in levels for x in used for each in layers(x))

    def _constants(self) -> Iterator[Array]:
        """Go over the Arrays that the call used and that no hidden level knew; a level outside may know them."""
        for _, args, _, params, _ in self.entries:
            yield from (a for a in args if type(a) is Array)
            rule = params.get("rule")
            if isinstance(rule, Inside):
                yield from rule._constants()

    def push(self, tangents: tuple[Array | None, ...], arrays: tuple[Array, ...]) -> tuple[Array | None, ...]:
        """Run again with tangents."""
        found: tuple[Array | None, ...] = self._hide(lambda: self._push(tangents, arrays), self.kept.keep)
        return found

    def _walk(
        self,
        cotangents: list[Array | None],
        arrays: tuple[Array, ...],
        wanted: list[bool],
        run: Callable[[Tape, list[Array], list[bool]], list[Array]],
    ) -> list[Array | None]:
        opened = [alias.bind(x) if w else x for x, w in zip(arrays, wanted, strict=True)]
        tape = Tape([x for x, w in zip(opened, wanted, strict=True) if w])
        outer = current_stack()
        try:
            set_stack(entered(tape))
            outs = run(tape, opened, wanted)
        finally:
            set_stack(outer)
            left(tape)
        given = [(x._id, g) for x, g in zip(outs, cotangents, strict=True) if g is not None]
        del outs
        found = tape.walk([i for i, _ in given], [g for _, g in given], consume=True)
        return [found.get(x._id) if w else None for x, w in zip(opened, wanted, strict=True)]

    def _run_all(self, tape: Tape, arrays: list[Array], wanted: list[bool]) -> list[Array]:
        return self.run(arrays)

    def _push(self, tangents: tuple[Array | None, ...], arrays: tuple[Array, ...]) -> tuple[Array | None, ...]:
        opened = [x if t is None else alias.bind(x) for x, t in zip(arrays, tangents, strict=True)]
        level = Tangent((x, t) for x, t in zip(opened, tangents, strict=True) if t is not None)
        outer = current_stack()
        try:
            set_stack(entered(level))
            outs = self.run(opened)
            return tuple(level.get(x) if d else None for x, d in zip(outs, self.derived, strict=True))
        finally:
            set_stack(outer)
            left(level)

    # --- Computing again no more than the rules need ---
    def _run_needed(self, tape: Tape, arrays: list[Array], wanted: list[bool]) -> list[Array]:
        """Do as `run`, but only show the tape those ops whose results no rule needs, or were kept."""
        key = tuple(wanted)
        if key not in self._plans:
            self._plans[key] = must_run(self, wanted, self._metas, self.kept.values)
        stack = current_stack()
        values: dict[int, Any] = dict(zip(self.inputs, arrays, strict=True))
        for (op, args, sources, params, results), dying, runs in zip(
            self.entries, self._dying, self._plans[key], strict=True
        ):
            given = tuple([values[i] if i else a for a, i in zip(args, sources, strict=True)])
            if runs:
                outs = run_again(op, given, params)
            else:
                outs = tuple([self._stand_in(i) for i in results])
                tape.see(stack, 0, op, given, params, outs if op.multi else outs[0])
            values.update(zip(results, outs, strict=True))
            del given, outs
            for i in dying:
                values.pop(i, None)
        return [values[i] for i in self.outputs]

    def _stand_in(self, i: int) -> Array:
        """Return what was kept of a result, or else what looks like it: nan, which would show if it were ever used."""
        kept = self.kept.values.get(i)
        if kept is not None:
            return wrap(kept._raw)
        meta = self._metas[i]
        return wrap(_blank(meta.shape, meta.dtype, meta.device, float("nan") if meta.differentiable else 0))


@functools.lru_cache(maxsize=256)
def _blank(shape: tuple[int, ...], dtype: DType, device: Device, value: float) -> Any:
    """Return a raw array of one element's size that looks like a whole one."""
    one = backends.named(device.backend).full((), value, dtype, device)  # `full` has no values under eval_shape
    return broadcast_to(wrap(one), shape)._raw


def owns(level: Level, array: Array) -> bool:
    """Tell whether a level follows an array, or, if it records a call, has seen it being made.

    A Trace follows them all: what it has not seen being made is captured.
    """
    return isinstance(level, Trace) or (level.owns(array) if isinstance(level, Inside) else level.knows(array))


# --- The op that the hidden levels see ---
@primitive(multi=True)
def checkpoint_call(*arrays: Array, rule: Inside) -> tuple[Array, ...]:
    """Run a checkpointed function as one op, on all arrays that it uses and a hidden level knows."""
    raise AssertionError("checkpoint_call is shown to levels by checkpoint, never called")


@checkpoint_call.record_with
def _(level: Recorder, wanted: list[int], args: Args, params: Params, out: tuple[Array, ...]) -> None:
    rule: Inside = params["rule"]
    ids = tuple(x._id if derived else 0 for x, derived in zip(out, rule.derived, strict=True))
    level.watched.update(filter(None, ids))
    wants = [i in wanted for i in range(len(args))]

    def pull(g: tuple[Array | None, ...], entry: tuple[Any, ...], grads: dict[int, Array]) -> None:
        arrays = entry[2]
        for x, gradient in zip(arrays, rule.pull(list(g), arrays, wants), strict=True):
            if gradient is not None:
                accumulate(grads, x._id, gradient)

    level.entries.append((pull, ids, args))


@checkpoint_call.jvp
def _(tangents: tuple[Array | None, ...], arrays: tuple[Array, ...], *, rule: Inside) -> tuple[Array | None, ...]:
    return rule.push(tangents, arrays)


checkpoint_call.batch(missing="checkpoint_call is shown to levels, never run")
