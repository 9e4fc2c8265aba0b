"""Results of `neo-bench run`, as JSON for programs and as a table for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypedDict

from rich.table import Table

from neo_bench.atomic import write_text
from neo_bench.machine import Machine, command_line, describe_machine, describe_versions, now
from neo_bench.timing.pairs import Measurement

if TYPE_CHECKING:
    from neo_bench.cases.case import Case

SCHEMA: Final = "neo-bench/run"
VERSION: Final = 2

Unit: TypeAlias = Literal["us", "MB"]
_SCALES: Final[Mapping[Unit, float]] = {"us": 1e6, "MB": 1e-6}  # of seconds and of bytes


class Result(TypedDict):
    """One case on one backend. Medians in the unit; a ratio above 1 means that neo is faster, or needs less memory.

    `cost` is what neo takes longer per operation, where the peer is the raw library, and None elsewhere.
    """

    case: str
    backend: str
    against: str
    unit: Unit
    neo: float
    peer: float
    peer_alone: float
    ratio: float
    cost: float | None
    spread: tuple[float, float]
    pairs: list[tuple[float, float]]
    rejected: int
    noisy: bool


class Report(TypedDict):
    """The whole file. `version` grows when a field changes its meaning or goes; a new field leaves it alone."""

    schema: str
    version: int
    date: str
    command: str
    quick: bool
    machine: Machine
    threads: dict[str, int]
    versions: dict[str, str]
    results: list[Result]


def result(case: Case, backend: str, operations: int | None, measurement: Measurement, /) -> Result:
    """Return a measurement in the form in which it is kept; `operations` share what neo takes longer."""
    scale = _SCALES[case.unit]
    return Result(
        case=case.name,
        backend=backend,
        against=case.peer,
        unit=case.unit,
        neo=measurement.neo * scale,
        peer=measurement.peer * scale,
        peer_alone=measurement.solo * scale,
        ratio=measurement.ratio,
        cost=None if operations is None else measurement.excess * scale / operations,
        spread=measurement.spread,
        pairs=[(pair.neo * scale, pair.peer * scale) for pair in measurement.pairs],
        rejected=measurement.rejected,
        noisy=measurement.noisy,
    )


def report(results: Sequence[Result], /, *, quick: bool, threads: dict[str, int]) -> Report:
    """Return results with all that is needed to judge them later."""
    return Report(
        schema=SCHEMA,
        version=VERSION,
        date=now(),
        command=command_line(),
        quick=quick,
        machine=describe_machine(),
        threads=threads,
        versions=describe_versions(),
        results=list(results),
    )


def write_report(path: Path, contents: Report, /) -> None:
    """Write a report in one step."""
    write_text(path, json.dumps(contents, indent=2, allow_nan=False) + "\n")


def table(contents: Report, /) -> Table:
    """Return the results as a table, its noisy rows marked."""
    machine, threads = contents["machine"], ", ".join(f"{pool} {count}" for pool, count in contents["threads"].items())
    title = "quick sizes: the answers agree, the times mean nothing" if contents["quick"] else None
    caption = f"{machine['processor']}, {machine['cores']} cores; threads: {threads}"
    rows = Table(title=title, caption=caption)
    for heading in ("case", "backend", "peer"):
        rows.add_column(heading)
    for heading in ("neo", "peer", "ratio", "spread", "per op"):
        rows.add_column(heading, justify="right")
    for row in contents["results"]:
        low, high = row["spread"]
        unit, digits = row["unit"], 0 if row["unit"] == "us" else 1
        rows.add_row(
            row["case"],
            row["backend"],
            row["against"],
            f"{row['neo']:,.{digits}f} {unit}",
            f"{row['peer']:,.{digits}f} {unit}",
            f"{row['ratio']:.2f}",
            f"{low:.2f}-{high:.2f}" + (" noisy" if row["noisy"] else ""),
            "" if row["cost"] is None else f"{row['cost']:.2f} {unit}",
        )
    return rows
