"""Arguments to check a rule with, drawn from shapes; and whether their sizes let broadcasting hide."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np

from neo_array import Array, DeviceLike, DType, asarray, float64


def samples(
    *shapes: tuple[int, ...], dtype: DType = float64, device: DeviceLike | None = None, seed: int = 0
) -> tuple[Array, ...]:
    """Draw one array of each shape: the arguments of a call to check a rule with.

    Take distinct primes for sizes that need not be equal: what broadcasts then does so because it must, not by luck.
    The numbers are of either sign, and not near zero, where many functions have a kink.

    Args:
        shapes: the shapes of the arguments.
        dtype: of all arrays; derivatives are checked best in float64.
        device: where they are; the default device if None.
        seed: of the random numbers.

    Example:
        >>> [x.shape for x in samples((2, 3), (3, 5))]
        [(2, 3), (3, 5)]
    """
    rng = np.random.default_rng(seed)
    drawn = [rng.choice([-1.0, 1.0], size=shape) * rng.uniform(0.3, 1.7, size=shape) for shape in shapes]
    return tuple(asarray(np.asarray(x), dtype=dtype, device=device) for x in drawn)


def warn_of_sizes(who: str, calls: Iterable[tuple[list[str], tuple[Array, ...]]]) -> None:
    """Warn of arguments whose axes have size 1, or equal sizes, in all calls: a wrong axis would go unnoticed."""
    shapes: dict[str, list[tuple[int, ...]]] = {}
    for names, arrays in calls:
        for name, x in zip(names, arrays, strict=True):
            shapes.setdefault(name, []).append(x.shape)
    for name, found in shapes.items():
        if all(1 in shape or len(set(shape)) < len(shape) for shape in found):
            warnings.warn(
                f"{who}: {name} has shape {found[0]}, in which sizes of 1, or equal ones, can hide a wrong axis or a "
                "gradient that merely broadcasts; take distinct primes, or pass sizes=False to check_policy",
                stacklevel=4,
            )
