"""Parse the IDX format: a big-endian header of magic number and sizes, then the raw elements.

The magic number is two zero bytes, a type code and the number of axes (http://yann.lecun.com/exdb/mnist/).
"""

from __future__ import annotations

import math
import struct

import numpy as np
import numpy.typing as npt

from neo_bench.errors import DatasetError

_UINT8 = 0x08


def parse_idx(data: bytes, shape: tuple[int, ...], /, *, file: str) -> npt.NDArray[np.uint8]:
    """Return the uint8 array in `data`, a read-only view; raise DatasetError unless its shape is `shape`."""
    header = struct.Struct(f">I{len(shape)}I")
    if len(data) < header.size:
        raise DatasetError(
            f"{file}: no IDX header, got {len(data)} bytes, expected {header.size} or more; download it again"
        )
    magic, *sizes = header.unpack_from(data)
    expected = _UINT8 << 8 | len(shape)
    if magic != expected:
        raise DatasetError(
            f"{file}: wrong IDX magic number, got {magic}, expected {expected} (uint8 with {len(shape)} axes); "
            "is it another file under this name? download it again"
        )
    if tuple(sizes) != shape:
        raise DatasetError(f"{file}: wrong IDX sizes, got {tuple(sizes)}, expected {shape}; download it again")
    body = len(data) - header.size
    if body != math.prod(shape):
        raise DatasetError(
            f"{file}: wrong length behind the header, got {body} bytes, expected {math.prod(shape)}; download it again"
        )
    return np.frombuffer(data, np.uint8, offset=header.size).reshape(shape)
