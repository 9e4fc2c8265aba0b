from __future__ import annotations

import numpy as np

from neo_bench import datasets
from neo_bench.datasets.digits import every_nth_of_each_class


def test_digits_are_scaled_and_split_as_documented() -> None:
    dataset = datasets.load("digits")
    assert dataset.train_images.shape == (1442, 64)
    assert dataset.test_images.shape == (355, 64)
    assert dataset.train_images.dtype == np.float32
    assert dataset.train_labels.dtype == np.int64
    assert (dataset.train_images.min(), dataset.train_images.max()) == (0.0, 1.0)


def test_every_class_gives_a_fifth_of_its_images_to_the_test_set() -> None:
    dataset = datasets.load("digits")
    train, test = np.bincount(dataset.train_labels), np.bincount(dataset.test_labels)
    np.testing.assert_array_equal(test, (train + test) // 5)


def test_every_nth_counts_within_each_class() -> None:
    labels = np.array([0, 0, 1, 1, 0, 1, 0])
    expected = [False, True, False, True, False, False, True]
    assert every_nth_of_each_class(labels, 2).tolist() == expected
