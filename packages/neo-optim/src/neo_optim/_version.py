"""The version of neo-optim, stated here and nowhere else."""

__version__ = "0.1.0"
