"""Results of `neo-bench run`, as JSON for programs and as a table for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypedDict

from rich.table import Table

from neo_bench.atomic import write_text
from neo_bench.machine import Machine, command_line, describe_machine, describe_versions, now
from neo_bench.timing.pairs import Measurement

SCHEMA: Final = "neo-bench/run"
VERSION: Final = 1


class Result(TypedDict):
    """One case on one backend. Times are microseconds, medians; a ratio above 1 means that neo is faster.

    `cost_us` is what neo takes longer per operation, where the peer is the raw library and None elsewhere.
    """

    case: str
    backend: str
    peer: str
    neo_us: float
    peer_us: float
    peer_alone_us: float
    ratio: float
    cost_us: float | None
    spread: tuple[float, float]
    pairs_us: list[tuple[float, float]]
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


def result(case: str, backend: str, peer: str, measurement: Measurement, /, *, operations: int | None = None) -> Result:
    """Return a measurement in the form in which it is kept; `operations` share what neo takes longer."""
    return Result(
        case=case,
        backend=backend,
        peer=peer,
        neo_us=measurement.neo * 1e6,
        peer_us=measurement.peer * 1e6,
        peer_alone_us=measurement.solo * 1e6,
        ratio=measurement.ratio,
        cost_us=None if operations is None else measurement.excess * 1e6 / operations,
        spread=measurement.spread,
        pairs_us=[(pair.neo * 1e6, pair.peer * 1e6) for pair in measurement.pairs],
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
    for heading in ("neo us", "peer us", "ratio", "spread", "us/op"):
        rows.add_column(heading, justify="right")
    for row in contents["results"]:
        low, high = row["spread"]
        rows.add_row(
            row["case"],
            row["backend"],
            row["peer"],
            f"{row['neo_us']:,.0f}",
            f"{row['peer_us']:,.0f}",
            f"{row['ratio']:.2f}",
            f"{low:.2f}-{high:.2f}" + (" noisy" if row["noisy"] else ""),
            "" if row["cost_us"] is None else f"{row['cost_us']:.2f}",
        )
    return rows
