"""Run and Side: the state of a training run, in memory."""

from __future__ import annotations

from dataclasses import dataclass

import neo_array as na
from neo_bench.training.agreement import Agreement, agreements
from neo_bench.training.batches import batch_count
from neo_bench.training.config import TrainConfig
from neo_bench.training.learner import Learner
from neo_bench.training.progress import Progress


@dataclass
class Side:
    """A learner, what tables and files call it, and its progress."""

    name: str
    learner: Learner
    progress: Progress


@dataclass
class Run:
    """A training run: its options, the key of its batch orders, the number of its training images, its sides."""

    config: TrainConfig
    key: na.Array
    images: int
    sides: list[Side]

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return batch_count(self.images, self.config.batch_size)

    @property
    def finished(self) -> bool:
        """Whether every side has done every epoch."""
        return all(len(side.progress.epochs) >= self.config.epochs for side in self.sides)

    @property
    def position(self) -> str:
        """Where the side that is behind stands, in words."""
        behind = min((side.progress for side in self.sides), key=lambda progress: (len(progress.epochs), progress.step))
        if len(behind.epochs) >= self.config.epochs:
            return "its end"
        return f"epoch {len(behind.epochs) + 1} of {self.config.epochs}, step {behind.step} of {self.steps}"

    @property
    def agreements(self) -> list[Agreement]:
        """How closely the losses of two sides agree; empty for one side."""
        if len(self.sides) < 2:
            return []
        ours, theirs = self.sides
        return agreements(ours.progress.first_losses, theirs.progress.first_losses)
