"""`neo-bench run`: measure cases beside their peers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from neo_bench.commands.reporting import reported_errors
from neo_bench.errors import OptionError

if TYPE_CHECKING:
    from neo_bench.cases import Case
    from neo_bench.threads import Threads
    from neo_bench.timing.contender import Pair
    from neo_bench.timing.pairs import Measurement
    from neo_bench.timing.results import Result

BACKENDS: Final = ("numpy", "torch")


def run(
    cases: Annotated[list[str] | None, typer.Argument(help="Cases to run.", show_default="all")] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(help=f"Backend of neo: {' or '.join(BACKENDS)}; may be repeated.", show_default="all of a case"),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny sizes: check the answers, time next to nothing.")
    ] = False,
    pairs: Annotated[int, typer.Option(help="Pairs of timings that must count.", min=1)] = 15,
    json: Annotated[Path | None, typer.Option(help="Write the results here.", dir_okay=False)] = None,
) -> None:
    """Measure neo beside PyTorch: the same answers first, then times in alternation.

    A ratio above 1 means that neo is faster, or needs less memory. A pair of timings counts if the peer is within 5 %
    of its time alone.
    """
    from neo_bench.peers import require_torch
    from neo_bench.timing.results import report, table, write_report

    console = Console()
    with reported_errors():
        require_torch("run")
        from neo_bench.threads import Threads

        threads = Threads()
        results = list(_results(_chosen(cases or [], backend or []), quick, pairs, threads, console))
        contents = report(results, quick=quick, threads=threads.counts())
        console.print(table(contents))
        if noisy := [f"{row['case']} on {row['backend']}" for row in results if row["noisy"]]:
            console.print(f"noisy: {', '.join(noisy)}; the peer was not as fast as alone, try again on a quiet machine")
        if json is not None:
            write_report(json, contents)
            console.print(f"results: {json}")


def _chosen(names: Sequence[str], backends: Sequence[str], /) -> list[tuple[Case, str]]:
    """Return the cases and backends asked for; raise OptionError for names that do not exist."""
    from neo_bench.cases import CASES

    for name in names:
        if name not in CASES:
            raise OptionError(f"case: no such case, got {name!r}, expected some of {', '.join(CASES)}")
    for backend in backends:
        if backend not in BACKENDS:
            raise OptionError(f"--backend: no such backend, got {backend!r}, expected {' or '.join(BACKENDS)}")
    cases = [CASES[name] for name in names or CASES]
    return [(case, backend) for case in cases for backend in case.backends if not backends or backend in backends]


def _results(
    chosen: Iterable[tuple[Case, str]], quick: bool, pairs: int, threads: Threads, console: Console, /
) -> Iterator[Result]:
    """Check and measure each case on each backend."""
    from neo_bench.timing.results import result

    for case, backend in chosen:
        console.print(f"{case.name} on {backend}: {case.summary}", highlight=False)
        pair = case.build(backend, quick)
        pair.check()
        measurement = _peaks(case, backend, pair, quick) if case.unit == "MB" else _times(pair, quick, pairs, threads)
        yield result(case, backend, pair.operations, measurement)


def _times(pair: Pair, quick: bool, pairs: int, threads: Threads, /) -> Measurement:
    """Time both sides in alternation."""
    from neo_bench.timing.block import Block
    from neo_bench.timing.pairs import TOLERANCE, measure_pairs

    block = Block(warmup_seconds=0.0, seconds=0.0, runs=3) if quick else Block()
    return measure_pairs(
        partial(block.time, pair.neo, threads),
        partial(block.time, pair.peer, threads),
        wanted=1 if quick else pairs,
        rounds=1 if quick else 3,
        tolerance=math.inf if quick else TOLERANCE,
    )


def _peaks(case: Case, backend: str, pair: Pair, quick: bool, /) -> Measurement:
    """Measure the peak memory of both sides, each in a process of its own; it hardly varies, so three pairs do."""
    from neo_bench.memory.peak import peak, peak_of
    from neo_bench.timing.pairs import measure_pairs

    return measure_pairs(
        partial(peak, pair.neo.run) if quick else partial(peak_of, case.name, backend, "neo"),
        partial(peak, pair.peer.run) if quick else partial(peak_of, case.name, backend, "peer"),
        wanted=1 if quick else 3,
        rounds=1,
        solos=1,
        tolerance=math.inf,
    )
