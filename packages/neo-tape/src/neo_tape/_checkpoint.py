"""`checkpoint`: do not keep what a function computes on its way; compute it again for the backward pass."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from typing_extensions import ParamSpec

from neo_array import DTypeError, ShapeError
from neo_array._levels import Level, current_stack, entered, left, set_stack
from neo_array._payloads import BatchLevel
from neo_tape._inside import Inside, checkpoint_call
from neo_tape._keeping import Keep
from neo_tape._linearize import Pushes
from neo_tape._program.trace import Trace
from neo_tape._tangent import Tangent
from neo_tape._tape import Tape
from neo_tape._transpose import LinearTape

Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")


@overload
def checkpoint(
    *, save: Sequence[str] = (), budget_bytes: int | None = None
) -> Callable[[Callable[Q, R]], Callable[Q, R]]: ...
@overload
def checkpoint(
    f: Callable[Q, R], /, *, save: Sequence[str] = (), budget_bytes: int | None = None
) -> Callable[Q, R]: ...
def checkpoint(f: Any = None, /, *, save: Sequence[str] = (), budget_bytes: int | None = None) -> Any:
    """Return f, whose intermediate values reverse mode does not keep: it computes them again when it needs them.

    Values and derivatives are f's own, of any order and in any mode; gradients of what f closes over included. What f
    did is recorded, without its values, and is run again: so f itself is called once, and random numbers, values read
    and branches taken are those of that call. Arrays that f makes of host data (`asarray`, `eye`) are kept.

    Args:
        f: any function. Left out, `checkpoint(save=...)` is a decorator.
        save: the names (see `name`) of values to keep.
        budget_bytes: keep more values than these, up to so many bytes in all, those first that take the most work for
            their size. Without it none.

    One call around a whole network saves nothing while it is run again: put it around parts, or use
    `checkpoint_sequence`.

    Example:
        >>> from neo_array import asarray, tanh
        >>> from neo_tape import grad
        >>> grad(lambda x: checkpoint(tanh)(x))(asarray(0.0)).item()
        1.0
    """
    keep = Keep(_labels(save), _budget(budget_bytes))

    def decorate(f: Any) -> Any:
        if not callable(f):
            raise DTypeError(f"checkpoint: needs a function, got {type(f).__name__}; write checkpoint(f)(x)")

        @functools.wraps(f)
        def run(*args: Any, **kwargs: Any) -> Any:
            return _hide(lambda: f(*args, **kwargs), keep)

        return run

    return decorate if f is None else decorate(f)


def checkpoint_sequence(fs: Sequence[Callable[[S], S]], x: S, /, *, segments: int | None = None) -> S:
    """Apply functions one after another, checkpointed in segments.

    With n functions in s segments of equal length, reverse mode holds the values between the segments and those inside
    one: s + n / s values in place of n. The last segment is not run again: its values are needed at once.

    Args:
        fs: the functions, the first one first: layers, for instance.
        x: what the first is applied to; any pytree.
        segments: into how many parts to divide them; the square root of their number by default.

    Example:
        >>> from neo_array import asarray, sin
        >>> round(checkpoint_sequence([sin] * 9, asarray(1.0)).item(), 4)
        0.4813
    """
    functions = list(fs)
    count = math.isqrt(len(functions)) if segments is None else segments
    if type(count) is not int or (segments is not None and count < 1):
        raise ShapeError(f"checkpoint_sequence: segments must be a positive int, got {segments!r}")
    length = -(-len(functions) // max(count, 1))
    parts = [functions[i : i + length] for i in range(0, len(functions), max(length, 1))]
    for part in parts[:-1]:
        x = checkpoint(_chain)(part, x)
    return _chain(parts[-1], x) if parts else x


def _chain(fs: Sequence[Callable[[S], S]], x: S) -> S:
    for f in fs:
        x = f(x)
    return x


def _labels(save: Sequence[str]) -> frozenset[str]:
    labels = (save,) if isinstance(save, str) else tuple(save)
    if not all(isinstance(label, str) for label in labels):
        raise DTypeError(
            f"checkpoint: save must consist of the names of values, got {save!r}; give them by name(x, ...)"
        )
    return frozenset(labels)


def _budget(budget_bytes: int | None) -> int | None:
    if budget_bytes is None:
        return None
    if type(budget_bytes) is not int:
        raise DTypeError(f"checkpoint: budget_bytes must be an int or None, got {budget_bytes!r}")
    if budget_bytes < 0:
        raise ShapeError(f"checkpoint: budget_bytes must not be negative, got {budget_bytes}")
    return budget_bytes


# --- Hiding the levels ---
def _first_hidden(levels: Sequence[Level]) -> int | None:
    """Return the outermost Tape or Trace whose recording can be put off; from there on all of them are hidden.

    Tangents outside of it hold nothing, and see the ops as they run. A transposition or a linearization must see the
    ops, to refuse what is not linear; and so must all levels outside of it, since what it keeps depends on those.
    """
    first = None
    for i, level in enumerate(levels):
        if isinstance(level, LinearTape | Pushes):
            first = None
        elif isinstance(level, Tape | Trace) and first is None:
            first = i
    return first


def _hide(f: Callable[[], R], keep: Keep) -> R:
    """Run f, hidden from Tapes and Traces, and show it to them as one op."""
    stack = current_stack()
    first = _first_hidden(stack.levels)
    if first is None:
        return f()
    levels: list[Level] = []
    recordings: list[Inside] = []
    rules: dict[int, Inside] = {}
    inside: Inside | None = None
    for i, level in enumerate(stack.levels):
        if i < first or not isinstance(level, Tape | Tangent | Trace):
            levels.append(level)
            if isinstance(level, BatchLevel):
                inside = None
            continue
        if inside is None:
            inside = Inside(keep, _hide)
            recordings.append(inside)
            levels.append(inside)
        inside.hidden.append(level)
        rules[i] = inside
    try:
        for recording in recordings:
            set_stack(entered(recording))
        set_stack(current_stack().with_active(tuple(levels), replacing=stack.replacing))
        result = f()
        arguments = {id(recording): recording.conclude() for recording in recordings}
    finally:
        set_stack(stack)
        for recording in recordings:
            left(recording)
    for i, rule in rules.items():
        if rule.outs or rule.guarded:
            stack.levels[i].see(stack, i, checkpoint_call, arguments[id(rule)], {"rule": rule}, rule.outs)
    for recording in recordings:
        recording.outs = ()
        recording.hidden.clear()
    return result
