"""Peak memory of a run, as the operating system counts it: the same for every library.

Python's tracemalloc does not see PyTorch's memory, PyTorch's profiler not NumPy's, and neither what a BLAS takes for
itself. So this is the highest resident set size of the process during a run, less that before it: Linux keeps it, and
resets it on demand. Parameters and inputs are there before; results and Python's own objects count.

It needs a process of its own, in which malloc maps each large array on its own and gives it back at once. Otherwise
arrays would find room in memory that was freed earlier, and cost nothing.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from neo_bench.errors import PlatformError

ENVIRONMENT: Final = {
    "MALLOC_MMAP_THRESHOLD_": "65536",  # fixed: glibc would raise it to the size of what is freed
    "NUMPY_MADVISE_HUGEPAGE": "0",  # NumPy would ask for pages of 2 MB, and PyTorch does not
}
_CLEAR: Final = Path("/proc/self/clear_refs")
_STATUS: Final = Path("/proc/self/status")
_PAGE: Final = 4096


def peak_of(case: str, backend: str, side: str, /) -> int:
    """Return the bytes that a run of one side of a case needs at its peak, in a fresh process."""
    command = [sys.executable, "-m", "neo_bench.memory", case, backend, side]
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout)


def peak(run: Callable[[], object], /) -> int:
    """Return by how many bytes this process grows during a run: a page at least.

    Raises:
        PlatformError: where there is no Linux.
    """
    if not _CLEAR.exists():
        raise PlatformError(
            f"memory: only Linux keeps the peak, got {sys.platform}; name the other cases, or run it in a container"
        )
    for _ in range(3):  # libraries make their own buffers at the first calls
        run()
    gc.collect()
    _CLEAR.write_text("5")  # resets the peak to what is resident now: see proc_pid_clear_refs(5)
    before = _resident_peak()
    run()
    return max(_resident_peak() - before, _PAGE)


def _resident_peak() -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
