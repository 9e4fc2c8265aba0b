"""Scripts in a fresh interpreter: what imports load, and what the environment changes."""

from __future__ import annotations

import os
import subprocess
import sys


def run_script(script: str, **environment: str) -> str:
    """Return what a script prints; fail with its errors if it fails. NEO_BACKEND is as given, or unset."""
    inherited = {k: v for k, v in os.environ.items() if k != "NEO_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=inherited | environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
