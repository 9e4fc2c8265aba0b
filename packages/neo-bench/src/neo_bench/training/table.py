"""The final tables of a training run."""

from __future__ import annotations

import statistics
from itertools import zip_longest

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from neo_bench.training.progress import Epoch
from neo_bench.training.run import Run

_HEADINGS = ("loss", "train", "test", "s")


def summary(run: Run, /) -> RenderableType:
    """Return every epoch of every side side by side, and how they compare."""
    table = Table(title=f"{run.config.dataset} on {run.config.device}, {run.config.dtype}")
    table.add_column("epoch", justify="right")
    for side in run.sides:
        prefix = f"{side.name}\n" if len(run.sides) > 1 else ""
        for heading in _HEADINGS:
            table.add_column(prefix + heading, justify="right")
    for number, epochs in enumerate(zip_longest(*(side.progress.epochs for side in run.sides)), start=1):
        table.add_row(str(number), *(cell for epoch in epochs for cell in _cells(epoch)))
    return Group(table, *(Text(line) for line in comparison(run)))


def _cells(epoch: Epoch | None, /) -> tuple[str, ...]:
    """Return the figures of an epoch under their headings; blanks where a side has not come so far."""
    if epoch is None:
        return ("",) * len(_HEADINGS)
    return (
        f"{epoch['loss']:.4f}",
        f"{epoch['train_accuracy']:.4f}",
        f"{epoch['test_accuracy']:.4f}",
        f"{epoch['seconds']:.2f}",
    )


def comparison(run: Run, /) -> list[str]:
    """Return how two sides compare in agreement and time, a sentence each; nothing for one side."""
    if len(run.sides) < 2:
        return []
    lines = [
        f"first {found['steps']} losses: relative difference {found['largest_relative_difference']:.1e} at most"
        for found in run.agreements
    ]
    ours, theirs = run.sides
    seconds = [
        (mine["seconds"], other["seconds"])
        for mine, other in zip(ours.progress.epochs, theirs.progress.epochs, strict=False)
    ]
    if seconds:
        mine, other = (statistics.median(column) for column in zip(*seconds, strict=True))
        ratio = statistics.median(other / mine for mine, other in seconds)
        lines.append(
            f"an epoch takes {ours.name} {mine:.2f} s, {theirs.name} {other:.2f} s, ratio {ratio:.2f} (medians)"
        )
    return lines
