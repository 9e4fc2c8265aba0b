"""What is marked "no derivative" has none: its result or its input is discrete, or JAX's derivative of it is zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
from neo_array import testing
from tests.neo_array.calls import OPS, Op

DISCRETE = [op for op in OPS if op.discrete is not None]
MISSING = [(op, name) for op in OPS for name in op.missing]
# discrete by what they are: nothing that could be differentiated goes in, or the caller asked for it
BY_NATURE = {
    "draw": "a random key goes in",
    "fill": "no array goes in",
    "stop_gradient": "the caller asked for a constant",
}
# floating results that change in steps only: what JAX has for them
STEPS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "sign": lambda jnp: jnp.sign,
    "floor": lambda jnp: jnp.floor,
    "ceil": lambda jnp: jnp.ceil,
    "trunc": lambda jnp: jnp.trunc,
    "round": lambda jnp: jnp.round,
    "floor_divide": lambda jnp: jnp.floor_divide,
    "nextafter": lambda jnp: jnp.nextafter,
}
# floating inputs on which a result depends in steps only: the same function of that input in JAX
STEPPED: dict[tuple[str, str], Callable[[Any], Callable[[Any], Any]]] = {
    ("copysign", "x2"): lambda jnp: lambda x: jnp.copysign(2.0, x),
    ("pseudo_inverse", "rtol"): lambda jnp: lambda rtol: jnp.linalg.pinv(jnp.eye(3) * 2.0, rtol=rtol).sum(),
}


def results(op: Op) -> list[na.Array]:
    """Return the results of all samples."""
    return [leaf for s in testing.samples(op) for leaf in na.tree.leaves(testing.run(op, s))]


@pytest.mark.parametrize("op", DISCRETE, ids=lambda op: op.__name__)
def test_a_discrete_result_is_one(op: Op) -> None:
    if op.__name__ in BY_NATURE or all(out.dtype.kind in "biu" for out in results(op)):
        return
    jax = pytest.importorskip("jax", reason="the oracle is JAX, which is not installed")
    f = STEPS[op.__name__](jax.numpy)
    args = [np.float32(value) for value in (1.3, 0.7)][: len(op.arrays)]
    for i in range(len(args)):
        try:
            slope = jax.grad(f, argnums=i)(*args)
        except NotImplementedError:  # JAX has no derivative for it either
            continue
        assert float(slope) == 0.0


@pytest.mark.parametrize(("op", "name"), MISSING, ids=[f"{op.__name__}-{name}" for op, name in MISSING])
def test_an_input_without_a_derivative_is_discrete(op: Op, name: str) -> None:
    place = op.arrays.index(name)
    dtypes = {np.asarray(s.args[place]).dtype.kind for s in testing.samples(op) if place < len(s.args)}
    assert dtypes
    if dtypes <= set("biu"):
        return
    jax = pytest.importorskip("jax", reason="the oracle is JAX, which is not installed")
    assert float(jax.grad(STEPPED[op.__name__, name](jax.numpy))(0.3)) == 0.0


def test_no_row_is_left_over() -> None:
    names = {op.__name__ for op in DISCRETE}
    assert BY_NATURE.keys() | STEPS.keys() <= names
    assert STEPPED.keys() <= {(op.__name__, name) for op, name in MISSING}
