"""Peak memory in a process of its own, beside sizes that are known."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neo_bench.errors import PlatformError
from neo_bench.memory import peak as module
from neo_bench.memory.peak import ENVIRONMENT, peak

MB = 1_000_000


def measured(run: str) -> int:
    """Return the peak of a run that is written as source."""
    script = f"import numpy as np\nfrom neo_bench.memory.peak import peak\ndef run():\n    {run}\nprint(peak(run))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True
    )
    return int(done.stdout)


@pytest.mark.parametrize(
    ("run", "size"),
    [
        ("x = np.ones(8_000_000, np.int8)", 8 * MB),
        ("x = np.ones(8_000_000, np.int8); del x; y = np.ones(6_000_000, np.int8)", 8 * MB),
        ("x = np.ones(8_000_000, np.int8); y = np.ones(6_000_000, np.int8)", 14 * MB),
        ("x = [np.ones(100_000, np.int8) for _ in range(80)]", 8 * MB),
    ],
    ids=["one", "one after the other", "both at once", "many smaller ones"],
)
def test_the_peak_is_what_is_alive_at_once(run: str, size: int) -> None:
    assert measured(run) == pytest.approx(size, rel=0.05)


def test_a_run_that_needs_nothing_counts_as_a_page() -> None:
    assert 4096 <= peak(lambda: None) < MB


def test_elsewhere_than_on_linux_it_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_CLEAR", tmp_path / "clear_refs")
    with pytest.raises(PlatformError, match="only Linux keeps the peak"):
        peak(lambda: None)
