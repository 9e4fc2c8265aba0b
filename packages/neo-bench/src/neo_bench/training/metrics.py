"""metrics.json: what a training run did, for programs to read. The fields of `Metrics` are its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, TypedDict

from neo_bench.atomic import write_text
from neo_bench.machine import Machine, command_line, describe_machine, describe_versions, now
from neo_bench.training.agreement import Agreement
from neo_bench.training.progress import Epoch
from neo_bench.training.run import Run

SCHEMA: Final = "neo-bench/train"
VERSION: Final = 1


class SideMetrics(TypedDict):
    """One side: its epochs, and the losses of its first steps."""

    epochs: list[Epoch]
    first_losses: list[float]


class Metrics(TypedDict):
    """The whole file. `version` grows when a field changes its meaning or goes; a new field leaves it alone."""

    schema: str
    version: int
    finished: bool
    date: str
    command: str
    config: dict[str, object]
    device: str
    machine: Machine
    versions: dict[str, str]
    sides: dict[str, SideMetrics]
    agreement: list[Agreement]


def metrics(run: Run, /) -> Metrics:
    """Return what is known about a run so far."""
    return Metrics(
        schema=SCHEMA,
        version=VERSION,
        finished=run.finished,
        date=now(),
        command=command_line(),
        config=run.config.to_json(),
        device=run.config.device,
        machine=describe_machine(),
        versions=describe_versions(),
        sides={
            side.name: SideMetrics(epochs=list(side.progress.epochs), first_losses=list(side.progress.first_losses))
            for side in run.sides
        },
        agreement=run.agreements,
    )


def write_metrics(path: Path, run: Run, /) -> None:
    """Write the metrics of a run in one step."""
    write_text(path, json.dumps(metrics(run), indent=2, allow_nan=False) + "\n")
