"""Random vectors with a covariance, and random rotations."""

from __future__ import annotations

from neo_array._array import Array
from neo_array._device import DeviceLike
from neo_array._errors import ShapeError
from neo_array.ops.shaping import expand_dims, squeeze
from neo_array.random._draws import Size, shape_for, sizes, standard
from neo_array.random._keys import Key


def multivariate_normal(
    key: Key, mean: Array, cov: Array, shape: Size = None, /, *, dtype: object | None = None
) -> Array:
    """Draw vectors from the normal distribution of a mean and a covariance: mean + cholesky(cov) @ normal.

    Args:
        mean: (..., n).
        cov: (..., n, n), symmetric and positive definite. Derivatives flow to both.
        shape: of the result, without its last axis; by default, what the leading axes broadcast to.
    """
    n = mean.shape[-1] if mean.ndim else 0
    if mean.ndim == 0 or cov.ndim < 2 or cov.shape[-2:] != (n, n):
        raise ShapeError(
            f"random.multivariate_normal: mean must be (..., n) and cov (..., n, n), got {mean.shape} and {cov.shape}"
        )
    whole = None if shape is None else (*sizes(shape), n)
    from neo_array.linalg import cholesky

    # a row of cov has the shape that its leading axes give the result
    size = shape_for("multivariate_normal", whole, mean, cov[..., 0, :])
    noise = standard(key, "normal", size, dtype, None, mean)
    return mean + squeeze(cholesky(cov) @ expand_dims(noise, axis=-1), -1)


def orthogonal(
    key: Key,
    n: int,
    shape: int | tuple[int, ...] = (),
    /,
    *,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Draw orthogonal matrices (*shape, n, n), all equally likely.

    The Q of a normal matrix's QR decomposition, whose R has a positive diagonal (Mezzadri, "How to
    generate random matrices from the classical compact groups", 2007).
    """
    from neo_array.linalg import qr

    return qr(standard(key, "normal", (*sizes(shape), *sizes(n), *sizes(n)), dtype, device)).Q
