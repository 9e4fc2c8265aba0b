"""Random programs and nestings with checkpoints and linearizations put in anywhere: none may change a result."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_tape import test_vmap_nestings as nestings
from tests.neo_tape.compositions.description import Library, Value, describe, evaluate
from tests.neo_tape.compositions.generator import RandomProgram, random_program
from tests.neo_tape.compositions.libraries import Neo
from tests.neo_tape.compositions.operations import OPS
from tests.neo_tape.levels import assert_nothing_open

F = Callable[..., Any]
PROGRAMS: Final = 200
checkpoint: Final[Any] = nt.checkpoint
linearize: Final[Any] = nt.linearize


class Inside(Neo):
    """Checkpoints each function that is differentiated."""

    options: Mapping[str, Any] = MappingProxyType({})

    def value_and_grad(self, f: F, argnums: tuple[int, ...], /) -> F:
        return nt.value_and_grad(checkpoint(f, **self.options), list(argnums))

    def vjp(self, f: F, /, *primals: Array) -> Value:
        return nt.vjp(checkpoint(f, **self.options), *primals)

    def jvp(self, f: F, primals: Value, tangents: Value, /) -> Value:
        return nt.jvp(checkpoint(f, **self.options), primals, tangents)


class Budgeted(Inside):
    """Keeps some values, but not all."""

    options = MappingProxyType({"budget_bytes": 100})


class Outside(Neo):
    """Checkpoints each derivative; pullbacks leave the checkpoint that they are made in."""

    def value_and_grad(self, f: F, argnums: tuple[int, ...], /) -> F:
        derivative: F = checkpoint(nt.value_and_grad(f, list(argnums)))
        return derivative

    def vjp(self, f: F, /, *primals: Array) -> Value:
        return checkpoint(nt.vjp)(f, *primals)

    def jvp(self, f: F, primals: Value, tangents: Value, /) -> Value:
        return checkpoint(nt.jvp)(f, primals, tangents)


class Linearized(Inside):
    """Linearizes in a checkpoint, and pushes outside of it."""

    def jvp(self, f: F, primals: Value, tangents: Value, /) -> Value:
        out, push = checkpoint(lambda *primals: linearize(checkpoint(f), *primals))(*primals)
        return out, push(*tangents)


LIBRARIES: Final[list[Library]] = [Inside(), Budgeted(), Outside(), Linearized()]
CHECKPOINTED_OPS: Final = {
    name: (lambda library, *args, op=op: checkpoint(lambda: op(library, *args))()) for name, op in OPS.items()
}


def outcome(program: RandomProgram, library: Library, ops: Any = OPS) -> float:
    return float(evaluate(program.body, [library.constant(a) for a in program.arguments], library, ops))


@pytest.mark.parametrize("first", range(0, PROGRAMS, 20))
def test_checkpoints_change_no_random_program(first: int) -> None:
    for seed in range(first, first + 20):
        program = random_program(seed)
        if "squashed gradient" in program.rules:
            continue  # not linear in its cotangent, so that what is computed twice is not the same as once
        expected = outcome(program, Neo())
        got = [outcome(program, library) for library in LIBRARIES]
        got += [outcome(program, Neo(), CHECKPOINTED_OPS), outcome(program, Inside(), CHECKPOINTED_OPS)]
        np.testing.assert_allclose(
            got, expected, rtol=1e-10, atol=1e-10, err_msg=f"seed {seed}\n{describe(program.body)}"
        )
    assert_nothing_open()


def closing(wrap: F) -> F:
    """Make what calls a function that closes over the outer argument, and over an intermediate."""

    def make(lib: Any, xp: Any, f: F, axes: Any) -> F:
        def apply(x: Any) -> Any:
            scale = xp.sin(xp.sum(x))
            return wrap(lambda y: f(y) * scale + xp.cos(x))(x)

        return apply

    return make


def pushed(lib: Any, xp: Any, f: F, axes: Any) -> F:
    return lambda x: linearize(lambda y: f(y) * xp.cos(x), x)[1](xp.sin(x) + 1.0)


KINDS: Final[dict[str, tuple[F, F]]] = {  # with and without what is tested
    "rev": (nestings.reverse, nestings.reverse),
    "fwd": (nestings.forward, nestings.forward),
    "map": (nestings.mapped, nestings.mapped),
    "ckpt": (closing(checkpoint), closing(lambda f: f)),
    "lin": (pushed, nestings.forward),
}


@pytest.mark.parametrize("outermost", KINDS)
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_checkpoints_and_linearizations_change_no_nesting(depth: int, outermost: str) -> None:
    for kinds in itertools.product(KINDS, repeat=depth):
        if kinds[-1] != outermost or not {"ckpt", "lin"} & set(kinds):
            continue
        with_them, without = (nested(kinds, which) for which in (0, 1))
        x = na.asarray(nestings.argument(kinds))
        expected = without(x).numpy()
        np.testing.assert_allclose(
            with_them(x).numpy(), expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max(), err_msg="-".join(kinds)
        )
    assert_nothing_open()


def nested(kinds: tuple[str, ...], which: int) -> F:
    f: F = lambda y: nestings.base(na, y)
    for number, kind in enumerate(kinds):
        f = KINDS[kind][which](nt, na, f, nestings.AXES[number])
    return f
