"""Execute a training run from the first look at its folder to the last line on the console."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from rich.console import Console

from neo_bench.training.config import TrainConfig
from neo_bench.training.display import Display
from neo_bench.training.folder import Folder
from neo_bench.training.interrupt import stop_requests
from neo_bench.training.loop import train
from neo_bench.training.run import Run
from neo_bench.training.session import begin
from neo_bench.training.session import resume as resume_run
from neo_bench.training.table import summary

DONE: Final = 0
INTERRUPTED: Final = 130
"""What a shell reports for a command that Ctrl-C ended."""


def execute(
    config: TrainConfig, given: AbstractSet[str], folder: Folder, console: Console, /, *, resume: bool, overwrite: bool
) -> int:
    """Begin or resume a run, train, write its files and print its tables; return the exit code."""
    saved: list[str] = []  # where the run was, each time that it was saved

    def save(run: Run) -> None:
        folder.save(run)
        saved.append(run.position)

    with stop_requests() as stop:
        try:
            with console.status(f"loading {config.dataset}"):
                run = resume_run(folder.checkpoint, config, given) if resume else _begin(config, folder, overwrite)
            with Display(console, run) as display:
                train(run, stop=stop, observer=display, save=save)
            if run.finished:
                folder.draw(run)
                console.print(summary(run), highlight=False)
                _say(console, f"wrote {', '.join(path.name for path in folder.files)} to {folder.path}")
                return DONE
        except KeyboardInterrupt:
            pass  # a second request, or one outside the steps: the checkpoint is as whole as after the first
    if saved:
        _say(console, f"stopped; {folder.checkpoint} holds the run up to {saved[-1]}")
        _say(console, f"continue with: {folder.resume_command()}")
    else:
        _say(console, f"stopped before the first step; nothing was changed in {folder.path}")
    return INTERRUPTED


def _begin(config: TrainConfig, folder: Folder, overwrite: bool, /) -> Run:
    """Return a new run, unless it would replace one that is not finished."""
    if not overwrite:
        folder.refuse_to_replace()
    return begin(config)


def _say(console: Console, text: str, /) -> None:
    """Print a line as it is, unbroken, so that commands and paths in it can be copied."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
