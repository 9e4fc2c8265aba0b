"""What must hold after every test: no level is left open."""

from __future__ import annotations

import gc

from neo_array import _levels


def assert_nothing_open(*, nothing_retained: bool = True) -> None:
    """Fail if this context has an open level, or a register knows one: in any context, or retained by a pullback."""
    assert _levels.current_stack() is _levels.EMPTY
    registers = (_levels.OPEN, *([_levels.RETAINED] if nothing_retained else []))
    if any(registers):
        gc.collect()  # a traceback may have kept a tape, or a pullback, in a cycle
    assert [ref() for register in registers for ref in tuple(register)] == []
