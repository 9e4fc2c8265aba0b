from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from neo_bench.training.config import TrainConfig
from neo_bench.training.display import Display, remaining_seconds
from neo_bench.training.progress import Progress
from neo_bench.training.run import Run, Side
from neo_bench.training.session import begin
from neo_bench.training.table import comparison

CONFIG = TrainConfig(epochs=4, hidden=(), batch_size=1442, against="torch")  # one step makes an epoch


@pytest.fixture(scope="module")
def run() -> Run:
    return begin(CONFIG)


def epoch(progress: Progress, loss: float, seconds: float) -> Progress:
    return progress.after([loss], [1442], seconds).end_epoch(train_accuracy=0.75, test_accuracy=0.5)


@pytest.fixture
def halfway(run: Run) -> Run:
    """The run after two epochs: neo took 1 and 5 seconds, torch 2 and 6."""
    ours = epoch(epoch(Progress(), 2.0, 1.0), 1.0, 5.0)
    theirs = epoch(epoch(Progress(), 2.0, 2.0), 1.25, 6.0)
    return replace(
        run, sides=[Side(side.name, side.learner, p) for side, p in zip(run.sides, (ours, theirs), strict=True)]
    )


def shown(run: Run, *, terminal: bool) -> str:
    """Return what the display prints when each side has made a step and finished an epoch."""
    output = io.StringIO()
    with Display(Console(file=output, force_terminal=terminal, width=120), run) as display:
        for side in run.sides:
            side.progress = side.progress.after([0.5], [1442], 2.0)
            display.on_steps(side)
            side.progress = side.progress.end_epoch(train_accuracy=0.9, test_accuracy=0.8)
            display.on_epoch(side)
    return output.getvalue()


def test_a_terminal_shows_bars_with_loss_accuracy_rate_and_remaining_time(halfway: Run) -> None:
    output = shown(halfway, terminal=True)
    assert "neo 3/4" in output
    assert "loss 0.5000  accuracy 0.500  721 images/s  ETA 0:" in output


def test_elsewhere_each_epoch_is_a_plain_line(halfway: Run) -> None:
    lines = shown(halfway, terminal=False).splitlines()
    assert lines == [
        "epoch 3/4  neo    loss 0.5000  train 0.9000  test 0.8000  2.00 s",
        "epoch 3/4  torch  loss 0.5000  train 0.9000  test 0.8000  2.00 s",
    ]


def test_remaining_time_is_that_of_all_sides_at_their_last_pace(halfway: Run) -> None:
    assert remaining_seconds(halfway) == 2 * 5.0 + 2 * 6.0


def test_sides_are_compared_by_losses_and_by_the_median_of_epochs(halfway: Run) -> None:
    assert comparison(halfway) == [
        "first 2 losses: relative difference 2.0e-01 at most",
        "an epoch takes neo 3.00 s, torch 4.00 s, ratio 1.60 (medians)",
    ]
