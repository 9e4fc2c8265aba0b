from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import neo_optim

MODULES = ["neo_optim", *(info.name for info in pkgutil.walk_packages(neo_optim.__path__, "neo_optim."))]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_import_needs_neo_array_alone() -> None:
    script = "import sys, neo_optim\nassert not {'torch', 'neo_tape', 'neo_nn', 'jax', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_optimizing_on_numpy_loads_no_torch() -> None:
    script = (
        "import sys, neo_array as na, neo_optim as optim\n"
        "p, opt = na.ones((3,)), optim.adam(0.1)\n"
        "optim.step(opt, p, na.ones((3,)), opt.init(p), donate=True)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
