"""Levels: what watches the ops. The stack of open levels of this context, and how an op is shown to it.

An op runs once, on raw arrays. Then each open level sees `(primitive, args, params, out)`, outermost first, so that a
rule run by one level may use `out`. While a level handles an op, only the levels below it are active.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Container, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from neo_array._errors import LevelError

if TYPE_CHECKING:
    from neo_array._array import Array
    from neo_array._primitive import Primitive

    Op: TypeAlias = Primitive[..., Any]

Args: TypeAlias = "tuple[Any, ...]"  # Arrays, Python scalars, None
Params: TypeAlias = Mapping[str, Any]


class Level:
    """One open transform. `watched` holds the ids of the arrays it knows."""

    __slots__ = ("__weakref__", "_ref")
    watched: Container[int]
    _ref: weakref.ref[Level]  # how the register of open levels knows it

    def see(self, stack: Stack, index: int, op: Op, args: Args, params: Params, out: Any) -> None:
        """Handle an op that has run; `index` is this level's place in `stack.levels`."""
        raise NotImplementedError

    def knows(self, array: Array) -> bool:
        """Tell whether this level follows the array."""
        return array._id in self.watched

    def read(self, array: Array, how: str) -> None:
        """Take note that a known array's value is read; `how` is what the user wrote: `bool(x)`, `x.numpy()`."""

    def rescue(self, array: Array, spare: Array) -> bool:
        """Put `spare`, which has its value and id, where an array that is being donated stands; tell whether it did."""
        raise NotImplementedError

    def close(self) -> None:
        """Forget the watched arrays: afterwards they are constants."""
        raise NotImplementedError


class Recorder(Level):
    """A level that only keeps entries for later: what the generated record functions write to.

    An entry is `(pull, output id or ids, input ids..., residuals...)`; its pull function knows the layout.
    """

    __slots__ = ("entries", "watched")

    def __init__(self, arrays: list[Array]) -> None:
        self.watched: set[int] = {a._id for a in arrays}
        self.entries: list[tuple[Any, ...]] = []

    def see(self, stack: Stack, index: int, op: Op, args: Args, params: Params, out: Any) -> None:
        op.record(self, args, params, out)

    def rescue(self, array: Array, spare: Array) -> bool:
        found = False
        for i, entry in enumerate(self.entries.copy()):
            if _holds(entry, array):
                found = True
                try:
                    self.entries[i] = _swap(entry, array, spare)
                except IndexError:  # another thread has walked past it by now
                    break
        return found

    def close(self) -> None:
        self.watched.clear()


def _holds(kept: tuple[Any, ...], array: Array) -> bool:
    return any(x is array or (type(x) is tuple and _holds(x, array)) for x in kept)


def _swap(kept: tuple[Any, ...], array: Array, spare: Array) -> tuple[Any, ...]:
    return tuple(spare if x is array else _swap(x, array, spare) if type(x) is tuple else x for x in kept)


def _only_records(level: Level) -> bool:
    """Tell whether the generated record functions are all that the level does with an op."""
    return type(level).see is Recorder.see


class Replacing(Level):
    """A scope in which some ops are called by other functions instead: what `neo_tape.rules` opens.

    It has no place among the levels and follows no array. It is registered with them, for without an open level the
    ops do not look for one.
    """

    __slots__ = ("table",)
    watched: Container[int] = frozenset()

    def __init__(self, table: Mapping[Op, Callable[..., Any]]) -> None:
        self.table = table

    def rescue(self, array: Array, spare: Array) -> bool:
        return False

    def close(self) -> None:
        """Replace nothing any more, wherever the scope is still held."""
        self.table = {}


class Stack:
    """The open levels of a context, outermost first.

    `chain` also holds those that are hidden while a rule runs: an array that they watch is no stranger.
    `mark` is an object that stands for the chain, and is compared by identity.
    `replacing` holds where functions call ops, not where a rule does: a stack made for a rule has none.
    """

    __slots__ = ("_below", "chain", "levels", "mark", "recorders", "replacing")

    def __init__(
        self,
        levels: tuple[Level, ...],
        chain: tuple[Level, ...],
        mark: object,
        *,
        recorders: bool | None = None,
        replacing: Replacing | None = None,
    ) -> None:
        self.levels = levels
        self.chain = chain
        self.mark = mark
        self.recorders = replacing is None and (all(map(_only_records, levels)) if recorders is None else recorders)
        self.replacing = replacing
        self._below: dict[int, Stack] = {}

    def below(self, index: int) -> Stack:
        """Return the stack with only the levels outside level `index` active; it is kept, since every op may ask."""
        found = self._below.get(index)
        if found is None:
            found = self._below[index] = self.with_active(self.levels[:index])
        return found

    def for_rules(self) -> Stack:
        """Return the stack in which derivative rules run: the same levels, and no op is replaced."""
        return self if self.replacing is None else self.with_active(self.levels)

    def with_active(self, levels: tuple[Level, ...], *, replacing: Replacing | None = None) -> Stack:
        """Return the stack with other levels active: what its context has entered stays the same."""
        return Stack(levels, self.chain, self.mark, replacing=replacing)


