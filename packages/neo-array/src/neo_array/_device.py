"""Where an array lives: a backend and a place on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, TypeAlias

from neo_array._errors import DeviceError

BACKENDS: Final = ("numpy", "torch", "cupy")


@dataclass(frozen=True)
class Device:
    """A backend and a place: `numpy`, `torch:cpu`, `torch:cuda:0`, `cupy:0`."""

    backend: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.backend}:{self.place}" if self.place else self.backend


DeviceLike: TypeAlias = Device | str
_default: ContextVar[Device | None] = ContextVar("neo_array_default_device", default=None)
_default_backend: list[str] = []  # set_default_backend writes it; the environment speaks where it is empty


def default_backend() -> str:
    """Return the backend that `"cpu"` and unspecified devices mean."""
    if _default_backend:
        return _default_backend[0]
    return _known_backend(os.environ.get("NEO_BACKEND", "numpy"), "environment variable NEO_BACKEND")


def set_default_backend(name: str) -> None:
    """Choose the backend for unspecified devices in this process, as the environment variable NEO_BACKEND does."""
    _default_backend[:] = [_known_backend(name)]


def default_device() -> Device:
    """Return the device on which new arrays are made."""
    return _default.get() or as_device("cpu")


@contextmanager
def use_device(device: DeviceLike) -> Iterator[Device]:
    """Make `device` the default inside the `with` block, in this context only."""
    chosen = as_device(device)
    token = _default.set(chosen)
    try:
        yield chosen
    finally:
        _default.reset(token)


def as_device(device: DeviceLike | None) -> Device:
    """Return the Device that a name means; None means the default device."""
    if device is None:
        return default_device()
    if isinstance(device, Device):
        return device
    if not isinstance(device, str):
        raise DeviceError(f'device: must be a Device or a name such as "torch:cpu", got {type(device).__name__}')
    backend, _, place = device.partition(":")
    if backend == "cpu" and not place:
        backend = default_backend()
    elif backend == "cuda":
        backend, place = _cuda_backend(), device
    if backend == "numpy" and place in ("", "cpu"):
        return Device("numpy")
    if backend == "torch":
        place = place or "cpu"
        if place == "cpu" or place.split(":")[0] == "cuda":
            return Device("torch", "cuda:0" if place == "cuda" else place)
    if backend == "cupy" and place.removeprefix("cuda:").isdigit():
        return Device("cupy", place.removeprefix("cuda:"))
    if backend == "cupy" and place in ("", "cuda"):
        return Device("cupy", "0")
    raise DeviceError(f'device: got {device!r}; use "numpy", "torch:cpu", "torch:cuda:0", "cupy:0", "cpu" or "cuda"')


def _known_backend(name: str, source: str = "backend") -> str:
    if name not in BACKENDS:
        raise DeviceError(f"{source}: got {name!r}; use one of {', '.join(BACKENDS)}")
    return name


def _cuda_backend() -> str:
    from neo_array import backends

    backend = default_backend()
    return backend if backend != "numpy" else "cupy" if backends.devices_of("cupy") else "torch"
