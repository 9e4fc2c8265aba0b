"""The command line `neo-bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from neo_bench._version import __version__
from neo_bench.commands.run import run
from neo_bench.commands.train import train

app = typer.Typer(
    name="neo-bench",
    help="Train networks with neo, and measure it beside PyTorch.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)


def _print_version(wanted: bool) -> None:
    """Print the version and end, if it was asked for."""
    if wanted:
        typer.echo(f"neo-bench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train networks with neo, and measure it beside PyTorch."""


app.command()(train)
app.command()(run)
