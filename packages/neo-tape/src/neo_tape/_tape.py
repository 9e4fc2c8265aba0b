"""The reverse-mode level: a tape of data entries, and the walk back over it."""

from __future__ import annotations

from typing import TypeAlias

from neo_array import Array
from neo_array._bind import accumulate
from neo_array._levels import Recorder, current_stack, forget, retain, set_stack

Cotangents: TypeAlias = dict[int, Array]


class Tape(Recorder):
    """Entries of the ops that depend on the watched inputs, in the order in which they ran."""

    __slots__ = ()

    def walk(self, outputs: list[int], cotangents: list[Array], *, consume: bool) -> Cotangents:
        """Carry the cotangents of outputs back to every array that is no op's output. Arrays are named by their ids.

        The tape must be closed: the rules' own ops are then seen by the outer levels only, which makes higher orders.
        With `consume`, each entry is dropped before its rule runs, so that its residuals are freed on the way.
        """
        found: Cotangents = {}
        entries = self.entries if consume else self.entries.copy()
        outer = current_stack()
        retain(self)  # a donation, in another thread, say, shall leave alone what is still to be read
        try:
            set_stack(outer.for_rules())
            for output, cotangent in zip(outputs, cotangents, strict=True):
                accumulate(found, output, cotangent)
            while entries:
                entry = entries.pop()
                target = entry[1]
                if target in found:
                    entry[0](found.pop(target), entry, found)
                elif type(target) is tuple:
                    several = tuple([found.pop(i, None) for i in target])
                    if any(g is not None for g in several):
                        entry[0](several, entry, found)
        finally:
            set_stack(outer)
            entries.clear()
            if consume:
                forget(self)
        return found
