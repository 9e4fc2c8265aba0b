"""Where an op comes from: the user's line, and the part of the model, found by walking the frames of a call.

The part of a model is named by the frames whose `self` is a pytree: by its place among the inputs, `params.layers.0`,
or by its class if its Arrays are none of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import CodeType, FrameType
from typing import Any, Final, Literal, NamedTuple

from neo_array import Array, tree
from neo_array._payloads import Batched

_OURS: Final = frozenset({"neo_array", "neo_tape", "neo_nn", "neo_optim"})
_QUIET: Final = frozenset({"neo_array", "neo_tape"})  # packages without models
BACKWARD: Final[Literal["backward"]] = "backward"


class Source(NamedTuple):
    """A line of the user's code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line} ({self.function})"


class Origin(NamedTuple):
    """Where an op comes from; the scope is a path, `params.layers.0/Attention`."""

    source: Source
    scope: str


class Scopes:
    """The parts of a model, by the paths of the inputs that they hold."""

    def __init__(self, paths: dict[int, str]) -> None:
        self._paths = paths
        self._found: dict[int, tuple[object, str]] = {}  # by the id() of an object, which is held so that it is unique

    def alias(self, x: Array, opened: Array) -> None:
        """Take note that an array stands for an input."""
        path = self._path(x)
        if path is not None:
            self._paths[opened._id] = path

    def of(self, model: object) -> str:
        """Return the name of a part."""
        found = self._found.get(id(model))
        if found is None:
            found = self._found[id(model)] = model, self._name(model)
        return found[1]

    def _name(self, model: object) -> str:
        pairs = [(self._path(x), inside) for inside, x in tree.leaves_with_paths(model)]
        places = {path.removesuffix(inside).rstrip(".") for path, inside in pairs if path and path.endswith(inside)}
        return (places.pop() if len(places) == 1 else "") or type(model).__name__

    def _path(self, x: object) -> str | None:
        while type(x) is Array:
            found = self._paths.get(x._id)
            if found is not None or type(x._raw) is not Batched:
                return found
            x = x._raw.inner
        return None


def find(frame: FrameType | None, top: CodeType, scopes: Scopes, inherit: Mapping[CodeType, Any]) -> Origin:
    """Return where the call of a frame comes from.

    Args:
        frame: the innermost frame.
        top: the code of the frame that called the traced function: outside of it there are no parts.
        scopes: the parts.
        inherit: by code, a function of a frame to the Origin of what it runs again or differentiates; where that is
            not known, to the name of a part.
    """
    source: Source | None = None
    parts: list[str] = []
    inside = True
    while frame is not None and (source is None or inside):
        code = frame.f_code
        package = frame.f_globals.get("__name__", "neo_array").partition(".")[0]  # generated code has no __name__
        if inside:
            inside = code is not top
            if code in inherit:
                origin: Origin | str = inherit[code](frame)
                if isinstance(origin, str):
                    parts += filter(None, [origin])
                else:
                    return Origin(origin.source, "/".join([*filter(None, [origin.scope]), *_relative(parts[::-1])]))
            elif package not in _QUIET and code.co_varnames[:1] == ("self",):
                model = frame.f_locals.get("self")
                if tree.is_registered(type(model)):
                    part = scopes.of(model)
                    if part not in parts[-1:]:
                        parts.append(part)
        if source is None and package not in _OURS:
            source = Source(code.co_filename, frame.f_lineno, code.co_name)
        frame = frame.f_back
    return Origin(source or Source("?", 0, "?"), "/".join(_relative(parts[::-1])))


def _relative(parts: list[str]) -> Iterator[str]:
    """Return each part as its place in the one around it."""
    for outer, inner in pairwise(["", *parts]):
        yield inner.removeprefix(f"{outer}.")
