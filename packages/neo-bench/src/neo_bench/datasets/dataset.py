"""Dataset: images and labels on the host, split once and for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Dataset:
    """Labelled images, flattened and scaled to [0, 1], in a training and a test set.

    Images are float32 of shape (n, features), labels int64 of shape (n,) with values in [0, classes).
    """

    name: str
    train_images: npt.NDArray[np.float32]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.float32]
    test_labels: npt.NDArray[np.int64]
    classes: int

    @property
    def features(self) -> int:
        """Number of pixels in one image."""
        features: int = self.train_images.shape[1]
        return features
