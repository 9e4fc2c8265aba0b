"""The final tables of a training run."""

from __future__ import annotations

from itertools import zip_longest

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from neo_bench.training.run import Run, Side


def summary(run: Run, /) -> RenderableType:
    """Return every epoch of every side side by side, and how they compare."""
    table = Table(title=f"{run.config.dataset} on {run.config.device}, {run.config.dtype}")
    table.add_column("epoch", justify="right")
    for side in run.sides:
        prefix = f"{side.learner.name}\n" if len(run.sides) > 1 else ""
        for heading in ("loss", "train", "test", "s"):
            table.add_column(prefix + heading, justify="right")
    for number, epochs in enumerate(zip_longest(*(side.progress.epochs for side in run.sides)), start=1):
        cells = [str(number)]
        for epoch in epochs:
            cells += (
                [
                    f"{epoch['loss']:.4f}",
                    f"{epoch['train_accuracy']:.4f}",
                    f"{epoch['test_accuracy']:.4f}",
                    f"{epoch['seconds']:.2f}",
                ]
                if epoch
                else [""] * 4
            )
        table.add_row(*cells)
    return Group(table, *(Text(line) for line in comparison(run)))


def comparison(run: Run, /) -> list[str]:
    """Return how two sides compare in agreement and time, a sentence each; nothing for one side."""
    if len(run.sides) < 2:
        return []
    ours, theirs = run.sides
    lines = [
        f"first {found['steps']} losses: relative difference {found['largest_relative_difference']:.1e} at most"
        for found in run.agreements
    ]
    our_time, their_time = _training_seconds(ours), _training_seconds(theirs)
    if our_time and their_time:
        lines.append(
            f"training: {ours.learner.name} {our_time:.2f} s, {theirs.learner.name} {their_time:.2f} s, "
            f"ratio {their_time / our_time:.2f}"
        )
    return lines


def _training_seconds(side: Side, /) -> float:
    """Return the seconds of all finished epochs, without evaluation."""
    return sum(epoch["seconds"] for epoch in side.progress.epochs)
