from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "matplotlib", "sklearn", "pooch", "requests", "scipy", "jax", "cupy")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["run", "--help"], ["--version"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    script = (
        "import sys; from neo_bench.cli import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"loaded = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_datasets_can_be_used_without_the_training_stack() -> None:
    script = "import sys, neo_bench.datasets\nassert not {'neo_nn', 'neo_optim', 'torch', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
