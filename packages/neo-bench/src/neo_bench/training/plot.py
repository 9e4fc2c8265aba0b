"""Draw a training run: loss and accuracy over the epochs, one line a side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neo_bench.atomic import replacing
from neo_bench.training.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_plot(path: Path, run: Run, /) -> None:
    """Write a PNG with a panel for the loss and one for the accuracies."""
    from matplotlib.figure import Figure  # no pyplot: it would pick a window system and keep global state

    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for number, side in enumerate(run.sides):
        epochs = side.progress.epochs
        color, name, at = f"C{number}", side.name, [epoch["epoch"] for epoch in epochs]
        loss.plot(at, [epoch["loss"] for epoch in epochs], color=color, label=name)
        accuracy.plot(at, [epoch["train_accuracy"] for epoch in epochs], "--", color=color, label=f"{name}, train")
        accuracy.plot(at, [epoch["test_accuracy"] for epoch in epochs], color=color, label=f"{name}, test")
    _finish(loss, "training loss")
    _finish(accuracy, "accuracy")
    figure.suptitle(f"{run.config.dataset} on {run.config.device}")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _finish(axes: Axes, title: str, /) -> None:
    """Label a panel; epochs are whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
