"""Handing memory out through DLPack, <https://dmlc.github.io/dlpack/latest/>: what is the same for every backend."""

from __future__ import annotations

from typing import Any, Final

from neo_array import backends

_HOST: Final = (1, 0)  # kDLCPU, as numbered by DLPack


def device(raw: Any) -> tuple[int, int]:
    """Return DLPack's device type and number of a raw array's place."""
    kind, number = raw.__dlpack_device__()
    return int(kind), int(number)


def capsule(
    raw: Any, *, stream: Any, max_version: tuple[int, int] | None, dl_device: tuple[int, int] | None, copy: bool | None
) -> Any:
    """Export a raw array, or a copy unless `copy=False`, as a DLPack capsule.

    Raises:
        BufferError: for a dtype that the library cannot export, or a device that is neither its own nor the host.
        ValueError: if copy=False, but the other device needs one.
    """
    backend = backends.of(raw)
    if dl_device is not None and tuple(dl_device) != device(raw):
        if tuple(dl_device) != _HOST:
            raise BufferError(f"DLPack: cannot export from {backend.device_of(raw)} to device {dl_device}; use x.to()")
        if copy is False:
            raise ValueError(f"DLPack: copy=False, but the host's memory is not {backend.device_of(raw)}'s")
        raw, stream, copy = backend.to_numpy(raw), None, False
        backend = backends.of(raw)
    if backend.dtype_of(raw).name == "bfloat16" and backend.NAME == "numpy":
        raise BufferError('DLPack: NumPy cannot export bfloat16; write x.to("torch:cpu"), or x.astype(na.float32)')
    options = {} if stream is None else {"stream": stream}
    if max_version is not None:
        try:
            return raw.__dlpack__(max_version=max_version, copy=copy is not False, **options)
        except (TypeError, BufferError):  # NumPy 2.0 and torch up to 2.8 know no such options; CuPy makes no copy
            pass
    return (raw if copy is False else backend.copy(raw)).__dlpack__(**options)
