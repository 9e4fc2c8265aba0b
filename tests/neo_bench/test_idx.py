from __future__ import annotations

import numpy as np
import pytest

from neo_bench.datasets.idx import parse_idx
from neo_bench.errors import DatasetError
from tests.neo_bench.idx_files import idx_bytes

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("array", [IMAGES, np.arange(5, dtype=np.uint8)], ids=["images", "labels"])
def test_parsing_gives_back_what_was_written(array: np.ndarray) -> None:
    parsed = parse_idx(idx_bytes(array), array.shape, file="f")
    assert parsed.dtype == np.uint8
    np.testing.assert_array_equal(parsed, array)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", r"f: no IDX header, got 0 bytes, expected 16 or more"),
        (b"<html>not found</html>", r"wrong IDX magic number, got \d+, expected 2051"),
        (idx_bytes(np.zeros(24, np.uint8)) + b"x" * 8, r"wrong IDX magic number, got 2049, expected 2051"),
        (idx_bytes(IMAGES.reshape(3, 2, 4)), r"wrong IDX sizes, got \(3, 2, 4\), expected \(2, 3, 4\)"),
        (idx_bytes(IMAGES)[:-1], r"wrong length behind the header, got 23 bytes, expected 24"),
        (idx_bytes(IMAGES) + b"x", r"wrong length behind the header, got 25 bytes, expected 24"),
    ],
    ids=["empty", "html", "labels for images", "sizes", "truncated", "too long"],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(DatasetError, match=complaint):
        parse_idx(data, IMAGES.shape, file="f")
