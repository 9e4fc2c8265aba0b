"""The checker of the typed sample must itself catch what it is for: misses, and surprises."""

import sys
from pathlib import Path

import pytest

from scripts.check_types import Findings, check_sample, compare

SAMPLE = """\
from typing import reveal_type

right: int = "a"  # E
missed: int = 1  # E
surprise: str = 2
reveal_type([right])  # R: list[int]
def f(x: int, y: str) -> None:
    reveal_type((x, y))  # R: tuple[str]
reveal_type([right])
import json
import json  # E:pyright
"""


def test_sample_is_compared_with_what_both_checkers_say(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(SAMPLE)
    surprises = check_sample(tmp_path, sys.executable)
    assert [surprise.split(": ", 2)[:2] for surprise in surprises] == [
        ["module.py:4", "mypy misses the error wanted of"],
        ["module.py:4", "pyright misses the error wanted of"],
        ["module.py:5", "mypy reports an unexpected error"],
        ["module.py:5", "pyright reports an unexpected error"],
        ["module.py:8", "mypy reveals ['tuple[int, str]'], wanted ['tuple[str]']"],
        ["module.py:8", "pyright reveals ['tuple[int, str]'], wanted ['tuple[str]']"],
        ["module.py:9", "mypy reveals ['list[int]'], wanted no reveal_type"],
        ["module.py:9", "pyright reveals ['list[int]'], wanted no reveal_type"],
        ["module.py:10", "pyright reports an unexpected error"],
    ]


def test_error_that_one_checker_alone_reports_is_wanted_of_that_one(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("x = 1  # E:mypy\n")
    errors = Findings(errors={("module.py", 1): ["wrong"]})
    assert list(compare(tmp_path, {"mypy": errors, "pyright": Findings()})) == []
    assert len(list(compare(tmp_path, {"mypy": Findings(), "pyright": errors}))) == 2


def test_module_names_are_left_out_of_revealed_types(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(
        "from collections import OrderedDict\nfrom typing import reveal_type\n\n\n"
        "def f(x: OrderedDict[str, int]) -> None:\n    reveal_type(x)  # R: OrderedDict[str, int]\n"
    )
    assert check_sample(tmp_path, sys.executable) == []


def test_empty_sample_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no Python files"):
        check_sample(tmp_path, sys.executable)
