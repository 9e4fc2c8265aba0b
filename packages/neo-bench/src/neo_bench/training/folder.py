"""Folder: where a training run keeps its files."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from neo_bench.errors import CheckpointError
from neo_bench.training.checkpoint import read_checkpoint, write_checkpoint
from neo_bench.training.metrics import write_metrics
from neo_bench.training.plot import write_plot
from neo_bench.training.run import Run


@dataclass(frozen=True)
class Folder:
    """An output folder: checkpoint, metrics and plot."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The file from which the run can be resumed."""
        return self.path / "checkpoint.safetensors"

    @property
    def metrics(self) -> Path:
        """The figures of all epochs."""
        return self.path / "metrics.json"

    @property
    def plot(self) -> Path:
        """The drawing of them."""
        return self.path / "training.png"

    @property
    def files(self) -> tuple[Path, ...]:
        """All that a finished run leaves."""
        return self.metrics, self.plot, self.checkpoint

    def save(self, run: Run, /) -> None:
        """Write what a resumed run needs, and the figures so far."""
        write_checkpoint(self.checkpoint, run)
        write_metrics(self.metrics, run)

    def draw(self, run: Run, /) -> None:
        """Write the plot."""
        write_plot(self.plot, run)

    def resume_command(self) -> str:
        """Return the command that continues the run."""
        return f"neo-bench train --resume --output {shlex.quote(str(self.path))}"

    def refuse_to_replace(self) -> None:
        """Raise CheckpointError if the folder holds a run that is not finished."""
        if self.checkpoint.exists() and not read_checkpoint(self.checkpoint).finished:
            raise CheckpointError(
                f"{self.path}: holds an unfinished run, got neither --resume nor --overwrite, expected one of them; "
                f"continue it with `{self.resume_command()}`, or choose another --output"
            )
