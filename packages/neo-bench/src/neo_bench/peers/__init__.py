"""Libraries to compare with: a file each, imported when a comparison asks for it."""

from __future__ import annotations

from importlib.util import find_spec

from neo_bench.errors import PeerError


def require_torch(purpose: str, /) -> None:
    """Raise PeerError, naming what PyTorch is needed for, unless it is installed."""
    if find_spec("torch") is None:
        raise PeerError(
            f"{purpose}: PyTorch is not installed, got a Python without it, expected torch 2.4 or newer; "
            "pip install 'neo-bench[torch]'"
        )
