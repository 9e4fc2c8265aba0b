"""Errors of neo_nn."""

from __future__ import annotations

from neo_array import NeoError


class CheckpointError(NeoError, ValueError):
    """A file is no intact checkpoint, or does not fit the tree that it is loaded into."""
