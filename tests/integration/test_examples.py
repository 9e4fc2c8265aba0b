"""Every example runs as a new user would run it, and reaches what its first line promises."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str) -> str:
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_circles_tells_the_held_out_points_apart() -> None:
    found = re.search(r"test accuracy ([\d.]+)", run("circles.py"))
    assert found is not None
    assert float(found[1]) >= 0.98


def test_circles_is_written_in_under_40_lines() -> None:
    assert len((EXAMPLES / "circles.py").read_text().splitlines()) < 40


def test_clipping_each_examples_gradient_keeps_a_regression_on_course() -> None:
    found = re.search(r"weights: ([\d.]+) with clipping, ([\d.]+) without", run("per_example_gradients.py"))
    assert found is not None
    assert float(found[1]) <= 0.05
    assert float(found[2]) >= 1.0


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"circles.py", "per_example_gradients.py"}
