"""What an array looks like, without the array."""

from __future__ import annotations

from neo_array import Array, Device, DType, zeros
from neo_array._bind import is_differentiable
from neo_tape._zero import Zero


class Meta:
    """What a gradient must look like: the shape, dtype and device of an array."""

    __slots__ = ("device", "differentiable", "dtype", "shape")

    def __init__(self, array: Array) -> None:
        self.shape: tuple[int, ...] = array.shape
        self.dtype: DType = array.dtype
        self.device: Device = array.device
        self.differentiable = is_differentiable(array)

    @classmethod
    def of_zero(cls, zero: Zero) -> Meta:
        """Return what a Zero looks like."""
        meta = object.__new__(cls)
        meta.shape, meta.dtype, meta.device, meta.differentiable = zero.shape, zero.dtype, zero.device, True
        return meta

    def zero(self) -> Zero:
        """Return the Zero that looks so."""
        return Zero(self.shape, self.dtype, self.device)

    def zeros(self) -> Array:
        """Return zeros that look so."""
        return zeros(self.shape, dtype=self.dtype, device=self.device)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Meta) and (self.shape, self.dtype, self.device) == (
            other.shape,
            other.dtype,
            other.device,
        )

    __hash__ = None  # type: ignore[assignment]  # compared, never kept in sets

    def __str__(self) -> str:
        return f"shape {self.shape}, dtype {self.dtype}, device {self.device}"
