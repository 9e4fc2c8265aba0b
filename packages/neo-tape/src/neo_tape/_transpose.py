"""Transposing a linear function: run it on zeros under a tape that refuses whatever is not linear, then walk back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from neo_array import Array, NeoError
from neo_array._described import is_described
from neo_array._levels import Args, Params, Recorder, Stack, current_stack, entered, left, set_stack
from neo_array._payloads import Batched
from neo_tape._tape import Tape

if TYPE_CHECKING:
    from neo_array._levels import Op


class NotLinearError(NeoError, TypeError):
    """The function is not linear; the message names the op that shows it."""


class LinearTape(Tape):
    """A tape that refuses ops that are not linear in what it watches: those whose rules keep a watched value."""

    __slots__ = ()

    def see(self, stack: Stack, index: int, op: Op, args: Args, params: Params, out: Any) -> None:
        if op.discrete and any(type(a) is Array and self.knows(a) for a in args):
            raise NotLinearError(f"{op.__name__} reads its value")
        before = len(self.entries)
        Recorder.see(self, stack, index, op, args, params, out)
        for entry in self.entries[before:]:
            if self._keeps_watched(entry):
                raise NotLinearError(f"the derivative of {op.__name__} depends on it")

    def read(self, array: Array, how: str) -> None:
        raise NotLinearError("it reads its value")

    def _keeps_watched(self, kept: tuple[Any, ...]) -> bool:
        return any((type(x) is Array and self.knows(x)) or (type(x) is tuple and self._keeps_watched(x)) for x in kept)


def is_zero(x: Array) -> bool:
    """Tell whether all elements are zero, or nan, as infinity times zero is; in all batches."""
    other = (x != 0) & (x == x)
    while type(other._raw) is Batched:  # what holds the batches can be read
        other = other._raw.inner
    if is_described(other):  # nothing runs: only shapes are asked for
        return True
    return not other._raw.any()  # not through .raw: that it is linear holds for all values, so no level need know


def transpose(
    f: Callable[[list[Array]], list[Array | None]], zeros: list[Array], cotangents: list[Array | None]
) -> list[Array]:
    """Return f's transpose applied to cotangents of its results; `zeros` look like its arguments."""
    tape = LinearTape(zeros)
    outer = current_stack()
    try:
        set_stack(entered(tape))
        results = f(zeros)
    finally:
        set_stack(outer)
        left(tape)
    if not all(r is None or is_zero(r) for r in results):
        raise NotLinearError("it is not zero at zero")
    pairs = [(r, c) for r, c in zip(results, cotangents, strict=True) if r is not None and c is not None]
    found = tape.walk([r._id for r, _ in pairs], [c for _, c in pairs], consume=True)
    return [found.get(z._id, z) for z in zeros]
