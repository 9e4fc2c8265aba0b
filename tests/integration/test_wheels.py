"""What a user gets who installs wheels, and what importing them loads."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts.workspace import Package, build, fresh_venv, packages

CUSTOM_GRADIENT = '''
import math

import neo_array as na
import neo_tape as nt
from neo_array import Array


@nt.function
class ClippedExp(nt.Policy):
    """exp, whose gradient is never larger than 2."""

    def forward(self, x: Array) -> Array:
        y = na.exp(x)
        self.ctx.save(y)
        return y

    def backward(self, grad: Array) -> tuple[Array]:
        (y,) = self.ctx.release
        return (grad * na.minimum(y, 2.0),)


value, gradient = nt.value_and_grad(lambda x: ClippedExp(x).sum())(na.asarray([0.0, 3.0]))
assert math.isclose(value.item(), 1 + math.exp(3), rel_tol=1e-6), value
assert gradient.numpy().tolist() == [1.0, 2.0], gradient
'''

THIRD_PARTY_AFTER_IMPORT = """
import sys

before = set(sys.modules)
import neo_array

loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - sys.stdlib_module_names))
"""


def run_python(python: str | Path, *arguments: str) -> str:
    done = subprocess.run([python, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of all packages, by distribution name."""
    paths = build(packages(), tmp_path_factory.mktemp("wheels"))
    return {path.name.partition("-")[0].replace("_", "-"): path for path in paths}


@pytest.fixture(scope="module")
def tape_python(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new virtual environment that holds neo-tape's wheel and neo-array's."""
    return fresh_venv(tmp_path_factory.mktemp("tape") / "venv", wheels["neo-tape"], wheels["neo-array"])


@pytest.mark.parametrize("package", packages(), ids=lambda package: package.name)
def test_wheel_ships_every_source_its_types_and_its_licence(package: Package, wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels[package.name]) as wheel:
        names = set(wheel.namelist())
    for path in package.sources.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            assert path.relative_to(package.sources.parent).as_posix() in names
    information = f"{package.import_name}-{package.version}.dist-info"
    assert {f"{package.import_name}/py.typed", f"{information}/licenses/LICENSE"} <= names
    assert {name.partition("/")[0] for name in names} == {package.import_name, information}


def test_custom_gradient_runs_where_only_neo_tape_is_installed(tape_python: Path) -> None:
    run_python(tape_python, "-W", "error", "-c", CUSTOM_GRADIENT)


def test_neo_tape_installs_no_vendor_library(tape_python: Path) -> None:
    listing = json.loads(run_python(tape_python, "-m", "pip", "list", "--format=json"))
    names = {entry["name"].lower().replace("-", "_") for entry in listing}
    assert names - {"pip", "setuptools"} == {"neo_array", "neo_tape", "numpy", "optree", "scipy", "typing_extensions"}


def test_importing_neo_array_loads_no_vendor_library() -> None:
    third_party = run_python(sys.executable, "-c", THIRD_PARTY_AFTER_IMPORT).split()
    assert set(third_party) <= {"neo_array", "numpy", "optree", "typing_extensions"}
