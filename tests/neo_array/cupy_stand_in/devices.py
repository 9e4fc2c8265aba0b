"""The stand-in's machine: how many devices it has, and which one is current."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final


@dataclass
class Machine:
    """How many devices there are, and which one is current."""

    count: int = 1
    current: int = 0


machine: Final = Machine()


class CUDARuntimeError(RuntimeError):
    """What CuPy raises where there is no driver or no device."""


class PerformanceWarning(RuntimeWarning):
    """What CuPy says when it reads another device's memory."""


class Device:
    """A CUDA device, and the context in which it is current."""

    __hash__ = None  # type: ignore[assignment]  # as CuPy's

    def __init__(self, device: Any = None) -> None:
        self.id = machine.current if device is None else int(device)
        self._before: list[int] = []

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __enter__(self) -> Device:
        check()
        if self.id >= machine.count:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self._before.append(machine.current)
        machine.current = self.id
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        machine.current = self._before.pop()

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


def get_device_count() -> int:
    """Return how many devices there are; CuPy raises for none."""
    check()
    return machine.count


def check() -> None:
    """Do what touching the device does: fail where there is none."""
    if machine.count == 0:
        raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")


def check_peer(number: int) -> None:
    """Warn about an array that is not on the current device, as CuPy does where the hardware can read it."""
    check()
    if number != machine.current:
        warnings.warn(
            f"The device where the array resides ({number}) is different from the current device ({machine.current}). "
            "Peer access has been activated automatically.",
            PerformanceWarning,
            stacklevel=2,
        )
