"""Find the lines of CuPy's backend and kernels that no test runs: `python -m tests.neo_array.cupy_stand_in.lines`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import neo_array as na
from neo_array import backends, testing
from tests.neo_array.calls import HOST_ONLY, OPS, options_on
from tests.neo_array.cupy_stand_in import installed

FOLDER = Path(backends.__file__).parent
FILES = [str(FOLDER / "cupy.py"), *map(str, sorted((FOLDER / "cupy_kernels").glob("*.py")))]
TESTS = str(Path(__file__).parents[1] / "test_cupy.py")


def lines_of(code: CodeType) -> Iterator[int]:
    """Go over the numbers of the lines that can run."""
    yield from (line for *_, line in code.co_lines() if line)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from lines_of(constant)


def run_everything() -> int:
    """Run every sample of every op in every precision, then the tests of the backend; return how those ended."""
    dtypes = ["float16", "float32", "float64", *(["bfloat16"] if find_spec("ml_dtypes") else [])]
    with installed():
        for op in OPS:
            for s in testing.samples(op) if op.sample_source and op.__name__ not in HOST_ONLY else []:
                for dtype in dtypes:
                    try:
                        args = testing.arguments(s, device="cupy:0", dtype=na.finfo(dtype).dtype)
                        op(*args, **options_on(s, "cupy:0"))
                    except na.NeoError:  # some ops know no half precision; the tests of the ops say which
                        continue
    return int(pytest.main(["-q", "--no-header", "-p", "no:cacheprovider", TESTS]))


def missing() -> list[str]:
    """Return the lines that were not run, as file:line."""
    ran: dict[str, set[int]] = {file: set() for file in FILES}

    def local(frame: FrameType, event: str, _: Any) -> Any:
        ran[frame.f_code.co_filename].add(frame.f_lineno)
        return local

    def called(frame: FrameType, event: str, _: Any) -> Any:
        found = ran.get(frame.f_code.co_filename)
        if found is None:
            return None
        found |= {frame.f_lineno, frame.f_code.co_firstlineno}
        return local

    before = sys.gettrace()
    sys.settrace(called)
    try:
        ended = run_everything()
    finally:
        sys.settrace(before)
    assert ended == 0, "the tests of the backend fail"
    return [
        f"{Path(file).name}:{line}"
        for file in FILES
        for line in sorted(set(lines_of(compile(Path(file).read_text(), file, "exec"))) - ran[file])
    ]


if __name__ == "__main__":
    sys.stdout.write("\n".join(["", "not run:", *missing(), ""]))
