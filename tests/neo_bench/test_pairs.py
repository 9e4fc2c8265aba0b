"""The logic of timing, on recorded times: no clock is read here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from neo_bench.timing.pairs import Measurement, PairTime, accepted, measure_pairs


def recorded(times: Iterable[float]) -> Callable[[], float]:
    """Return a timer that plays times back, and fails when it is asked for more."""
    return iter(list(times)).__next__


def test_ratio_is_the_median_of_ratios_and_times_are_medians() -> None:
    pairs = (PairTime(1.0, 2.0), PairTime(2.0, 2.0), PairTime(1.0, 3.0))
    found = Measurement(pairs, solo=2.0, rejected=0, noisy=False)
    assert (found.neo, found.peer, found.ratio) == (1.0, 2.0, 2.0)


def test_spread_is_the_range_without_the_outer_tenths() -> None:
    pairs = tuple(PairTime(1.0, float(ratio)) for ratio in range(11))
    found = Measurement(pairs, solo=1.0, rejected=0, noisy=False)
    assert found.spread == pytest.approx((1.0, 9.0))


@pytest.mark.parametrize(("peer", "counts"), [(1.0, True), (1.049, True), (0.951, True), (1.051, False), (0.94, False)])
def test_a_pair_counts_if_the_peer_is_within_the_tolerance(peer: float, counts: bool) -> None:
    assert accepted(PairTime(1.0, peer), 1.0, 0.05) is counts


def test_a_quiet_machine_needs_one_round_and_no_rejections() -> None:
    neo, peer = recorded([0.5] * 4), recorded([1.0] * 3 + [1.0, 1.01, 0.99, 1.02])
    found = measure_pairs(neo, peer, wanted=4, rounds=1, solos=3)
    assert (found.solo, found.rejected, found.noisy) == (1.0, 0, False)
    assert found.ratio == pytest.approx(2.01)


def test_pairs_with_a_disturbed_peer_are_rejected_and_repeated() -> None:
    neo = recorded([0.5, 9.0, 0.5])
    peer = recorded([1.0, 1.0, 2.0, 1.0])  # alone; then the second pair is disturbed
    found = measure_pairs(neo, peer, wanted=2, rounds=1, solos=1)
    assert (found.rejected, found.noisy) == (1, False)
    assert found.pairs == (PairTime(0.5, 1.0), PairTime(0.5, 1.0))


def test_a_round_that_fails_is_followed_by_one_with_the_peer_alone_anew() -> None:
    neo = recorded([0.5] * 3)
    peer = recorded([1.0, 1.5, 1.5, 1.5, 1.5])  # the machine became slower after the first time alone
    found = measure_pairs(neo, peer, wanted=1, rounds=2, solos=1)
    assert (found.solo, found.rejected, found.noisy) == (1.5, 0, False)
    assert found.ratio == 3.0


def test_a_machine_that_stays_noisy_is_reported_with_all_pairs_of_the_best_round() -> None:
    neo = recorded([1.0] * 8)
    peer = recorded([1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 2.0, 1.0, 2.0, 2.0])
    found = measure_pairs(neo, peer, wanted=2, rounds=2, solos=1)
    assert (found.rejected, found.noisy) == (3, True)
    assert [pair.peer for pair in found.pairs] == [2.0, 1.0, 2.0, 2.0]
