"""Digits: 1,797 handwritten digits of 8 x 8 pixels, which scikit-learn carries along, so no network is needed.

The set has no split of its own. Ours is fixed and stratified without any random numbers: within each class, in the
order of the file, every fifth image (the 5th, 10th, ...) belongs to the test set.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neo_bench.datasets.dataset import Dataset
from neo_bench.errors import DatasetError

_BRIGHTEST = 16


def load_digits() -> Dataset:
    """Return the digits, 1,442 to train on and 355 to test; raise DatasetError if scikit-learn is missing."""
    try:
        from sklearn import datasets
    except ModuleNotFoundError as error:
        raise DatasetError(
            f"digits: scikit-learn carries this dataset, got {error}, expected it installed; pip install scikit-learn"
        ) from error
    raw_images, raw_labels = datasets.load_digits(return_X_y=True)
    images = (raw_images / _BRIGHTEST).astype(np.float32)
    labels = raw_labels.astype(np.int64)
    test = every_nth_of_each_class(labels, 5)
    return Dataset(
        name="digits",
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        classes=10,
    )


def every_nth_of_each_class(labels: npt.NDArray[np.int64], n: int, /) -> npt.NDArray[np.bool_]:
    """Return a mask of the n-th, 2n-th, ... example of each class, in the order given."""
    mask = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        mask[np.flatnonzero(labels == label)[n - 1 :: n]] = True
    return mask
