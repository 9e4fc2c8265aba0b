"""Check all types: `hatch run types`.

1. `mypy --strict` over the packages, the tests and the scripts; mypy.ini says how.
2. The downstream sample in tests/typing, by mypy and by pyright, both strict, against the built wheels, installed in a
   fresh virtual environment. Comments in the sample state what is wanted of a line:

   | comment         | meaning                                                            |
   | --------------- | ------------------------------------------------------------------ |
   | `# E`           | both checkers report an error here                                 |
   | `# E:mypy`      | mypy alone does                                                    |
   | `# E:pyright`   | pyright alone does                                                 |
   | `# R: TEXT`     | both reveal the type TEXT, written without module names            |

   Every other line must be free of errors. A `reveal_type` without a wanted text is a surprise too.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.workspace import ROOT, build, fresh_venv, packages

ERROR_MARK = re.compile(r"# E(?::(?P<checker>mypy|pyright))?(?=\s|$)")
REVEAL_MARK = re.compile(r"# R: (?P<text>.+?)\s*$")

Line = tuple[str, int]
"""A file, relative to the sample's folder, and a line number."""


@dataclass
class Findings:
    """What one checker said of a sample."""

    errors: dict[Line, list[str]] = field(default_factory=lambda: defaultdict(list))
    reveals: dict[Line, list[str]] = field(default_factory=lambda: defaultdict(list))


# --- The two checkers ---


def run_mypy(sample: Path, python: str | Path) -> Findings:
    """Check the folder `sample` with `mypy --strict`, against what is installed for the interpreter `python`."""
    flags = ["--strict", "--config-file=", "--output=json", "--explicit-package-bases", f"--python-executable={python}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, "."], cwd=sample, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"mypy crashed:\n{done.stdout}{done.stderr}")
    findings = Findings()
    for text in done.stdout.splitlines():
        if not text.startswith("{"):
            continue  # the closing summary
        entry = json.loads(text)
        line = (Path(entry["file"]).as_posix(), entry["line"])
        if revealed := re.search(r'Revealed type is "(.+)"', entry["message"]):
            findings.reveals[line].append(_bare_names(revealed[1]))
        elif entry["severity"] == "error":
            findings.errors[line].append(f"{entry['message']} [{entry['code']}]")
    return findings


def run_pyright(sample: Path, python: str | Path) -> Findings:
    """Check the folder `sample` with pyright in strict mode, against what is installed for the interpreter `python`."""
    (sample / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", str(python)]
    done = subprocess.run(command, cwd=sample, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pyright crashed:\n{done.stdout}{done.stderr}")
    findings, report = Findings(), json.loads(done.stdout)
    if report["summary"]["filesAnalyzed"] != len(list(sample.rglob("*.py"))):
        raise RuntimeError(f"pyright did not read every file of {sample}:\n{done.stdout}")
    for entry in report["generalDiagnostics"]:
        line = (Path(entry["file"]).relative_to(sample).as_posix(), entry["range"]["start"]["line"] + 1)
        if revealed := re.search(r'Type of ".+" is "(.+)"', entry["message"], re.DOTALL):
            findings.reveals[line].append(_bare_names(revealed[1]))
        elif entry["severity"] == "error":
            findings.errors[line].append(f"{entry['message']} [{entry.get('rule', 'error')}]")
    return findings


def _bare_names(revealed: str) -> str:
    """Strip module names, and the `def` that mypy writes before a callable: the checkers differ there."""
    return re.sub(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])", "", revealed).removeprefix("def ")


# --- Wanted beside found ---


def compare(sample: Path, found: Mapping[str, Findings]) -> Iterator[str]:
    """Yield one text for every line of the sample where a checker (the keys of `found`) did not say what is wanted."""
    for path in sorted(sample.rglob("*.py")):
        name = path.relative_to(sample).as_posix()
        for number, source in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            error, reveal = ERROR_MARK.search(source), REVEAL_MARK.search(source)
            for checker, findings in found.items():
                where = f"{name}:{number}: {checker}"
                errors = findings.errors.get((name, number), [])
                wanted = error is not None and error["checker"] in (None, checker)
                if wanted and not errors:
                    yield f"{where} misses the error wanted of: {source.strip()}"
                elif errors and not wanted:
                    yield f"{where} reports an unexpected error: {'; '.join(errors)}"
                revealed = findings.reveals.get((name, number), [])
                texts = [] if reveal is None else [reveal["text"]]
                if revealed != texts:
                    yield f"{where} reveals {revealed or 'nothing'}, wanted {texts or 'no reveal_type'}"


def check_sample(sample: Path, python: str | Path) -> list[str]:
    """Run both checkers over a copy of `sample`, outside this repository, and return what is not as wanted."""
    if not list(sample.rglob("*.py")):
        raise FileNotFoundError(f"{sample} holds no Python files; nothing would be checked")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve() / "sample"
        shutil.copytree(sample, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        return list(compare(copy, {"mypy": run_mypy(copy, python), "pyright": run_pyright(copy, python)}))


def main() -> None:
    """Run both steps; fail if either found something."""
    print("mypy --strict over packages, tests and scripts", flush=True)
    failed = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, check=False).returncode
    print("tests/typing against the built wheels: mypy and pyright, strict", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        python = fresh_venv(Path(folder) / "venv", *build(packages(), Path(folder) / "wheels"))
        surprises = check_sample(ROOT / "tests/typing", python)
    for surprise in surprises:
        print(surprise)
    print(f"{len(surprises)} surprises in tests/typing")
    sys.exit(1 if failed or surprises else 0)


if __name__ == "__main__":
    main()
