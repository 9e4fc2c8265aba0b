"""A run that was interrupted and resumed ends where an unbroken one ends, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

import neo_array as na
from neo_bench.cli import app
from neo_bench.training.checkpoint import read_checkpoint
from neo_bench.training.config import TrainConfig
from neo_bench.training.folder import Folder
from neo_bench.training.interrupt import StopRequest
from neo_bench.training.loop import train
from neo_bench.training.run import Run, Side
from neo_bench.training.session import begin, resume

CONFIG = TrainConfig(epochs=3, hidden=(12,), batch_size=100)
STEPS = 15  # in an epoch: 1442 images


class StopAfter(StopRequest):
    """A request to stop that arrives once the loop has looked a number of times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._looks = looks

    def __bool__(self) -> bool:
        self._looks -= 1
        return self._looks < 0

    @contextmanager
    def deferred(self) -> Iterator[None]:
        yield


class Silent:
    def on_steps(self, side: Side, /) -> None:
        pass

    def on_epoch(self, side: Side, /) -> None:
        pass


def leaves(run: Run) -> dict[str, npt.NDArray[np.generic]]:
    """Return every array of a run by path."""
    tree = {side.name: side.learner.tree() for side in run.sides}
    return {path: np.array(leaf.numpy()) for path, leaf in na.tree.leaves_with_paths(tree)}


def assert_same(ours: Run, theirs: Run) -> None:
    expected = leaves(theirs)
    assert leaves(ours).keys() == expected.keys()
    for path, got in leaves(ours).items():
        assert got.tobytes() == expected[path].tobytes(), path
    for mine, other in zip(ours.sides, theirs.sides, strict=True):
        assert mine.progress.first_losses == other.progress.first_losses
        for epoch, want in zip(mine.progress.epochs, other.progress.epochs, strict=True):
            assert {**epoch, "seconds": 0, "images_per_second": 0} == {**want, "seconds": 0, "images_per_second": 0}


def unbroken(config: TrainConfig) -> Run:
    run = begin(config)
    train(run, stop=StopRequest(), observer=Silent(), save=lambda run: None)
    return run


@pytest.mark.parametrize("looks", [0, 1, 9, 2 * STEPS, 3 * STEPS - 5], ids=lambda n: f"{n} looks")
@pytest.mark.parametrize("device", ["numpy", "torch:cpu"])
def test_resuming_is_bit_exact_wherever_the_run_was_stopped(tmp_path: Path, device: str, looks: int) -> None:
    config = replace(CONFIG, device=device)
    folder = Folder(tmp_path)
    first = begin(config)
    train(first, stop=StopAfter(looks), observer=Silent(), save=folder.save)
    assert not first.finished
    second = resume(folder.checkpoint, config, frozenset())
    assert second.position == first.position
    train(second, stop=StopRequest(), observer=Silent(), save=folder.save)
    assert second.finished
    assert_same(second, unbroken(config))


OPTIMIZERS = [
    replace(CONFIG, optimizer="sgd", lr=0.1),
    replace(CONFIG, optimizer="sgd", lr=0.1, momentum=0.9),
    replace(CONFIG, optimizer="adam"),
    replace(CONFIG, optimizer="adamw"),
    replace(CONFIG, dtype="float64", hidden=()),
]


@pytest.mark.parametrize("config", OPTIMIZERS, ids=lambda config: f"{config.optimizer} {config.momentum}")
@pytest.mark.parametrize("looks", [3, 25, 40], ids=lambda n: f"{n} looks")
def test_both_sides_resume_bit_exactly_with_every_optimizer(tmp_path: Path, config: TrainConfig, looks: int) -> None:
    config = replace(config, against="torch")
    folder = Folder(tmp_path)
    train(begin(config), stop=StopAfter(looks), observer=Silent(), save=folder.save)
    second = resume(folder.checkpoint, config, frozenset())
    train(second, stop=StopRequest(), observer=Silent(), save=folder.save)
    assert_same(second, unbroken(config))


def test_resuming_may_train_longer_and_equals_a_longer_run(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    train(begin(CONFIG), stop=StopRequest(), observer=Silent(), save=folder.save)
    longer = replace(CONFIG, epochs=5)
    second = resume(folder.checkpoint, longer, frozenset({"epochs"}))
    train(second, stop=StopRequest(), observer=Silent(), save=folder.save)
    assert_same(second, unbroken(longer))


def command_line(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["train", *arguments], env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_the_command_resumes_with_the_options_of_the_checkpoint(tmp_path: Path) -> None:
    options = ("--hidden", "8", "--lr", "0.01", "--output", str(tmp_path))
    assert command_line(*options, "--epochs", "1")[0] == 0
    assert command_line("--resume", "--epochs", "2", "--output", str(tmp_path))[0] == 0
    saved = read_checkpoint(tmp_path / "checkpoint.safetensors")
    assert (saved.config.hidden, saved.config.lr, saved.config.epochs) == ((8,), 0.01, 2)
    code, output = command_line("--resume", "--lr", "0.02", "--output", str(tmp_path))
    assert code == 1
    assert "--lr: differs from the run to resume, got 0.02, expected 0.01" in output


def test_another_file_under_the_checkpoints_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"not a checkpoint")
    code, output = command_line("--resume", "--output", str(tmp_path))
    assert code == 1
    assert "checkpoint.safetensors" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_a_checkpoint_that_resumes_bit_exactly(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-u", "-m", "neo_bench", "train", "--hidden", "12", "--batch-size", "100"]
    command += ["--epochs", "1000000", "--output", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(number)
        output, complaints = process.communicate(timeout=60)
    assert process.returncode == 130, [*lines, output, complaints]
    assert complaints == ""
    assert "stopped; " in output
    assert f"continue with: neo-bench train --resume --output {tmp_path}" in output

    folder = Folder(tmp_path)
    saved = read_checkpoint(folder.checkpoint)
    epochs = len(saved.progress["neo"].epochs) + 1
    run = resume(folder.checkpoint, replace(saved.config, epochs=epochs), frozenset({"epochs"}))
    train(run, stop=StopRequest(), observer=Silent(), save=folder.save)
    assert_same(run, unbroken(replace(saved.config, epochs=epochs)))
    assert not list(tmp_path.glob(".*")), os.listdir(tmp_path)
