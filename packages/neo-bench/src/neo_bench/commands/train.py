"""`neo-bench train`: train an MLP on a dataset, alone or beside PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from neo_bench.commands.reporting import reported_errors
from neo_bench.datasets import DATASETS
from neo_bench.errors import OptionError
from neo_bench.training.config import DTYPES, OPTIMIZERS, TrainConfig

_DEFAULTS: Final = TrainConfig()
_RATES: Final = ", ".join(f"{name} {rate}" for name, rate in OPTIMIZERS.items())


def train(
    ctx: typer.Context,
    dataset: Annotated[
        str,
        typer.Option(
            help=f"{' or '.join(DATASETS)}; mnist is read from $NEO_DATA_DIR or the cache, else downloaded.",
            autocompletion=lambda: list(DATASETS),
        ),
    ] = _DEFAULTS.dataset,
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = _DEFAULTS.epochs,
    batch_size: Annotated[int, typer.Option(help="Images in one step.")] = _DEFAULTS.batch_size,
    optimizer: Annotated[
        str, typer.Option(help=f"{', '.join(OPTIMIZERS)}.", autocompletion=lambda: list(OPTIMIZERS))
    ] = _DEFAULTS.optimizer,
    lr: Annotated[float | None, typer.Option(help="Learning rate.", show_default=_RATES)] = None,
    momentum: Annotated[float, typer.Option(help="Momentum of sgd.")] = _DEFAULTS.momentum,
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers.")] = ",".join(map(str, _DEFAULTS.hidden)),
    seed: Annotated[int, typer.Option(help="Seed of the initial weights and of the order of images.")] = _DEFAULTS.seed,
    device: Annotated[
        str, typer.Option(help="numpy, torch:cpu, torch:cuda:0, cpu or cuda.", show_default="cpu, on $NEO_BACKEND")
    ] = "cpu",
    dtype: Annotated[
        str, typer.Option(help=f"{' or '.join(DTYPES)}.", autocompletion=lambda: list(DTYPES))
    ] = _DEFAULTS.dtype,
    against: Annotated[
        str | None, typer.Option(help="Train the same network in torch too, side by side.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the results.", show_default="runs/DATASET", file_okay=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in the output folder.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an unfinished run in it.")] = False,
    checkpoint_every: Annotated[int, typer.Option(help="Epochs between checkpoints.")] = _DEFAULTS.checkpoint_every,
) -> None:
    """Train an MLP; write metrics.json, a plot and a checkpoint.

    Ctrl-C leaves a checkpoint from which --resume continues, bit for bit as if nothing had happened.
    """
    from neo_bench.training.execute import execute
    from neo_bench.training.folder import Folder
    from neo_bench.training.session import resolved_device

    given = frozenset(name for name in ctx.params if _on_command_line(ctx, name))
    with reported_errors():
        config = TrainConfig(
            dataset=dataset,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            lr=OPTIMIZERS.get(optimizer, _DEFAULTS.lr) if lr is None else lr,
            momentum=momentum,
            hidden=parse_hidden(hidden),
            seed=seed,
            device=resolved_device(device),
            dtype=dtype,
            against=against,
            checkpoint_every=checkpoint_every,
        )
        folder = Folder(output or Path("runs") / dataset)
        code = execute(config, given, folder, Console(), resume=resume, overwrite=overwrite)
    raise typer.Exit(code)


def parse_hidden(text: str, /) -> tuple[int, ...]:
    """Return the widths in `256,64`; the empty text means no hidden layer."""
    try:
        return tuple(int(width) for width in text.split(",")) if text.strip() else ()
    except ValueError as error:
        raise OptionError(f"--hidden: not a list of widths, got {text!r}, expected numbers like 256,64") from error


def _on_command_line(ctx: typer.Context, name: str, /) -> bool:
    """Return whether an option was given, rather than left at its default."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
