from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neo_bench.cases import CASES
from neo_bench.cli import app
from neo_bench.timing.results import Report, Result

CASES_ON_BACKENDS = [(case, backend) for case in CASES.values() for backend in case.backends]


@pytest.mark.parametrize(
    ("case", "backend"), CASES_ON_BACKENDS, ids=[f"{case.name}-{backend}" for case, backend in CASES_ON_BACKENDS]
)
def test_both_sides_of_every_case_compute_the_same_and_run(case: object, backend: str) -> None:
    pair = CASES[case.name].build(backend, True)  # type: ignore[attr-defined]
    pair.check()
    pair.neo.run()
    pair.peer.run()


def test_a_quick_run_prints_a_table_and_writes_its_results(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    done = CliRunner().invoke(app, ["run", "--quick", "--json", str(path)], env={"COLUMNS": "120"})
    assert done.exit_code == 0, done.output
    assert "the times mean nothing" in done.output
    found = json.loads(path.read_text())
    assert found.keys() == Report.__annotations__.keys()
    assert (found["schema"], found["version"], found["quick"]) == ("neo-bench/run", 2, True)
    assert [(row["case"], row["backend"]) for row in found["results"]] == [
        (case.name, backend) for case, backend in CASES_ON_BACKENDS
    ]
    for row in found["results"]:
        assert row.keys() == Result.__annotations__.keys()
        assert row["neo"] > 0
        assert row["ratio"] == pytest.approx(row["peer"] / row["neo"])
        assert row["unit"] == CASES[row["case"]].unit
        if row["cost"] is not None:
            assert row["against"] == "the raw library"
        assert row["noisy"] is False


def test_cases_and_backends_can_be_chosen() -> None:
    done = CliRunner().invoke(app, ["run", "chain", "--backend", "numpy", "--quick"], env={"COLUMNS": "120"})
    assert done.exit_code == 0, done.output
    assert "chain on numpy" in done.output
    assert "torch:" not in done.output.split("threads")[0]
    assert "mlp_step" not in done.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nothing",), "case: no such case, got 'nothing', expected some of mlp_step, chain, dispatch"),
        (("--backend", "jax"), "--backend: no such backend, got 'jax', expected numpy or torch"),
    ],
)
def test_a_name_that_does_not_exist_is_an_error(arguments: tuple[str, ...], complaint: str) -> None:
    done = CliRunner().invoke(app, ["run", *arguments])
    assert done.exit_code == 2
    assert complaint in done.stderr
