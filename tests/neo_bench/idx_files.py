"""Make tiny IDX files, so that a test can damage them."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neo_bench.datasets.verified import Source

SIDE = 2
COUNTS = {"train": 20, "test": 10}


def idx_bytes(array: npt.NDArray[np.uint8]) -> bytes:
    """Return an array in the IDX format."""
    return struct.pack(f">I{array.ndim}I", 0x0800 | array.ndim, *array.shape) + array.tobytes()


def tiny_arrays() -> dict[str, npt.NDArray[np.uint8]]:
    """Return the four arrays of a made-up MNIST."""
    arrays: dict[str, npt.NDArray[np.uint8]] = {}
    for split, count in COUNTS.items():
        values = np.arange(count * SIDE * SIDE) * 37 % 256
        arrays[f"{split}_images"] = values.astype(np.uint8).reshape(count, SIDE, SIDE)
        arrays[f"{split}_labels"] = (np.arange(count) % 10).astype(np.uint8)
    return arrays


def tiny_sources() -> dict[str, Source]:
    """Return what the four files must hold."""
    return {
        part: Source(f"{part}.idx", array.shape, hashlib.md5(idx_bytes(array), usedforsecurity=False).hexdigest())
        for part, array in tiny_arrays().items()
    }


def write_tiny(folder: Path, *, gzipped: bool = True) -> None:
    """Write the four files."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, array in tiny_arrays().items():
        data = idx_bytes(array)
        if gzipped:
            (folder / f"{part}.idx.gz").write_bytes(gzip.compress(data))
        else:
            (folder / f"{part}.idx").write_bytes(data)
