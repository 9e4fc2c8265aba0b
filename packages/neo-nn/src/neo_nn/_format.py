"""The checkpoint format: what stands in a safetensors header beside the tensors, and how damage is noticed.

The header's metadata are strings: `format` and `version` say what the file is; `values` holds the leaves that are
Python values by their path, `metadata` what the caller keeps there, both as JSON; `tensors` is the CRC-32 of all
tensors in the order of their names, and `checksum` that of `values`, `metadata` and `tensors`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neo_array import DTypeError
from neo_nn._errors import CheckpointError

_FORMAT: Final = "neo_nn"
_VERSION: Final = "1"


@dataclass(frozen=True)
class Header:
    """What a checkpoint holds beside its tensors."""

    values: Mapping[str, bool | int | float | str]
    metadata: Mapping[str, object]
    tensors: str

    def pack(self) -> dict[str, str]:
        """Return the strings to write."""
        fields = {"values": json.dumps(dict(self.values)), "metadata": _as_json(self.metadata), "tensors": self.tensors}
        return {"format": _FORMAT, "version": _VERSION, **fields, "checksum": checksum_of_text(fields)}

    @staticmethod
    def unpack(file: str, packed: Mapping[str, str] | None) -> Header:
        """Read the strings of a file, or raise CheckpointError."""
        packed = packed or {}
        if packed.get("format") != _FORMAT:
            raise CheckpointError(
                f"{file}: is a safetensors file, but not one of neo_nn.save's; read it with safetensors.numpy.load_file"
            )
        if packed.get("version") != _VERSION:
            raise CheckpointError(
                f"{file}: has format version {packed.get('version')!r}, and this neo_nn reads version {_VERSION!r}; "
                "use the version of neo_nn that wrote it"
            )
        fields = {name: packed.get(name, "") for name in ("values", "metadata", "tensors")}
        if checksum_of_text(fields) != packed.get("checksum"):
            raise damaged(file, "its header does not match its checksum")
        return Header(_read(file, fields["values"]), _read(file, fields["metadata"]), fields["tensors"])


def damaged(file: str, how: str) -> CheckpointError:
    """Return the error for a file that is not what was written."""
    return CheckpointError(f"{file}: is damaged or no checkpoint: {how}; restore it from a copy, or train again")


def _read(file: str, text: str) -> dict[str, Any]:
    """Parse what `json.dumps` of a dict wrote; anything else was not written by us."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(file, f"its header is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise damaged(file, f"its header holds a {type(found).__name__} in place of a dict")
    return found


def _as_json(metadata: Mapping[str, object]) -> str:
    try:
        return json.dumps(dict(metadata))
    except (TypeError, ValueError) as error:
        raise DTypeError(
            f"save: metadata must be JSON data (dicts, lists, strings, numbers, None), got {error}"
        ) from None


# --- Checksums ---
def checksum_of_text(fields: Mapping[str, str]) -> str:
    """Return the CRC-32 of the header's own strings."""
    return f"{zlib.crc32(json.dumps(fields, sort_keys=True).encode()):08x}"


def checksum_of_tensors(tensors: Iterable[tuple[str, npt.NDArray[Any]]]) -> str:
    """Return the CRC-32 of contiguous tensors, which come in the order of their names."""
    checksum = 0
    for name, tensor in tensors:
        checksum = zlib.crc32(f"{name} {tensor.dtype.name} {tensor.shape}".encode(), checksum)
        checksum = zlib.crc32(tensor.reshape(-1).view(np.uint8).data, checksum)
    return f"{checksum:08x}"
