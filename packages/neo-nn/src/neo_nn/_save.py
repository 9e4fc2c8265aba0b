"""Checkpoints: a pytree in one safetensors file, written all or nothing, read strictly, never executed.

Arrays are tensors named by their path in the tree; Python numbers and strings, and the caller's metadata, are JSON in
the file's header (see `_format`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from neo_array import Array, DTypeError, TreeError, asarray, tree
from neo_nn._atomic import replacing
from neo_nn._errors import CheckpointError
from neo_nn._format import Header, checksum_of_tensors, damaged

T = TypeVar("T")
PathLike: TypeAlias = str | os.PathLike[str]
Value: TypeAlias = bool | int | float | str

_RESERVED: Final = "__metadata__"  # the header's own key in the safetensors format
_DTYPES: Final = {
    "BOOL": "bool",
    "BF16": "bfloat16",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    **{f"{kind}{bits}": f"{name}{bits}" for kind, name in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)},
}
_MOST_LINES: Final = 20


def save(path: PathLike, tree: object, /, *, metadata: Mapping[str, object] | None = None) -> None:
    """Write a pytree to a file, all or nothing: a crash at any moment leaves the old file or the new one.

    Args:
        path: the file to write or replace; its folder must exist. Any extension; `.safetensors` is usual.
        tree: its leaves are Arrays (on any device), bools, ints, floats and strings.
        metadata: JSON data with string keys to keep beside the tree, for `load_metadata`. Tuples come back as lists.

    Raises:
        DTypeError: for another kind of leaf, a dtype that safetensors has not, or metadata that are no JSON.
        TreeError: if two leaves have one path, as in `{"1": x, 1: y}`.
        OSError: if the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays, values = _split("save", tree)
    tensors = {name: _host(name, array) for name, array in sorted(arrays.items())}
    header = Header(values, metadata or {}, checksum_of_tensors(tensors.items())).pack()
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=header)
        except SafetensorError as error:
            raise OSError(f"save: cannot write {os.fspath(path)}: {error}") from error


def load(path: PathLike, /, like: T) -> T:
    """Read a pytree from a file that `save` wrote.

    Args:
        path: the file.
        like: a tree with the structure, shapes and dtypes that the file must have; its values do not matter. Each array
            is put on the device of the one that it stands for.

    Raises:
        CheckpointError: if the file is damaged, foreign or of another version, or does not fit `like` exactly; the
            message lists what is missing, unexpected and different. Nothing in a file is ever executed.
    """
    file = os.fspath(path)
    arrays, values = _split("load", like)
    loaded: dict[str, Array | Value] = {}

    def read(opened: Any) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        for name, array in sorted(arrays.items()):
            tensor = opened.get_tensor(name)
            loaded[name] = asarray(tensor, device=array.device)
            yield name, tensor

    with _opened(file) as opened:
        header = Header.unpack(file, opened.metadata())
        _check_fit(file, _kinds_in_file(opened, header), _kinds({**arrays, **values}))
        if checksum_of_tensors(read(opened)) != header.tensors:
            raise damaged(file, "its tensors do not match their checksum")
    loaded |= header.values
    restored: T = tree.unflatten(tree.structure(like), [loaded[name] for name, _ in tree.leaves_with_paths(like)])
    return restored


def load_metadata(path: PathLike, /) -> dict[str, Any]:
    """Read the metadata of a file that `save` wrote, without its tensors.

    Raises:
        CheckpointError: if the file's header is damaged, foreign or of another version.
    """
    file = os.fspath(path)
    with _opened(file) as opened:
        return dict(Header.unpack(file, opened.metadata()).metadata)


# --- Leaves ---
def _split(who: str, what: object) -> tuple[dict[str, Array], dict[str, Value]]:
    """Return a tree's Arrays and its Python values, both by path."""
    arrays: dict[str, Array] = {}
    values: dict[str, Value] = {}
    for path, leaf in tree.leaves_with_paths(what):
        if path in arrays or path in values or path == _RESERVED:
            why = "the format reserves that name" if path == _RESERVED else "two leaves have that path"
            raise TreeError(f"{who}: cannot name the leaf at {path!r}, since {why}; rename a dict key")
        if type(leaf) is Array:
            arrays[path] = leaf
        elif type(leaf) in (bool, int, float, str):
            values[path] = leaf
        else:
            raise DTypeError(
                f"{who}: the leaf at {path!r} must be an Array, bool, int, float or str, got {type(leaf).__name__}; "
                "wrap arrays in na.asarray(...), and make other things static fields"
            )
    return arrays, values


def _host(name: str, array: Array) -> npt.NDArray[Any]:
    """Return values as the format has them: little-endian, and contiguous."""
    if array.dtype.name not in _DTYPES.values():
        raise DTypeError(
            f"save: the array at {name!r} has dtype {array.dtype}, which safetensors has not; cast or split it"
        )
    values = array.numpy()
    # safetensors writes strided arrays as garbage: https://github.com/huggingface/safetensors/issues/825
    return np.asarray(values, dtype=values.dtype.newbyteorder("<"), order="C")


# --- Reading ---
@contextmanager
def _opened(file: str) -> Iterator[Any]:
    """Open a file, and turn what safetensors says about a broken one into a CheckpointError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            yield opened
    except SafetensorError as error:
        raise damaged(file, str(error)) from error


def _check_fit(file: str, found: dict[str, str], wanted: dict[str, str]) -> None:
    """Raise, with a list of all differences, unless a file holds exactly the leaves that are wanted."""
    lines = [f"missing in the file: {name} ({wanted[name]})" for name in wanted if name not in found]
    lines += [f"not in the tree: {name} ({found[name]})" for name in found if name not in wanted]
    lines += [
        f"different: {name} is {found[name]} in the file, {wanted[name]} in the tree"
        for name in wanted
        if name in found and found[name] != wanted[name]
    ]
    if lines:
        shown = lines[:_MOST_LINES] + ([f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else [])
        text = "".join(f"\n  {line}" for line in shown)
        raise CheckpointError(
            f"{file}: does not fit the tree given as `like`; build it with the options of the saved one:{text}"
        )


def _kinds(leaves: Mapping[str, Array | Value]) -> dict[str, str]:
    return {
        name: f"{leaf.dtype.name}{list(leaf.shape)}" if isinstance(leaf, Array) else type(leaf).__name__
        for name, leaf in leaves.items()
    }


def _kinds_in_file(opened: Any, header: Header) -> dict[str, str]:
    slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118  (it is no dict)
    tensors = {name: f"{_DTYPES.get(s.get_dtype(), s.get_dtype())}{s.get_shape()}" for name, s in slices.items()}
    return tensors | _kinds(header.values)
