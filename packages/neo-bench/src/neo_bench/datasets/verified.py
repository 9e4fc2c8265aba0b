"""Read a downloaded file, gzipped or plain, and let nothing through but the exact bytes expected."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neo_bench.datasets.idx import parse_idx
from neo_bench.errors import DatasetError


@dataclass(frozen=True)
class Source:
    """What one IDX file must hold: its shape, and the MD5 sum of its bytes after decompression."""

    name: str
    shape: tuple[int, ...]
    md5: str


def find(folder: Path, source: Source, /) -> Path | None:
    """Return the file in `folder`, gzipped or plain, or None."""
    candidates = (folder / f"{source.name}.gz", folder / source.name)
    return next((path for path in candidates if path.is_file()), None)


def read(path: Path, source: Source, /, *, origin: str = "") -> npt.NDArray[np.uint8]:
    """Return the array in `path`; raise DatasetError unless it is whole and has the expected checksum.

    Errors name `origin` in place of `path` when it is given: the address that a temporary file came from.
    """
    file = origin or str(path)
    data = _decompressed(path, file)
    array = parse_idx(data, source.shape, file=file)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if md5 != source.md5:
        raise DatasetError(
            f"{file}: wrong contents, got MD5 {md5}, expected {source.md5} (of the decompressed bytes); "
            "the file is damaged or was changed: download it again"
        )
    return array


def _decompressed(path: Path, file: str, /) -> bytes:
    """Return the bytes of a plain file, or those inside a gzipped one."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"{file}: cannot be read, got {error}, expected a readable file; check its permissions"
        ) from error
    try:
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(
            f"{file}: not a whole gzip file, got {len(data)} bytes ({error}), expected all of it; download it again"
        ) from error
