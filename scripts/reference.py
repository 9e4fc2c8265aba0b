"""Write docs/operations.md, the table of all operations, from the registry: `hatch run reference`.

What an operation takes is found by trying: its samples, cast to each dtype, on each backend.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import neo_array as na
from neo_array import Primitive, Sample, testing
from neo_array._dtypes import DTYPES, as_dtype
from neo_array._primitive import REGISTRY
from scripts.workspace import ROOT

PAGE = ROOT / "docs" / "operations.md"
BACKENDS = {"numpy": "numpy", "torch": "torch:cpu"}
GROUPS = {
    "bool": ["bool"],
    "int": ["int8", "int16", "int32", "int64"],
    "uint": ["uint8", "uint16", "uint32", "uint64"],
    "half": ["float16", "bfloat16"],
    "float": ["float32", "float64"],
    "complex": ["complex64", "complex128"],
}
INTRODUCTION = """\
# Operations

This page is written by `hatch run reference`; a test holds it to the registry. It lists the primitives: each carries
its kernels, derivative rules, batching rule and samples in one block under `packages/neo-array/src/neo_array/`.
Functions that are composed of them (`mean`, `stack`, `median`, ...) need no rows: what their primitives can, they can.

- **reverse**, **forward**: the inputs that have a rule, "all" for all of them. Rules are written in operations, so
  there is no highest order. "discrete" says that no derivative exists: gradients are zero, and the reason stands below.
- **batch**: "derived" from the kind, by a "rule", or by running the examples in a "loop".
- **dtypes**: bool, int (8 to 64 bits), uint (8 to 64), half (float16, bfloat16), float (32, 64), complex (64, 128);
  single names where a group is not whole. Operations that take no arrays, or random keys, show "-".
- **CuPy**: an "own" kernel, or NumPy's, which "dispatches" to CuPy's functions.

"""


def operations() -> list[Primitive[..., Any]]:
    """Return neo_array's own operations by name."""
    return sorted(
        (op for op in REGISTRY.values() if op.__module__.startswith("neo_array.")), key=lambda op: op.__name__
    )


def _cast(s: Sample, dtype: str) -> Sample | None:
    """Return a sample with its main arrays cast: the inexact ones, or else those of integers or booleans."""
    kinds = ["fc", "iu", "b"]
    arrays = [a for a in s.args if isinstance(a, np.ndarray | np.generic)]
    main = next((k for k in kinds if any(np.asarray(a).dtype.kind in k for a in arrays)), None)
    if main is None:
        return None
    target = as_dtype(dtype)

    def cast(a: Any) -> Any:
        if not isinstance(a, np.ndarray | np.generic) or np.asarray(a).dtype.kind not in main:
            return a
        values = np.asarray(a)
        if target.kind in "biu" and values.dtype.kind in "fc":
            values = np.abs(values) + 1  # no zeros to divide by, no negative exponents
        return (values.real if target.kind != "c" and values.dtype.kind == "c" else values).astype(target)

    return Sample(tuple(map(cast, s.args)), s.options, s.wrt)


def _takes(op: Primitive[..., Any], dtype: str, device: str) -> bool:
    """Tell whether one of the operation's samples runs in a dtype."""
    for s in testing.samples(op):
        cast = _cast(s, dtype)
        if cast is None:
            continue
        try:
            args = [na.asarray(a, device=device) if isinstance(a, np.ndarray | np.generic) else a for a in cast.args]
            op(*args, **s.options)
        except (na.DTypeError, TypeError, RuntimeError):
            continue
        except (ValueError, IndexError):  # it takes the dtype, and not these numbers
            return True
        return True
    return False


def dtypes(op: Primitive[..., Any], device: str) -> str:
    """Return the dtypes that an operation takes, by groups."""
    of_keys = op.__module__.startswith("neo_array.random") and op.arrays[:1] == ("key",)
    if of_keys or not any(isinstance(a, np.ndarray | np.generic) for s in testing.samples(op) for a in s.args):
        return "-"
    taken: list[str] = []
    for group, names in GROUPS.items():
        found = [n for n in names if _takes(op, n, device)]
        taken += [group] if found == names and len(names) > 1 else found
    return ", ".join(taken)


def _reverse(op: Primitive[..., Any]) -> str:
    if op.discrete is not None:
        return "discrete"
    ruled = [name for rule in op.vjp_rules for name in rule.inputs]
    return "all" if len(ruled) == len(op.arrays) else ", ".join(ruled)


def _forward(op: Primitive[..., Any]) -> str:
    follows = op.jvp_rule is not None or op.kind in ("elementwise", "linear")
    return _reverse(op) if follows else "-"


def _batch(op: Primitive[..., Any]) -> str:
    if op.batch_rule is None:
        return "derived" if op.kind == "elementwise" else "-"
    return "loop" if "batch_by_loop" in op.batch_rule.__qualname__ else "rule"


def _cupy(op: Primitive[..., Any]) -> str:
    if "torch" not in op.sources:
        return "host only"
    return "own" if "cupy" in op.sources else "dispatches" if "numpy" in op.sources else "-"


def rows() -> Iterator[str]:
    """Write the table."""
    yield "| operation | what it does | reverse | forward | batch | NumPy dtypes | torch dtypes | CuPy |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for op in operations():
        summary = (op.__doc__ or "").splitlines()[0].rstrip(".:").replace("|", "\\|")
        columns = [f"`{op.__name__}`", summary, _reverse(op), _forward(op), _batch(op)]
        columns += [dtypes(op, device) if name in op.sources else "host only" for name, device in BACKENDS.items()]
        yield f"| {' | '.join([*columns, _cupy(op)])} |"


def reasons() -> Iterator[str]:
    """Say why there is no derivative, where there is none."""
    for op in operations():
        if op.discrete is not None:
            yield f"- `{op.__name__}`: {op.discrete}"
        for name, missing in op.missing.items():
            yield f"- `{op.__name__}`, input `{name}`: {missing.reason}"


def page() -> str:
    """Return the whole page."""
    assert {n for names in GROUPS.values() for n in names} == {*DTYPES, "bfloat16"}
    table, why = "\n".join(rows()), "\n".join(reasons())
    return f"{INTRODUCTION}{table}\n\n## Without a derivative\n\n{why}\n"


def main(target: Path = PAGE) -> None:
    """Write the page."""
    target.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {target.relative_to(ROOT)}, {len(operations())} operations\n")


if __name__ == "__main__":
    main()
