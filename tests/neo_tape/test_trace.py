"""What a trace writes down, and that running it gives what the function gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array

trace: Any = nt.trace


def ops(program: nt.Program) -> list[str]:
    return [e.op.__name__ for e in program.equations]


def test_program_lists_the_ops_with_their_looks(device: str) -> None:
    def f(x: Array, w: Array) -> dict[str, Array]:
        return {"h": na.tanh(x @ w * 2.0)}

    program = nt.trace(f)(na.ones((2, 3)), na.ones((3, 4)))
    assert ops(program) == ["matmul", "multiply", "tanh"]
    product, scaled, _ = program.equations
    assert product.operands == program.inputs
    assert scaled.operands == (product.outputs[0], 2.0)
    assert [(v.shape, v.dtype, str(v.device)) for v in program.outputs] == [((2, 4), na.float32, device)]
    assert program.name == "f"
    assert program.captured == ()


def test_eval_keeps_structures_and_constants(device: str) -> None:
    def f(a: dict[str, Any], *rest: Any, flag: str) -> Any:
        return {"out": (a["x"] * rest[0], None), "n": 3, "flag": flag}

    x, y = na.asarray([1.0, 2.0]), na.asarray(3.0)
    program = trace(f)({"x": x, "n": None}, y, flag="yes")
    out = program.eval({"x": y * x, "n": None}, y, flag="yes")
    assert (out["n"], out["flag"], out["out"][1]) == (3, "yes", None)
    np.testing.assert_array_equal(out["out"][0].numpy(), [9.0, 18.0])


def test_failed_guard_names_line_and_advice(device: str) -> None:
    def f(x: Array) -> Array:
        return x * 2.0 if x.sum() > 0 else -x

    program = nt.trace(f)(na.asarray([1.0]))
    assert program.eval(na.asarray([3.0])).item() == 6.0
    with pytest.raises(nt.GuardError, match=r"test_trace.py:\d+ \(f\).*True when.*False now.*where"):
        program.eval(na.asarray([-3.0]))
