"""Every Python block of the READMEs, and of the design notes that have some, runs.

A block whose first line is the comment `# needs: torch` (names separated by commas) is left out, and the test reported
as skipped, where such a library is missing.
"""

import re
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

from scripts.workspace import ROOT, packages

PAGES = ["README.md", "docs/design/program.md"]
READMES = [*(ROOT / page for page in PAGES), *(package.folder / "README.md" for package in packages())]

BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"\A# needs: (?P<libraries>.+)")


def extract(text: str, path: Path) -> list[str]:
    """Write the blocks of a Markdown text to `path`, each on the lines that it has there; say what was left out."""
    lines = [""] * (text.count("\n") + 1)
    left_out = []
    for block in BLOCK.finditer(text):
        start = text.count("\n", 0, block.start("code"))
        needs = NEEDS.match(block["code"])
        missing = [name for name in re.split(r",\s*", needs["libraries"]) if find_spec(name) is None] if needs else []
        if missing:
            left_out.append(f"the block at line {start + 1} needs {', '.join(missing)}")
        else:
            code = block["code"].splitlines()
            lines[start : start + len(code)] = code
    path.write_text("\n".join(lines), encoding="utf-8")
    return left_out


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_readme_code_runs(readme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = readme.read_text(encoding="utf-8")
    assert BLOCK.search(text), f"{readme} shows no Python"
    left_out = extract(text, tmp_path / "readme.py")
    monkeypatch.chdir(tmp_path)  # what an example saves goes here
    runpy.run_path(str(tmp_path / "readme.py"), run_name="readme")
    if left_out:
        pytest.skip("; ".join(left_out))


def test_failing_block_is_reported_with_the_line_of_the_readme(tmp_path: Path) -> None:
    extract("Text.\n\n```python\nx = 1\n```\n\nMore.\n\n```python\nassert x == 2\n```\n", tmp_path / "readme.py")
    with pytest.raises(AssertionError) as failure:
        runpy.run_path(str(tmp_path / "readme.py"))
    assert failure.traceback[-1].lineno + 1 == 10


def test_block_that_needs_a_missing_library_is_left_out(tmp_path: Path) -> None:
    text = "```python\n# needs: json, no_such_library\nraise ValueError\n```\n```python\n# needs: json\ny = 1\n```\n"
    assert extract(text, tmp_path / "readme.py") == ["the block at line 2 needs no_such_library"]
    assert runpy.run_path(str(tmp_path / "readme.py"))["y"] == 1
