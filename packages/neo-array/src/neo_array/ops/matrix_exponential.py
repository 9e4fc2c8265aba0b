"""The exponential of a matrix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neo_array._array import Array
from neo_array._batching import batch_leading
from neo_array._described import square
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.creation import zeros_like
from neo_array.ops.joining import concat
from neo_array.ops.matrices import explain_matrix, lapack


@primitive()
def expm(x: Array, /) -> Array:
    """Return the exponentials of square matrices, sum over k of x^k / k!. Shape: (..., n, n)."""
    return bind(expm, x)


def _expm(x: Any) -> Any:
    from scipy.linalg import expm

    return expm(x) if x.size else x.copy()


expm.kernel("numpy")(lapack(_expm))
expm.kernel("torch")("neo_array.backends.torch_kernels.linalg:expm")
expm.kernel("cupy")("neo_array.backends.cupy_kernels.linalg:expm")
expm.batch(batch_leading(expm))
explain_matrix(expm, "expm", square=True)


# I. Najfeld and T. F. Havel, "Derivatives of the matrix exponential and their computation" (1995), section 2: the
# derivative at x along t is a block of the exponential of a matrix twice the size.
def _along(t: Array, x: Array) -> Array:
    n = x.shape[-1]
    blocks = [concat([x, t], axis=-1), concat([zeros_like(x), x], axis=-1)]
    return expm(concat(blocks, axis=-2))[..., :n, n:]


expm.vjp(x=lambda g, x: _along(g, x.mT))
expm.jvp(_along)


# --- Shapes ---
expm.shape(square)


# --- Samples ---
@expm.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 3)))
    yield sample(0.1 * rng.normal(size=(2, 3, 3)))
    yield sample(rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2)))
    yield sample(np.zeros((0, 0)))
