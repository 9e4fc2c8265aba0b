"""Learner: one side of a training run, and what both sides must have in common for the comparison to be fair."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from neo_bench.threads import Pool

Split: TypeAlias = Literal["train", "test"]
Tree: TypeAlias = dict[str, object]

EVALUATION_BATCH: Final = 1000
"""Images that go through the network at once when accuracy is measured, on every side."""


class Learner(Protocol):
    """A network, its optimizer's state and the dataset on a device.

    Every side keeps the dataset on its device, takes batches by index, keeps the losses there and reads them together
    after the last step it was asked for. So nothing waits for the device between steps, on either side.
    """

    @property
    def pool(self) -> Pool:
        """The thread pool it computes with."""
        ...

    def begin_epoch(self, order: npt.NDArray[np.int64], /) -> None:
        """Take the order in which the coming epoch visits the images."""
        ...

    def train(self, batches: Iterable[slice], /) -> list[float]:
        """Take one optimizer step for each slice of the epoch's order; return the losses."""
        ...

    def accuracy(self, split: Split, /) -> float:
        """Return the part of a split's images that are classified right."""
        ...

    def tree(self) -> Tree:
        """Return the parameters and the state of the optimizer, a pytree of Arrays."""
        ...

    def restore(self, tree: Tree, /) -> None:
        """Take back what `tree` returned."""
        ...
