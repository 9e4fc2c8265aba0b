from __future__ import annotations

import json

import pytest

from neo_bench.training.agreement import agreements, relative_difference
from neo_bench.training.progress import FIRST_LOSSES, Progress

LOSSES = [2.3, 1.7, 0.1, 0.4, 0.25]
SIZES = [64, 64, 64, 64, 7]


def test_the_loss_of_an_epoch_weighs_each_batch_by_its_size() -> None:
    progress = Progress().after([1.0, 4.0], [2, 1], 0.5)
    assert progress.loss == 2.0
    assert progress.images_per_second == 6.0


def test_progress_does_not_depend_on_how_steps_were_grouped() -> None:
    whole = Progress().after(LOSSES, SIZES, 1.0)
    parts = Progress()
    for cut in (slice(0, 1), slice(1, 1), slice(1, 4), slice(4, 5)):
        parts = parts.after(LOSSES[cut], SIZES[cut], 0.25)
    assert parts == whole


def test_an_epoch_is_recorded_and_the_next_begins_at_zero() -> None:
    progress = Progress().after(LOSSES, SIZES, 2.0).end_epoch(train_accuracy=0.9, test_accuracy=0.8)
    assert (progress.step, progress.images, progress.loss_sum, progress.seconds) == (0, 0, 0.0, 0.0)
    (epoch,) = progress.epochs
    assert (epoch["epoch"], epoch["seconds"], epoch["test_accuracy"]) == (1, 2.0, 0.8)
    assert epoch["images_per_second"] == sum(SIZES) / 2


def test_only_the_first_losses_are_kept() -> None:
    many = [float(i) for i in range(150)]
    progress = Progress().after(many, [1] * 150, 1.0).after(many, [1] * 150, 1.0)
    assert progress.first_losses == tuple(many + many)[:FIRST_LOSSES]


def test_progress_survives_json_exactly() -> None:
    progress = Progress().after(LOSSES, SIZES, 0.1).end_epoch(train_accuracy=1 / 3, test_accuracy=0.1)
    progress = progress.after([1 / 7], [3], 0.3)
    assert Progress.from_json(json.loads(json.dumps(progress.to_json()))) == progress


def test_agreement_is_the_largest_relative_difference_over_each_span() -> None:
    peer = [1.0] * 250
    ours = [1.0] * 250
    ours[10], ours[100], ours[220] = 1.01, 1.5, 9.0
    short, long = agreements(ours, peer)
    assert (short["steps"], long["steps"]) == (20, 200)
    assert short["largest_relative_difference"] == pytest.approx(0.01)
    assert long["largest_relative_difference"] == pytest.approx(0.5)


def test_agreement_of_a_short_run_covers_the_steps_that_both_took() -> None:
    assert [found["steps"] for found in agreements([1.0] * 30, [1.0] * 25)] == [20, 25]
    assert [found["steps"] for found in agreements([1.0] * 7, [1.0] * 7)] == [7]
    assert agreements([], []) == []


@pytest.mark.parametrize(("value", "reference", "expected"), [(0.0, 0.0, 0.0), (1.0, 0.0, 1.0), (-1.0, 2.0, 1.5)])
def test_relative_difference_works_at_zero(value: float, reference: float, expected: float) -> None:
    assert relative_difference(value, reference) == expected
