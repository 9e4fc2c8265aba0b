"""MNIST: 60,000 + 10,000 handwritten digits of 28 x 28 pixels (LeCun, Cortes and Burges, 1998).

Looked for in `$NEO_DATA_DIR/mnist`, then in the user's cache folder; else downloaded there. Wherever the files come
from, their decompressed bytes must have the MD5 sums of the canonical set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from neo_bench.datasets.dataset import Dataset
from neo_bench.datasets.download import cache_folder, download
from neo_bench.datasets.verified import Source, find, read
from neo_bench.errors import DatasetError

SOURCES: Final[Mapping[str, Source]] = MappingProxyType(
    {
        "train_images": Source("train-images-idx3-ubyte", (60_000, 28, 28), "6bbc9ace898e44ae57da46a324031adb"),
        "train_labels": Source("train-labels-idx1-ubyte", (60_000,), "a25bea736e30d166cdddb491f175f624"),
        "test_images": Source("t10k-images-idx3-ubyte", (10_000, 28, 28), "2646ac647ad5339dbf082846283269ea"),
        "test_labels": Source("t10k-labels-idx1-ubyte", (10_000,), "27ae3e4e09519cfbb04c329615203637"),
    }
)
MIRRORS: Final = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
)


def load_mnist(sources: Mapping[str, Source] = SOURCES, mirrors: tuple[str, ...] = MIRRORS) -> Dataset:
    """Return MNIST in its standard split; raise DatasetError if a file is missing, damaged or cannot be fetched."""
    folder = _given_folder()
    if folder is not None:
        arrays = {part: _read_given(folder, source) for part, source in sources.items()}
    else:
        arrays = {part: _read_cached(cache_folder() / "mnist", source, mirrors) for part, source in sources.items()}
    return Dataset(
        name="mnist",
        train_images=_scaled(arrays["train_images"]),
        train_labels=arrays["train_labels"].astype(np.int64),
        test_images=_scaled(arrays["test_images"]),
        test_labels=arrays["test_labels"].astype(np.int64),
        classes=10,
    )


def _given_folder() -> Path | None:
    """Return `$NEO_DATA_DIR/mnist`, None if there is none; raise DatasetError if the variable names no folder."""
    setting = os.environ.get("NEO_DATA_DIR")
    if not setting:
        return None
    parent = Path(setting).expanduser()
    if not parent.is_dir():
        raise DatasetError(
            f"NEO_DATA_DIR: no such folder, got {setting!r}, expected the one that holds `mnist`; correct or unset it"
        )
    return parent / "mnist" if (parent / "mnist").is_dir() else None


def _read_given(folder: Path, source: Source, /) -> npt.NDArray[np.uint8]:
    """Return the array of a file that the user provided; raise DatasetError when it is not there."""
    path = find(folder, source)
    if path is None:
        held = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        raise DatasetError(
            f"{folder}: no {source.name}.gz, got {held}, expected it or the plain {source.name}; "
            "add it, or unset NEO_DATA_DIR to download MNIST"
        )
    return read(path, source)


def _read_cached(folder: Path, source: Source, mirrors: tuple[str, ...], /) -> npt.NDArray[np.uint8]:
    """Return the array of a file from the cache, downloading it if it is not there or no longer whole."""
    path = find(folder, source)
    if path is not None:
        try:
            return read(path, source)
        except DatasetError:
            path.unlink()
    target = folder / f"{source.name}.gz"
    urls = tuple(f"{mirror}/{source.name}.gz" for mirror in mirrors)
    download(urls, target, verify=lambda file, url: read(file, source, origin=url))
    return read(target, source)


def _scaled(images: npt.NDArray[np.uint8], /) -> npt.NDArray[np.float32]:
    """Flatten images of bytes and scale them to [0, 1]."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
