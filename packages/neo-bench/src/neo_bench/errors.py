"""Errors that a user of neo-bench can cause and mend: each says what, got and fix."""

from __future__ import annotations

from neo_array import NeoError


class BenchError(NeoError):
    """Base of neo-bench's own errors; the command line prints them without a traceback."""


class DatasetError(BenchError, ValueError):
    """A dataset's file is missing, damaged or not the one it should be."""


class OptionError(BenchError, ValueError):
    """A command-line option has a value that does not work, alone or beside the others."""


class CheckpointError(BenchError, ValueError):
    """A checkpoint is missing, or does not fit the run that should continue from it."""


class PeerError(BenchError, ImportError):
    """A library to compare with is not installed, or lacks what the comparison needs."""


class DivergedError(BenchError, ArithmeticError):
    """A training loss became infinite or not a number."""


class MismatchError(BenchError, AssertionError):
    """Two sides of a comparison computed different answers, so timing them would mean nothing."""


class PlatformError(BenchError, OSError):
    """The operating system cannot tell what a comparison needs to know."""
