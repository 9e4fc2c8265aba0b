"""The training loop: epoch after epoch, side after side, each timed alone, stopping cleanly between two steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

from neo_bench.errors import DivergedError
from neo_bench.threads import Pool, Threads
from neo_bench.training.batches import batch_slices, epoch_order
from neo_bench.training.interrupt import StopRequest
from neo_bench.training.run import Run, Side

BLOCK: Final = 50
"""Steps between two looks at the losses; the display is drawn outside the time that is measured."""


class Observer(Protocol):
    """Whom the loop tells what happens."""

    def on_steps(self, side: Side, /) -> None:
        """Take note that a side has made some steps."""
        ...

    def on_epoch(self, side: Side, /) -> None:
        """Take note that a side has finished an epoch."""
        ...


def train(run: Run, *, stop: StopRequest, observer: Observer, save: Callable[[Run], None]) -> None:
    """Train until the run is finished, or until `stop`.

    `save` is called at the start, so that there always is something to resume, every `checkpoint_every` epochs, and at
    the end.
    """
    threads = Threads() if len(run.sides) > 1 else None
    with stop.deferred():
        save(run)
        for epoch in range(min(len(side.progress.epochs) for side in run.sides), run.config.epochs):
            for side in run.sides:
                if len(side.progress.epochs) > epoch:
                    continue  # it had finished this epoch when the run was interrupted
                with _alone(threads, side.learner.pool):
                    _train_epoch(run, side, epoch, stop, observer)
                if stop:
                    save(run)
                    return
            if (epoch + 1) % run.config.checkpoint_every == 0 or epoch + 1 == run.config.epochs:
                save(run)


def _alone(threads: Threads | None, pool: Pool, /) -> AbstractContextManager[None]:
    """Return a context in which the other pools of threads are parked, if there is another side."""
    return threads.only(pool) if threads else nullcontext()


def _train_epoch(run: Run, side: Side, epoch: int, stop: StopRequest, observer: Observer, /) -> None:
    """Take the steps that an epoch still needs and record it, unless `stop` comes first."""
    learner, batch_size = side.learner, run.config.batch_size
    order = epoch_order(run.key, epoch, run.images)
    started = time.perf_counter()
    learner.begin_epoch(order)
    setup = time.perf_counter() - started
    while side.progress.step < run.steps and not stop:
        batches = list(batch_slices(run.images, batch_size, start=side.progress.step, count=BLOCK))
        started = time.perf_counter()
        losses = learner.train(_until(stop, batches))
        seconds = time.perf_counter() - started + setup
        setup = 0.0
        sizes = [batch.stop - batch.start for batch in batches[: len(losses)]]
        side.progress = side.progress.after(losses, sizes, seconds)
        _check_finite(side, losses)
        observer.on_steps(side)
    if side.progress.step == run.steps:
        side.progress = side.progress.end_epoch(
            train_accuracy=learner.accuracy("train"), test_accuracy=learner.accuracy("test")
        )
        observer.on_epoch(side)


def _until(stop: StopRequest, batches: list[slice], /) -> Iterator[slice]:
    """Yield the batches as long as nobody asks to stop."""
    for batch in batches:
        if stop:
            return
        yield batch


def _check_finite(side: Side, losses: list[float], /) -> None:
    """Raise DivergedError if a loss is infinite or not a number: no later step can mend it."""
    for back, loss in enumerate(reversed(losses)):
        if not math.isfinite(loss):
            raise DivergedError(
                f"{side.name}: the loss diverged, got {loss} in step {side.progress.step - back} of epoch "
                f"{len(side.progress.epochs) + 1}, expected a finite number; try a lower --lr"
            )
