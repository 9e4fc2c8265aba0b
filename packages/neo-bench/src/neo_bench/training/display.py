"""What a training run shows while it runs: progress bars in a terminal, a line an epoch everywhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from neo_bench.training.run import Run, Side


class Display:
    """An observer of the training loop that draws on a console.

    The bars are drawn when the loop tells of steps, never by a thread: it would slow down what is being timed.
    """

    def __init__(self, console: Console, run: Run) -> None:
        self._console = console
        self._run = run
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            auto_refresh=False,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        for side in self._run.sides:
            total = self._run.config.epochs * self._run.steps
            self._tasks[side.name] = self._bars.add_task(side.name, total=total, figures="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()

    def on_steps(self, side: Side, /) -> None:
        """Move the side's bar."""
        progress = side.progress
        done = len(progress.epochs) * self._run.steps + progress.step
        self._bars.update(
            self._tasks[side.name],
            completed=done,
            description=f"{side.name} {len(progress.epochs) + 1}/{self._run.config.epochs}",
            figures=self._figures(side),
        )
        self._bars.refresh()

    def on_epoch(self, side: Side, /) -> None:
        """Print what the epoch brought."""
        epoch = side.progress.epochs[-1]
        last = self._run.config.epochs
        self._console.print(
            f"epoch {epoch['epoch']:{len(str(last))}}/{last}  {side.name:5}  loss {epoch['loss']:.4f}  "
            f"train {epoch['train_accuracy']:.4f}  test {epoch['test_accuracy']:.4f}  {epoch['seconds']:.2f} s",
            highlight=False,
        )

    def _figures(self, side: Side, /) -> str:
        """Return loss, last test accuracy, images per second and the time that the whole run still needs."""
        progress = side.progress
        accuracy = f"{progress.epochs[-1]['test_accuracy']:.3f}" if progress.epochs else "-"
        return (
            f"loss {progress.loss:.4f}  accuracy {accuracy}  {progress.images_per_second:,.0f} images/s  "
            f"ETA {_clock(remaining_seconds(self._run))}"
        )


def remaining_seconds(run: Run, /) -> float:
    """Estimate what all sides still need for training, from the pace of this epoch so far or of the last one."""
    total = 0.0
    for side in run.sides:
        progress = side.progress
        if progress.step:
            per_step = progress.seconds / progress.step
        elif progress.epochs:
            per_step = progress.epochs[-1]["seconds"] / run.steps
        else:
            continue
        total += per_step * (run.config.epochs * run.steps - len(progress.epochs) * run.steps - progress.step)
    return total


def _clock(seconds: float, /) -> str:
    """Return seconds as minutes:seconds, with hours if there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
