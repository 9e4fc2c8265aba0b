"""Every example runs, prints what its docstring shows on both CPU backends, and reaches what it promises."""

import os
import re
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from examples import (
    gradient_reversal,
    gradient_surgery,
    implicit_ridge,
    maml_sinusoid,
    per_example_gradients,
    spiking_neurons,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
WITH_OUTPUT = {
    f"{module.__name__.rpartition('.')[2]}.py": module
    for module in (
        maml_sinusoid,
        spiking_neurons,
        gradient_reversal,
        gradient_surgery,
        implicit_ridge,
        per_example_gradients,
    )
}
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def run(name: str, backend: str = "numpy") -> str:
    """Run an example as a new user would run it."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"NEO_BACKEND": backend},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_shown(module: ModuleType, printed: str) -> None:
    """Compare what was printed with the end of the module's docstring: the words exactly, the figures roughly.

    Other processors round otherwise, which training amplifies.
    """
    shown = textwrap.dedent((module.__doc__ or "").partition("it prints\n\n")[2])
    assert NUMBER.sub("0", printed).split() == NUMBER.sub("0", shown).split()
    figures, expected = ([float(n) for n in NUMBER.findall(text)] for text in (printed, shown))
    assert figures == pytest.approx(expected, rel=0.3, abs=0.05)


@pytest.mark.parametrize("name", WITH_OUTPUT)
def test_an_example_prints_the_same_with_torchs_arrays(name: str) -> None:
    assert_shown(WITH_OUTPUT[name], run(name, "torch"))


@pytest.mark.parametrize("name", WITH_OUTPUT)
def test_an_example_is_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) <= 90


def test_circles_tells_the_held_out_points_apart() -> None:
    found = re.search(r"test accuracy ([\d.]+)", run("circles.py"))
    assert found is not None
    assert float(found[1]) >= 0.98


def test_circles_is_written_in_under_40_lines() -> None:
    assert len((EXAMPLES / "circles.py").read_text().splitlines()) < 40


def test_maml_adapts_to_new_sinusoids_within_five_steps(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = maml_sinusoid.main()
    assert_shown(maml_sinusoid, capsys.readouterr().out)
    assert len(before) == len(after) == 6
    assert before[5] > 0.9 * before[0]  # from the first weights, five steps lead nowhere
    assert all(later < earlier for earlier, later in pairwise(after))
    assert after[5] < 0.2 * after[0]
    assert after[5] < 0.2 * min(before)


def test_spiking_neurons_learn_patterns_that_differ_in_timing_alone(capsys: pytest.CaptureFixture[str]) -> None:
    first, last, accuracy = spiking_neurons.main()
    assert_shown(spiking_neurons, capsys.readouterr().out)
    assert first > 1.0
    assert last < 0.02
    assert accuracy >= 0.98


def test_gradient_reversal_helps_where_labels_are_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    plain, adapted = gradient_reversal.main()
    assert_shown(gradient_reversal, capsys.readouterr().out)
    assert plain <= 0.65
    assert adapted >= 0.9


def test_gradient_surgery_raises_neither_loss_and_lowers_both_further(capsys: pytest.CaptureFixture[str]) -> None:
    plain, operated, plain_rises, rises = gradient_surgery.main()
    assert_shown(gradient_surgery, capsys.readouterr().out)
    assert plain_rises > 0
    assert rises == 0
    assert all(mine < other for mine, other in zip(operated, plain, strict=True))


def test_penalties_tuned_on_validation_data_lower_the_test_loss(capsys: pytest.CaptureFixture[str]) -> None:
    first, one, each = implicit_ridge.main().values()
    assert_shown(implicit_ridge, capsys.readouterr().out)
    assert first > one > each
    assert each < 5.0


def test_clipping_each_examples_gradient_keeps_a_regression_on_course(capsys: pytest.CaptureFixture[str]) -> None:
    clipped, plain = per_example_gradients.main()
    assert_shown(per_example_gradients, capsys.readouterr().out)
    assert clipped <= 0.05
    assert plain >= 1.0


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"circles.py", *WITH_OUTPUT}
