from __future__ import annotations

import pytest

from neo_bench.peers.torch import place_of


@pytest.mark.parametrize(
    ("device", "place"),
    [("numpy", "cpu"), ("torch:cpu", "cpu"), ("torch:cuda:1", "cuda:1"), ("cupy:0", "cuda:0")],
)
def test_the_peer_computes_on_the_same_place(device: str, place: str) -> None:
    assert str(place_of(device)) == place
