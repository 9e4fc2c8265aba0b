"""A function of arrays, recorded where it is differentiated; what it closes over is an argument too.

Implicit differentiation needs the derivatives of f with respect to what f closes over, again and again, under levels
that are not open yet. So f is run once, with all levels hidden but the vmaps, and what it did becomes a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from neo_array import Array, alias
from neo_array._levels import Args, Level, Params, Stack, current_stack, entered, left, set_stack
from neo_array._payloads import BatchLevel
from neo_tape._policy_batch import layers
from neo_tape._policy_call import Guard, traces
from neo_tape._recording import Recording, operands

if TYPE_CHECKING:
    from neo_array._levels import Op

R = TypeVar("R")
Function: TypeAlias = Callable[[list[Array]], list[Array]]


class Captured(Recording):
    """Records what f does. `run(arrays)` does it again, on x and the values of the closures that it uses."""

    __slots__ = ("_closures", "_outer", "_produced", "reads")

    def __init__(self, x: Sequence[Array], outer: Sequence[Level]) -> None:
        super().__init__(list(x))
        self.reads = False  # whether f reads a value, so that it may do something else for other values
        self._outer = outer
        self._produced = {each._id for each in x}
        self._closures: dict[int, Array] = {}

    # --- While f runs ---
    def knows(self, array: Array) -> bool:
        return array._id in self.watched or known_to(self._outer, array)

    def read(self, array: Array, how: str) -> None:
        self.reads = True

    def see(self, stack: Stack, index: int, op: Op, args: Args, params: Params, out: Any) -> None:
        given = operands(op, args, params)
        if not op.discrete:
            for level in self._outer:
                if isinstance(level, Guard):
                    level.check(args, f"uses, in {op.__name__},")
        self.add(op, given, tuple(map(self._source, given)), params, out)
        outs = out if op.multi else (out,)
        self._produced.update(each._id for each in outs)
        if any(type(a) is Array and self.knows(a) for a in given):  # truth values too: to notice when they are read
            self.watched.update(each._id for each in outs)

    def _source(self, a: Any) -> int:
        """Return the id of an argument, 0 for what is a constant: no level outside knows it, and none traces."""
        if type(a) is not Array:
            return 0
        if a._id not in self._produced and a._id not in self._closures:
            if not (known_to(self._outer, a) or any(map(traces, self._outer))):
                return 0
            self._closures[a._id] = a
        return a._id

    # --- Afterwards ---
    def conclude(self, x: Sequence[Array], outputs: Sequence[Array]) -> list[Array]:
        """Return the closures that the outputs depend on; x and these are the arguments of `call`."""
        first = [each._id for each in x]
        self.finish([*first, *self._closures], [each._id for each in outputs])
        used = set(self.inputs)
        closures = [a for i, a in self._closures.items() if i in used]
        self.inputs = [*first, *(a._id for a in closures)]
        self._closures.clear()
        self._outer = ()
        return closures

    def call(self, x: Sequence[Array], closures: Sequence[Array]) -> list[Array]:
        """Return f's results at x, with these values of what it closes over."""
        return self.run([*x, *closures])


class Uses(Level):
    """Notices whether a function uses what the levels outside know, other than its arguments."""

    __slots__ = ("_arguments", "_outer", "found")
    watched = frozenset()

    def __init__(self, arguments: Sequence[Array], outer: Sequence[Level]) -> None:
        self._arguments = {each._id for each in arguments}
        self._outer = outer
        self.found = False

    def knows(self, array: Array) -> bool:
        return array._id not in self._arguments and known_to(self._outer, array)

    def see(self, stack: Stack, index: int, op: Op, args: Args, params: Params, out: Any) -> None:
        self.found = self.found or any(type(a) is Array and self.knows(a) for a in args)

    def read(self, array: Array, how: str) -> None:
        self.found = True

    def rescue(self, array: Array, spare: Array) -> bool:
        return False

    def close(self) -> None:
        self._outer = ()


def known_to(levels: Sequence[Level], array: Array) -> bool:
    """Tell whether one of the levels knows the array, or what holds its batch."""
    return any(level.knows(each) for each in layers(array) for level in levels)


def hiding_levels(f: Callable[[], R]) -> R:
    """Run f as if no level were open but the vmaps: what it computes is a constant to all others."""
    stack = current_stack()
    try:
        set_stack(_only_batches(stack))
        return f()
    finally:
        set_stack(stack)


def noticing_uses(f: Callable[[], R], arguments: Sequence[Array]) -> tuple[R, bool]:
    """Do as `hiding_levels`, and tell whether f uses what these levels know, other than its arguments."""
    stack = current_stack()
    uses = Uses(arguments, stack.levels)
    try:
        set_stack(_only_batches(stack))
        set_stack(entered(uses))
        return f(), uses.found
    finally:
        set_stack(stack)
        left(uses)


def _only_batches(stack: Stack) -> Stack:
    vmaps = tuple(level for level in stack.levels if isinstance(level, BatchLevel))
    return stack.with_active(vmaps, replacing=stack.replacing)


def capture(f: Function, x: Sequence[Array]) -> tuple[Captured, list[Array]]:
    """Run f on x, hidden from the levels, and return what it did, with the arrays of these levels that it closes over.

    f takes and returns lists of Arrays.
    """
    stack = current_stack()
    recording: Captured | None = None
    try:
        set_stack(_only_batches(stack))
        opened = [alias.bind(each) for each in x]
        recording = Captured(opened, stack.levels)
        set_stack(entered(recording))
        outputs = [alias.bind(each) for each in f(opened)]  # so that even a constant is made inside
        closures = recording.conclude(opened, outputs)
    finally:
        set_stack(stack)
        if recording is not None:
            left(recording)
    return recording, closures
