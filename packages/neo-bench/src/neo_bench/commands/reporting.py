"""How commands end when something is wrong: one readable message, no traceback, an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer
from rich.console import Console
from rich.text import Text

from neo_array import DeviceError
from neo_bench.errors import BenchError, OptionError

FAILED: Final = 1
WRONG_USE: Final = 2


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn the errors that a user can mend into a message and an exit code; let all others show their traceback."""
    try:
        yield
    except (BenchError, DeviceError) as error:
        Console(stderr=True, soft_wrap=True).print(Text.assemble(("error: ", "bold red"), str(error)))
        raise typer.Exit(WRONG_USE if isinstance(error, OptionError | DeviceError) else FAILED) from error
