"""Checkpoints: all that a run needs to go on bit for bit, in one safetensors file that is replaced in one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import neo_nn as nn
from neo_bench.errors import CheckpointError
from neo_bench.training.config import TrainConfig
from neo_bench.training.learner import Tree
from neo_bench.training.progress import Progress
from neo_bench.training.run import Run

VERSION: Final = 1
_FIELD: Final = "neo-bench"
"""The name, among the file's metadata, of what is kept beside the arrays."""


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds beside its arrays: the options, and the progress of each side by name."""

    config: TrainConfig
    progress: dict[str, Progress]

    @property
    def finished(self) -> bool:
        """Whether every side has done every epoch."""
        return all(len(progress.epochs) >= self.config.epochs for progress in self.progress.values())


def write_checkpoint(path: Path, run: Run, /) -> None:
    """Write a run: parameters, optimizer states, the key of its batch orders, options, progress with the history."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = {
        "version": VERSION,
        "config": run.config.to_json(),
        "progress": {side.name: side.progress.to_json() for side in run.sides},
    }
    nn.save(path, _tree(run), metadata={_FIELD: contents})


def read_checkpoint(path: Path, /) -> Saved:
    """Return what a checkpoint holds beside its arrays; raise CheckpointError if it is none of ours."""
    if not path.is_file():
        raise CheckpointError(f"{path}: nothing to resume, got no such file, expected a checkpoint; leave --resume out")
    with _our_error():
        contents = nn.load_metadata(path).get(_FIELD, {})
    if contents.get("version") != VERSION:
        raise CheckpointError(
            f"{path}: not a checkpoint of this neo-bench, got version {contents.get('version')}, expected {VERSION}; "
            "choose another --output"
        )
    progress = {name: Progress.from_json(data) for name, data in contents["progress"].items()}
    return Saved(config=TrainConfig.from_json(contents["config"]), progress=progress)


def restore(run: Run, path: Path, saved: Saved, /) -> None:
    """Put a run that has just begun where its checkpoint was."""
    with _our_error():
        tree = nn.load(path, like=_tree(run))
    for side in run.sides:
        side.learner.restore(tree[side.name])
        side.progress = saved.progress[side.name]


@contextmanager
def _our_error() -> Iterator[None]:
    """Turn the complaint of neo-nn about a file into one that commands report."""
    try:
        yield
    except nn.CheckpointError as error:
        raise CheckpointError(str(error)) from error


def _tree(run: Run, /) -> dict[str, Tree]:
    """Return all arrays of a run."""
    shared: dict[str, Tree] = {"run": {"key": run.key}}
    return shared | {side.name: side.learner.tree() for side in run.sides}
