"""Random compositions of grad, vjp, jvp and Policies, with closures over everything around, against JAX in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import neo_array as na
from tests.neo_tape.compositions.description import Library, describe, evaluate
from tests.neo_tape.compositions.generator import RandomProgram, random_program
from tests.neo_tape.compositions.libraries import Jax, Neo
from tests.neo_tape.compositions.operations import OPS, RULES
from tests.neo_tape.jax_float64 import jax_in_float64

PROGRAMS = 300
CHUNK = 20


@pytest.fixture
def oracles() -> Iterator[dict[bool, Jax]]:
    """JAX twice: for programs with forward mode, and for those without."""
    with jax_in_float64():
        yield {forward_mode: Jax(forward_mode=forward_mode) for forward_mode in (False, True)}


def outcome(program: RandomProgram, library: Library) -> float:
    return float(evaluate(program.body, [library.constant(a) for a in program.arguments], library, OPS))


def differs(got: float, expected: float, rtol: float = 1e-10) -> bool:
    return not abs(got - expected) <= rtol * max(1.0, abs(expected))


@pytest.mark.parametrize("first", range(0, PROGRAMS, CHUNK))
def test_program_agrees_with_jax(first: int, oracles: dict[bool, Jax]) -> None:
    neo = Neo()
    for seed in range(first, first + CHUNK):
        program = random_program(seed)
        got, expected = outcome(program, neo), outcome(program, oracles[program.forward_mode])
        assert not differs(got, expected), f"seed {seed}: {got}, JAX {expected}\n{describe(program.body)}"


def test_program_gives_the_same_on_torch() -> None:
    pytest.importorskip("torch")
    numpy, torch = Neo(), Neo("torch:cpu")
    for seed in range(PROGRAMS):
        program = random_program(seed)
        expected = outcome(program, numpy)
        with na.use_device("torch:cpu"):
            assert not differs(outcome(program, torch), expected), f"seed {seed}\n{describe(program.body)}"


def test_a_bypassed_policy_would_be_noticed() -> None:
    """Most programs that call a rule use its result; they must differ where plain functions stand in for the rules."""
    neo, bypassing = Neo(), Neo(bypass=True)
    programs = [program for program in map(random_program, range(PROGRAMS)) if program.rules]
    noticed = sum(differs(outcome(p, bypassing), outcome(p, neo)) for p in programs)
    assert noticed > 0.7 * len(programs) > 150


def test_programs_are_varied() -> None:
    programs = [random_program(seed) for seed in range(PROGRAMS)]
    assert {program.depth for program in programs} == {1, 2, 3, 4}
    assert frozenset.union(*(program.rules for program in programs)) == RULES.keys()
    text = "\n".join(describe(program.body) for program in programs)
    for name in (*OPS, "grad", "vjp", "jvp", "constant"):
        assert f" {name}" in text, name


def test_programs_are_well_conditioned() -> None:
    """Rounding in the arguments must not show in the result, or the tolerance above means nothing."""
    neo = Neo()
    for seed in range(0, PROGRAMS, 10):
        program = random_program(seed)
        moved = [neo.constant(np.asarray(a * (1 + 1e-13))) for a in program.arguments]
        got = float(evaluate(program.body, moved, neo, OPS))
        assert not differs(got, outcome(program, neo), rtol=1e-11), f"seed {seed}"
