"""Outcomes of programs, and those of JAX: of the first 500 they are written down, since each takes it long."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.neo_tape.compositions.description import Library, describe, evaluate
from tests.neo_tape.compositions.generator import RandomProgram
from tests.neo_tape.compositions.libraries import Jax
from tests.neo_tape.compositions.operations import OPS

RECORD: Final = Path(__file__).with_name("outcomes_of_jax.json")


def outcome(program: RandomProgram, library: Library) -> float:
    """Run a program."""
    return float(evaluate(program.body, [library.constant(a) for a in program.arguments], library, OPS))


def error(got: float, expected: float) -> float:
    """Return the relative error, or the absolute one of a small number; infinite for nan."""
    found = abs(got - expected) / max(1.0, abs(expected))
    return found if found == found else float("inf")


def digest(program: RandomProgram) -> str:
    """Return what changes if anything of a program does."""
    whole = describe(program.body) + str([a.tolist() for a in program.arguments])
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def recorded() -> dict[str, float]:
    """Return JAX's outcomes by digest."""
    found: dict[str, float] = json.loads(RECORD.read_text())
    return found


class Oracle:
    """JAX, in two forms: for programs with forward mode, and for those without."""

    def __init__(self) -> None:
        self._forms: Mapping[bool, Jax] = {form: Jax(forward_mode=form) for form in (False, True)}

    def outcome(self, program: RandomProgram) -> float:
        """Run a program."""
        return outcome(program, self._forms[program.forward_mode])
