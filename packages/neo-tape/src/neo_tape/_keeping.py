"""What a checkpoint keeps of the values inside: those with certain names, and those that are dearest by the byte."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neo_array import Array
from neo_array._array import wrap
from neo_array._payloads import Batched
from neo_tape._name import named

if TYPE_CHECKING:
    from neo_array._levels import Args, Op, Params


@dataclass(frozen=True)
class Keep:
    """What to keep: values that have one of the labels, and others for as many bytes as are left of the budget."""

    labels: frozenset[str] = frozenset()
    budget_bytes: int | None = None


class Kept:
    """The values kept of one call, by id. While it runs, a better value drives out those that are worth less."""

    def __init__(self, keep: Keep) -> None:
        self.keep = keep
        self.values: dict[int, Array] = {}
        self._offers: list[tuple[float, int, int, int]] = []  # worth, how late, bytes, id: the first is the next to go
        self._bytes = 0
        self._late = itertools.count(0, -1)

    def offer(self, op: Op, args: Args, params: Params, out: Any) -> None:
        """Look at what an op has given; keep it if it is named, or if it is worth it."""
        if op is named and params["label"] in self.keep.labels:
            self._store(args[0])
            self._store(out)
            self._bytes += size_in_bytes(out)
            self._make_room()
        elif self.keep.budget_bytes is not None and args:
            for each in out if op.multi else (out,):
                self._consider(op, args, each)

    def _consider(self, op: Op, args: Args, out: Array) -> None:
        size, work = size_in_bytes(out), work_of(op, args, out)
        if size and work and not _shares_memory(out, args):
            self._store(out)
            self._bytes += size
            heapq.heappush(self._offers, (work / size, next(self._late), size, out._id))
            self._make_room()

    def _make_room(self) -> None:
        while self._offers and self._bytes > (self.keep.budget_bytes or 0):
            _, _, size, i = heapq.heappop(self._offers)
            self._bytes -= size
            del self.values[i]

    def _store(self, x: Array) -> None:
        """Hold the value under the array's id, not the array: whether that lives on is to be seen."""
        held = self.values[x._id] = wrap(x._raw)
        held._id = x._id

    def restrict(self, ids: set[int]) -> None:
        """Drop what is not among these."""
        self.values = {i: x for i, x in self.values.items() if i in ids}
        self._offers.clear()


def _innermost(x: Array) -> Array:
    while type(x._raw) is Batched:
        x = x._raw.inner
    return x


def size_in_bytes(x: Array) -> int:
    """Return the size of an array in bytes, with all its batches."""
    holder = _innermost(x)
    return holder.size * holder.dtype.itemsize


def work_of(op: Op, args: Sequence[Any], out: Array) -> float:
    """Estimate an op's work in multiplications: exactly for a product of matrices, one an element for most others."""
    sizes = [_innermost(a).size for a in args if type(a) is Array]
    if op.kind == "general" and len(sizes) > 1:
        return math.sqrt(math.prod(sizes[:2]) * _innermost(out).size)
    return float(max([*sizes, _innermost(out).size]))


def _shares_memory(x: Array, args: Sequence[Any]) -> bool:
    """Tell whether the memory may be another array's: to keep x would keep all of that, or nothing anew."""
    raw = _innermost(x)._raw
    same = any(type(a) is Array and _innermost(a)._raw is raw for a in args)
    return same or getattr(raw, "base", None) is not None or bool(getattr(raw, "_is_view", bool)())
