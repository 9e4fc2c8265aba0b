"""The packages of this repository: where they live, what they are called, which version they have."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

VERSION_LINE = re.compile(r'^__version__ = "(?P<version>[^"]+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """One distribution: a folder with its own pyproject, changelog and sources."""

    folder: Path

    @property
    def name(self) -> str:
        """The distribution's name, `neo-tape`."""
        return self.folder.name

    @property
    def import_name(self) -> str:
        """The name to import, `neo_tape`."""
        return self.name.replace("-", "_")

    @property
    def sources(self) -> Path:
        """The folder of the import package."""
        return self.folder / "src" / self.import_name

    @property
    def pyproject(self) -> Path:
        """The package's own pyproject.toml."""
        return self.folder / "pyproject.toml"

    @property
    def changelog(self) -> Path:
        """The package's own CHANGELOG.md."""
        return self.folder / "CHANGELOG.md"

    @property
    def version_file(self) -> Path:
        """The one file that states the version."""
        return self.sources / "_version.py"

    @property
    def version(self) -> str:
        """The version that the version file states."""
        found = VERSION_LINE.search(self.version_file.read_text(encoding="utf-8"))
        if found is None:
            raise ValueError(f'{self.version_file}: found no line of the form __version__ = "1.2.3"; write one')
        return found["version"]

    @property
    def dependencies(self) -> list[str]:
        """The run-time requirements, as the pyproject spells them."""
        with self.pyproject.open("rb") as file:
            requirements: list[str] = tomllib.load(file)["project"]["dependencies"]
        return requirements


def packages(root: Path = ROOT) -> list[Package]:
    """List the packages below `root`, in the order of their names."""
    return [Package(path.parent) for path in sorted((root / "packages").glob("*/pyproject.toml"))]


def build(members: Iterable[Package], outdir: Path, *, sdist: bool = False) -> list[Path]:
    """Build wheels into the new or empty folder `outdir`, and return the paths of what was made.

    With `sdist=True` each wheel is made from a source distribution, which is kept. The build backend comes from the
    running environment, so nothing is downloaded.
    """
    flags = [] if sdist else ["--wheel"]
    for package in members:
        _run(sys.executable, "-m", "build", "--no-isolation", *flags, "--outdir", outdir, package.folder)
    return sorted(path for path in outdir.iterdir() if path.suffix in {".whl", ".gz"})


def fresh_venv(folder: Path, *requirements: str | Path) -> Path:
    """Make a virtual environment in `folder`, install `requirements` with pip, and return its interpreter."""
    _run(sys.executable, "-m", "venv", folder)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    _run(python, "-m", "pip", "install", "--quiet", *requirements)
    return python


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
