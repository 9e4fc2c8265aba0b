"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import neo_tape

MODULES = [module.name for module in pkgutil.walk_packages(neo_tape.__path__, "neo_tape.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    if "torch" in name:
        pytest.importorskip("torch")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_transform_has_an_example() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    without = [
        name
        for name in dir(neo_tape)
        if not name.startswith("_")
        and getattr(getattr(neo_tape, name), "__module__", "").startswith("neo_tape.")
        and callable(getattr(neo_tape, name))
        and not any(test.examples for test in finder.find(getattr(neo_tape, name), name))
    ]
    assert set(without) <= {
        "check_grads",
        "function",
        "stop_gradient",
        "NotLinearError",
        "ConvergenceError",
        "GuardError",
        "Equation",
        "Var",
    }
