"""Progress: how far one side of a training run has come, exact enough to go on from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypedDict

FIRST_LOSSES: Final = 200
"""How many losses of single steps, from the first step on, are kept to compare the sides."""


class Epoch(TypedDict):
    """What one epoch brought: mean loss over its images, accuracies after it, seconds without evaluation."""

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float
    seconds: float
    images_per_second: float


class ProgressData(TypedDict):
    """Progress as JSON holds it."""

    step: int
    images: int
    loss_sum: float
    seconds: float
    first_losses: list[float]
    epochs: list[Epoch]


@dataclass(frozen=True)
class Progress:
    """Finished epochs, and the steps, images, summed losses and seconds of the one that is under way."""

    step: int = 0
    images: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    first_losses: tuple[float, ...] = ()
    epochs: tuple[Epoch, ...] = ()

    @property
    def loss(self) -> float:
        """The mean loss over the images of the epoch so far."""
        return self.loss_sum / max(self.images, 1)

    @property
    def images_per_second(self) -> float:
        """The rate of the epoch so far."""
        return self.images / self.seconds if self.seconds else 0.0

    def after(self, losses: Sequence[float], sizes: Sequence[int], seconds: float, /) -> Progress:
        """Return the progress some steps later, from their losses, their batch sizes and their seconds together."""
        weighted = self.loss_sum
        for loss, size in zip(losses, sizes, strict=True):
            weighted += loss * size  # one by one: the sum is then the same however the steps were grouped
        return replace(
            self,
            step=self.step + len(losses),
            images=self.images + sum(sizes),
            loss_sum=weighted,
            seconds=self.seconds + seconds,
            first_losses=(*self.first_losses, *losses)[:FIRST_LOSSES],
        )

    def end_epoch(self, *, train_accuracy: float, test_accuracy: float) -> Progress:
        """Return the progress at the beginning of the next epoch, this one recorded."""
        record = Epoch(
            epoch=len(self.epochs) + 1,
            loss=self.loss,
            train_accuracy=train_accuracy,
            test_accuracy=test_accuracy,
            seconds=self.seconds,
            images_per_second=self.images_per_second,
        )
        return Progress(first_losses=self.first_losses, epochs=(*self.epochs, record))

    def to_json(self) -> ProgressData:
        """Return the fields as JSON holds them."""
        return ProgressData(
            step=self.step,
            images=self.images,
            loss_sum=self.loss_sum,
            seconds=self.seconds,
            first_losses=list(self.first_losses),
            epochs=list(self.epochs),
        )

    @classmethod
    def from_json(cls, data: ProgressData, /) -> Progress:
        """Return the progress that `to_json` wrote."""
        return cls(
            step=data["step"],
            images=data["images"],
            loss_sum=data["loss_sum"],
            seconds=data["seconds"],
            first_losses=tuple(data["first_losses"]),
            epochs=tuple(data["epochs"]),
        )
