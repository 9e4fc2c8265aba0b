"""The version of neo-array, stated here and nowhere else."""

__version__ = "0.1.0"
