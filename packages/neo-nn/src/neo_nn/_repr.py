"""How a module prints: each array as its dtype and shape, one line where it fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

from neo_array import Array, DonatedError

_WIDTH: Final = 100
_INDENT: Final = "    "


def describe(value: object, margin: str = "") -> str:
    """Return a readable text for a tree of modules, containers and arrays; long ones are broken into indented lines."""
    parts = _parts(value)
    if parts is None:
        return _leaf(value)
    opening, items, closing = parts
    short = f"{opening}{', '.join(label + describe(item) for label, item in items)}{closing}"
    if len(margin) + len(short) <= _WIDTH and "\n" not in short:
        return short
    inner = margin + _INDENT
    lines = "".join(f"{inner}{label}{describe(item, inner)},\n" for label, item in items)
    return f"{opening}\n{lines}{margin}{closing}"


def _parts(value: object) -> tuple[str, list[tuple[str, object]], str] | None:
    """Return what opens a container, its labelled items, and what closes it; None for a leaf."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}(", list(_fields(value)), ")"
    if type(value) is tuple and value:
        return "(", [("", item) for item in value], ",)" if len(value) == 1 else ")"
    if type(value) is list and value:
        return "[", [("", item) for item in value], "]"
    if type(value) is dict and value:
        return "{", [(f"{key!r}: ", item) for key, item in value.items()], "}"
    return None


def _fields(value: object) -> Iterator[tuple[str, object]]:
    for field in dataclasses.fields(value):  # type: ignore[arg-type]  # is a dataclass: _parts asked
        yield f"{field.name}=", getattr(value, field.name)


def _leaf(value: object) -> str:
    if isinstance(value, Array):
        try:
            return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
        except DonatedError:
            return repr(value)
    name = getattr(value, "__name__", None)
    return name if callable(value) and isinstance(name, str) else repr(value)