EMPTY: Final = Stack((), (), object())
_stack: ContextVar[Stack] = ContextVar("neo_array_levels", default=EMPTY)
current_stack = _stack.get
set_stack = _stack.set

# Process-wide: weak references to every open level, and the mark of the chain that has all of them, if any has. An op
# under another chain looks for arrays that a level of another context watches: one of another thread, or one that was
# opened after this context was copied.
# Read the sets through .copy(), one step: tuple(...) may collect garbage on its way, and callbacks change the sets.
OPEN: Final[set[weakref.ref[Level]]] = set()
COMPLETE: Final[list[object]] = [EMPTY.mark]  # one item
RETAINED: Final[set[weakref.ref[Level]]] = set()  # closed tapes whose entries a pullback still needs
_register_lock = threading.RLock()  # a signal handler or finalizer may come in between, and differentiate itself


def entered(level: Level) -> Stack:
    """Register a level as open, and return the stack with it on top.

    Make it current like this:

        outer = current_stack()
        try:
            set_stack(entered(level))
            ...
        finally:
            set_stack(outer)
            left(level)

    A `with` block would not do: an interrupt can arrive as its `__exit__` begins, and the level would stay open.
    `set_stack` is one call into C, and nothing can come between `finally` and it.
    """
    outer = current_stack()
    recorders = outer.recorders and _only_records(level)
    stack = Stack(
        (*outer.levels, level), (*outer.chain, level), object(), recorders=recorders, replacing=outer.replacing
    )
    ref = level._ref = weakref.ref(level, OPEN.discard)  # for a level that is never left
    with _register_lock:
        OPEN.add(ref)
        _find_complete(stack)
    return stack


def replacing(scope: Replacing) -> Stack:
    """Register a scope that replaces ops, and return the stack with it in place of the scopes around it.

    It is registered as long as a stack holds it: a task that began in the scope goes on in it.
    """
    outer = current_stack()
    ref = scope._ref = weakref.ref(scope, OPEN.discard)
    OPEN.add(ref)
    return Stack(outer.levels, (*outer.chain, scope), outer.mark, replacing=scope)  # no array is strange without it


def left(level: Level) -> None:
    """Close a level, which is current no more, and take it off the register."""
    level.close()
    OPEN.discard(getattr(level, "_ref", None))  # None: interrupted before it was registered
    with _register_lock:
        _find_complete(current_stack())


def _find_complete(stack: Stack) -> None:
    found = [level for ref in OPEN.copy() if (level := ref()) is not None and type(level) is not Replacing]
    COMPLETE[0] = stack.mark if all(level in stack.chain for level in found) else None


def retain(level: Level) -> None:
    """Say that a closed level's entries live on, so that a donation leaves their values alone."""
    RETAINED.add(weakref.ref(level, RETAINED.discard))


def forget(level: Level) -> None:
    """Undo `retain`: the entries are used up."""
    RETAINED.discard(weakref.ref(level))


def show(stack: Stack, start: int, op: Op, args: Args, params: Params, out: Any) -> None:
    """Show an op that has run to the levels from `start` on, outermost first."""
    levels = stack.levels
    for index in range(start, len(levels)):
        levels[index].see(stack, index, op, args, params, out)


def replacement(op: Op) -> Callable[..., Any] | None:
    """Return what this context calls in place of an op, or None."""
    scope = current_stack().replacing
    return None if scope is None else scope.table.get(op)


def show_or_replace(stack: Stack, op: Op, args: Args, params: Params, out: Any) -> Any:
    """Show an op that has run to all levels and return its output; or drop that, and return its replacement's."""
    if stack.replacing is not None and op in stack.replacing.table:
        return stack.replacing.table[op](*args, **params)
    show(stack, 0, op, args, params, out)
    return out


def check_strangers(stack: Stack, op: Op, args: Args) -> None:
    """Raise if an argument is watched by a level that is open elsewhere: its derivative would silently be zero."""
    from neo_array._array import Array

    for ref in OPEN.copy():
        level = ref()
        if level is None or level in stack.chain:
            continue
        for i, array in enumerate(args):
            if type(array) is Array and level.knows(array):
                raise LevelError(
                    f"{op.__name__}: argument {i} is being differentiated by a {type(level).__name__} of another "
                    "thread or context; run this work in contextvars.copy_context().run(...), or pass stop_gradient(x)"
                )
