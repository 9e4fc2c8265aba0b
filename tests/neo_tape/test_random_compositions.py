"""Random compositions of grad, vjp, jvp, linearize, hvp, vmap, checkpoint and Policies, with closures over everything
around, against JAX in float64. `python -m tests.neo_tape.compositions 3000` runs more of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest

import neo_array as na
from tests.neo_tape.compositions.comparison import Oracle, digest, error, outcome, recorded
from tests.neo_tape.compositions.description import describe, evaluate
from tests.neo_tape.compositions.generator import FORWARD, REVERSE, random_program
from tests.neo_tape.compositions.libraries import Neo
from tests.neo_tape.compositions.operations import OPS, RULES
from tests.neo_tape.jax_float64 import jax_in_float64

PROGRAMS: Final = 500
CHUNK: Final = 50
TOLERANCE: Final = 1e-10


@pytest.mark.parametrize("first", range(0, PROGRAMS, CHUNK))
def test_program_agrees_with_jax(first: int) -> None:
    neo, expected = Neo(), recorded()
    for seed in range(first, first + CHUNK):
        program = random_program(seed)
        assert digest(program) in expected, (
            "programs have changed; run python -m tests.neo_tape.compositions 500 --write"
        )
        wanted, got = expected[digest(program)], outcome(program, neo)
        assert error(got, wanted) < TOLERANCE, f"seed {seed}: {got}, JAX {wanted}\n{describe(program.body)}"


def test_recorded_outcomes_are_jaxs() -> None:
    expected = recorded()
    with jax_in_float64():
        oracle = Oracle()
        for seed in range(0, PROGRAMS, 25):
            program = random_program(seed)
            assert error(expected[digest(program)], oracle.outcome(program)) < TOLERANCE


def test_program_gives_the_same_on_torch() -> None:
    pytest.importorskip("torch")
    expected, torch = recorded(), Neo("torch:cpu")
    for seed in range(0, PROGRAMS, 2):
        program = random_program(seed)
        with na.use_device("torch:cpu"):
            got = outcome(program, torch)
        assert error(got, expected[digest(program)]) < TOLERANCE, f"seed {seed}\n{describe(program.body)}"


def test_a_bypassed_policy_would_be_noticed() -> None:
    """Most programs that call a rule use its result; they must differ where plain functions stand in for the rules."""
    expected, bypassing = recorded(), Neo(bypass=True)
    programs = [program for program in map(random_program, range(PROGRAMS)) if program.rules]
    noticed = sum(error(outcome(p, bypassing), expected[digest(p)]) > TOLERANCE for p in programs)
    assert noticed > 0.7 * len(programs) > 280


def test_programs_are_varied() -> None:
    programs = [random_program(seed) for seed in range(PROGRAMS)]
    assert {program.depth for program in programs} == {1, 2, 3, 4}
    assert frozenset.union(*(program.rules for program in programs)) == RULES.keys()
    texts = [describe(program.body) for program in programs]

    def count(*words: str) -> int:
        return sum(all(f" {word}" in f" {text}" for word in words) for text in texts)

    assert min(map(count, OPS)) >= 5
    assert min(map(count, (*REVERSE, *FORWARD, "vmap", "checkpoint", "constant"))) > 50
    assert count("vmap", "checkpoint", "rule") > 20


def test_programs_are_well_conditioned() -> None:
    """Rounding in the arguments must not show in the result, or the tolerance above means nothing."""
    neo, expected = Neo(), recorded()
    for seed in range(0, PROGRAMS, 10):
        program = random_program(seed)
        moved = [neo.constant(np.asarray(a * (1 + 1e-13))) for a in program.arguments]
        got = float(evaluate(program.body, moved, neo, OPS))
        assert error(got, expected[digest(program)]) < TOLERANCE / 10, f"seed {seed}"
