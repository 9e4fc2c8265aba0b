from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from neo_bench.cli import app
from neo_bench.training.metrics import Metrics, SideMetrics
from neo_bench.training.progress import Epoch

SMALL = ("--epochs", "2", "--hidden", "16")


def neo_bench(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})


def train(folder: Path, *arguments: str) -> Result:
    return neo_bench("train", "--output", str(folder), *arguments)


def metrics(folder: Path) -> dict[str, Any]:
    contents: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return contents


def test_the_defaults_train_digits_to_95_percent(tmp_path: Path) -> None:
    done = train(tmp_path)
    assert done.exit_code == 0, done.output
    last = metrics(tmp_path)["sides"]["neo"]["epochs"][-1]
    assert last["test_accuracy"] >= 0.95
    assert "epoch 20/20  neo" in done.output
    assert "wrote metrics.json, training.png, checkpoint.safetensors" in done.output


def test_metrics_have_their_documented_fields(tmp_path: Path) -> None:
    train(tmp_path, *SMALL, "--against", "torch", "--seed", "3")
    found = metrics(tmp_path)
    assert found.keys() == Metrics.__annotations__.keys()
    assert (found["schema"], found["version"], found["finished"]) == ("neo-bench/train", 1, True)
    assert found["config"]["hidden"] == [16]
    assert found["config"]["seed"] == 3
    assert found["sides"].keys() == {"neo", "torch"}
    for side in found["sides"].values():
        assert side.keys() == SideMetrics.__annotations__.keys()
        assert [epoch["epoch"] for epoch in side["epochs"]] == [1, 2]
        assert all(epoch.keys() == Epoch.__annotations__.keys() for epoch in side["epochs"])
        assert len(side["first_losses"]) == 2 * 23
    assert [agreement["steps"] for agreement in found["agreement"]] == [20, 46]
    assert found["machine"]["cores"] >= 1
    assert {"python", "numpy", "torch", "neo-array"} <= found["versions"].keys()


def test_the_plot_is_a_png(tmp_path: Path) -> None:
    train(tmp_path, *SMALL)
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("device", ["numpy", "torch:cpu"])
@pytest.mark.parametrize(
    "optimizer", [("sgd", "--lr", "0.1", "--momentum", "0.9"), ("adam",), ("adamw",)], ids=lambda value: value[0]
)
def test_both_sides_compute_the_same_losses(tmp_path: Path, device: str, optimizer: tuple[str, ...]) -> None:
    done = train(
        tmp_path, *SMALL, "--against", "torch", "--dtype", "float64", "--device", device, "--optimizer", *optimizer
    )
    assert done.exit_code == 0, done.output
    assert all(agreement["largest_relative_difference"] < 1e-8 for agreement in metrics(tmp_path)["agreement"])
    sides = metrics(tmp_path)["sides"]
    assert sides["neo"]["epochs"][-1]["test_accuracy"] == sides["torch"]["epochs"][-1]["test_accuracy"]
    assert "first 20 losses: relative difference" in done.output
    assert re.search(r"an epoch takes neo \d+\.\d\d s, torch \d+\.\d\d s, ratio \d+\.\d\d", done.output)


def test_in_float32_both_sides_agree_to_rounding_over_the_first_steps(tmp_path: Path) -> None:
    train(tmp_path, *SMALL, "--against", "torch")
    assert metrics(tmp_path)["agreement"][0]["largest_relative_difference"] < 1e-4


def test_no_hidden_layer_is_softmax_regression(tmp_path: Path) -> None:
    assert train(tmp_path, "--hidden", "", "--epochs", "1").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--dataset", "cifar"), "dataset: no such dataset, got 'cifar', expected one of digits, mnist"),
        (("--optimizer", "rmsprop"), "--optimizer: out of range, got rmsprop"),
        (("--hidden", "12,x"), "--hidden: not a list of widths, got '12,x', expected numbers like 256,64"),
        (("--device", "tpu"), "device: got 'tpu'"),
        (("--against", "jax"), "--against: out of range, got jax, expected torch"),
        (("--epochs", "0"), "--epochs: out of range, got 0, expected 1 or more"),
        (("--resume",), "checkpoint.safetensors: nothing to resume, got no such file"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_wrong_option_gives_a_message_and_no_traceback(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    done = train(tmp_path / "run", *arguments)
    assert done.exit_code in (1, 2)
    assert "error: " in done.stderr
    assert complaint in done.stderr
    assert "Traceback" not in done.output
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_a_loss_that_diverges_ends_the_run_with_advice(tmp_path: Path) -> None:
    done = train(tmp_path, "--optimizer", "sgd", "--lr", "1e30", *SMALL)
    assert done.exit_code == 1
    assert re.search(r"neo: the loss diverged, got (nan|inf) in step \d+ of epoch 1, .* lower --lr", done.stderr)


def test_without_torch_the_comparison_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neo_bench.peers.find_spec", lambda name: None)
    for done in (train(tmp_path / "run", "--against", "torch"), neo_bench("run")):
        assert done.exit_code == 1
        assert "pip install 'neo-bench[torch]'" in done.stderr


def test_an_unfinished_run_is_not_replaced_by_accident(tmp_path: Path) -> None:
    train(tmp_path, "--optimizer", "sgd", "--lr", "1e30", *SMALL)  # its first checkpoint is all that it leaves
    refused = train(tmp_path, *SMALL)
    assert refused.exit_code == 1
    assert "holds an unfinished run" in refused.stderr
    assert train(tmp_path, *SMALL, "--overwrite").exit_code == 0
    assert train(tmp_path, *SMALL).exit_code == 0  # that one was finished


def test_version_is_printed() -> None:
    assert re.fullmatch(r"neo-bench \d+\.\d+\.\d+\n", neo_bench("--version").output)


@pytest.mark.skipif("NEO_DATA_DIR" not in os.environ, reason="NEO_DATA_DIR is not set: no MNIST on this machine")
def test_mnist_trains(tmp_path: Path) -> None:
    done = train(tmp_path, "--dataset", "mnist", "--epochs", "1", "--hidden", "32")
    assert done.exit_code == 0, done.output
    assert metrics(tmp_path)["sides"]["neo"]["epochs"][0]["test_accuracy"] >= 0.9
