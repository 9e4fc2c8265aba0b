from __future__ import annotations

import numpy as np
import pytest

from neo_bench.errors import MismatchError
from neo_bench.timing.contender import Answers, Contender, Pair


def pair(ours: Answers, theirs: Answers) -> Pair:
    neo = Contender("neo on numpy", "blas", lambda: None, lambda: ours)
    peer = Contender("PyTorch", "torch", lambda: None, lambda: theirs)
    return Pair(neo, peer, tolerance=1e-4)


def test_answers_that_differ_by_rounding_pass() -> None:
    pair({"loss": np.array(1.00001)}, {"loss": np.array(1.0)}).check()


@pytest.mark.parametrize(
    ("ours", "complaint"),
    [
        (
            {"gradient": np.array([1.0, 2.001])},
            "gradient differs from PyTorch's, got 0.001 at most, expected up to 0.0001 of 2",
        ),
        ({"gradient": np.array([1.0, np.nan])}, "gradient differs from PyTorch's, got nan"),
        ({"gradient": np.array([[1.0, 2.0]])}, r"another shape, got \(1, 2\), expected \(2,\)"),
        (
            {"loss": np.array([1.0, 2.0])},
            r"answers other questions than PyTorch, got \['loss'\], expected \['gradient'\]",
        ),
    ],
    ids=["wrong", "nan", "shape", "names"],
)
def test_two_sides_that_compute_different_things_are_refused(ours: Answers, complaint: str) -> None:
    with pytest.raises(MismatchError, match=complaint):
        pair(ours, {"gradient": np.array([1.0, 2.0])}).check()
