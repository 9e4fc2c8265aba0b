"""Datasets by name: a file each, and a row each in the table below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from neo_bench.datasets.dataset import Dataset as Dataset
from neo_bench.datasets.digits import load_digits as load_digits
from neo_bench.datasets.mnist import load_mnist as load_mnist
from neo_bench.errors import DatasetError as DatasetError

DATASETS: Final[Mapping[str, Callable[[], Dataset]]] = MappingProxyType({"digits": load_digits, "mnist": load_mnist})


def load(name: str, /) -> Dataset:
    """Return a dataset by its name in `DATASETS`; raise DatasetError for any other name."""
    if name not in DATASETS:
        raise DatasetError(f"dataset: no such dataset, got {name!r}, expected one of {', '.join(DATASETS)}")
    return DATASETS[name]()
