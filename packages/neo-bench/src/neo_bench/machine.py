"""Describe the machine, the versions and the moment, so that a figure can be judged later."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

_DISTRIBUTIONS = ("neo-array", "neo-tape", "neo-nn", "neo-optim", "neo-bench", "numpy", "torch", "cupy")


class Machine(TypedDict):
    """The computer as the operating system tells it."""

    system: str
    architecture: str
    processor: str
    cores: int


def describe_machine() -> Machine:
    """Return the system, the processor's name and the number of cores that this process may use."""
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        architecture=platform.machine(),
        processor=_processor_name(),
        cores=_usable_cores(),
    )


def describe_versions() -> dict[str, str]:
    """Return the versions of Python, neo's packages and the libraries beneath and beside them, where installed."""
    versions = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def command_line() -> str:
    """Return the command that started this process, quoted for a shell."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def now() -> str:
    """Return the time in UTC, in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _processor_name() -> str:
    """Return the processor's name: Linux tells it in /proc only."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _usable_cores() -> int:
    """Return the cores that this process may run on, which a container may restrict."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1
