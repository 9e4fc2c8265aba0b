"""A derivative that is zero, said rather than computed."""

from __future__ import annotations

from dataclasses import dataclass

from neo_array import Array, Device, DType, zeros


@dataclass(frozen=True)
class Zero:
    """Stands for zeros of this shape, dtype and device, which nobody has to make or to add.

    A Policy with `symbolic_zeros = True` gets one for each cotangent that did not arrive, and for each tangent of an
    array that is not being differentiated. Any `backward` or `jvp` may return one.

    Example:
        >>> import neo_array as na
        >>> Zero.like(na.ones(2)).array().numpy().tolist()
        [0.0, 0.0]
    """

    shape: tuple[int, ...]
    dtype: DType
    device: Device

    @classmethod
    def like(cls, x: Array, /) -> Zero:
        """Return the zero that looks like an array."""
        return cls(x.shape, x.dtype, x.device)

    def array(self) -> Array:
        """Make the zeros."""
        return zeros(self.shape, dtype=self.dtype, device=self.device)
