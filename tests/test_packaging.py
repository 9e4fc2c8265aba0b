"""What every package's metadata must say."""

import ast
import re
import sys
import tomllib
from importlib import import_module
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from scripts.workspace import ROOT, VERSION_LINE, Package, packages

PACKAGES = {package.name: package for package in packages()}

# Packages that a package may import, by its place in the stack.
ALLOWED = {
    "neo-array": set[str](),
    "neo-tape": {"neo-array"},
    "neo-nn": {"neo-array"},
    "neo-optim": {"neo-array"},
    "neo-bench": {"neo-array", "neo-tape", "neo-nn", "neo-optim"},
}

# Distributions whose import name is another.
IMPORT_NAMES = {"cupy-cuda12x": "cupy", "scikit-learn": "sklearn"}
COMPANIONS = {"cupyx": "cupy"}  # what else comes in a distribution

every_package = pytest.mark.parametrize("package", PACKAGES.values(), ids=PACKAGES)


def metadata(package: Package) -> dict[str, Any]:
    return tomllib.loads(package.pyproject.read_text(encoding="utf-8"))


def import_names(requirements: list[str]) -> set[str]:
    names = [Requirement(requirement).name for requirement in requirements]
    return {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names}


def test_the_five_packages_are_here() -> None:
    assert PACKAGES.keys() == ALLOWED.keys()


@every_package
def test_version_stands_in_one_place(package: Package) -> None:
    project = metadata(package)
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == package.version_file.relative_to(package.folder).as_posix()
    holders = [path for path in package.sources.rglob("*.py") if VERSION_LINE.search(path.read_text(encoding="utf-8"))]
    assert holders == [package.version_file]
    assert import_module(package.import_name).__version__ == package.version


@every_package
def test_name_follows_the_folder(package: Package) -> None:
    project = metadata(package)
    assert project["project"]["name"] == package.name
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [f"src/{package.import_name}"]


@every_package
def test_shared_metadata_agrees(package: Package) -> None:
    project, first = metadata(package), metadata(PACKAGES["neo-array"])
    assert project["build-system"] == first["build-system"]
    for field in ("requires-python", "license", "license-files", "authors", "classifiers", "readme"):
        assert project["project"][field] == first["project"][field], field


@every_package
def test_licence_is_the_repositorys(package: Package) -> None:
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert licence.startswith("MIT License\n\nCopyright (c)")
    assert (package.folder / "LICENSE").read_text(encoding="utf-8") == licence


@every_package
def test_package_is_typed(package: Package) -> None:
    assert (package.sources / "py.typed").is_file()
    assert "Typing :: Typed" in metadata(package)["project"]["classifiers"]


@every_package
def test_changelog_has_an_unreleased_section(package: Package) -> None:
    text = package.changelog.read_text(encoding="utf-8")
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert sections[0] == "Unreleased"
    for section in sections[1:]:
        assert re.fullmatch(r"\d+\.\d+\.\d+\S* - \d{4}-\d\d-\d\d", section), section
    released = [Version(section.split()[0]) for section in sections[1:]]
    assert released == sorted(released, reverse=True)
    assert all(version <= Version(package.version) for version in released)


@every_package
def test_sibling_ranges_accept_the_siblings_as_they_are(package: Package) -> None:
    requirements = [Requirement(declared) for declared in package.dependencies]
    siblings = {requirement.name: requirement.specifier for requirement in requirements if requirement.name in PACKAGES}
    assert siblings.keys() == ALLOWED[package.name]
    for name, specifier in siblings.items():
        assert {part.operator for part in specifier} == {">=", "<"}, f"{name}: a range has two ends, got {specifier}"
        assert specifier.contains(PACKAGES[name].version, prereleases=True)


@every_package
def test_every_third_party_import_is_declared(package: Package) -> None:
    extras = metadata(package)["project"].get("optional-dependencies", {})
    declared = import_names([*package.dependencies, *(entry for extra in extras.values() for entry in extra)])
    imported = set[str]()
    for path in package.sources.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    others = imported - sys.stdlib_module_names - {package.import_name}
    third_party = {COMPANIONS.get(name, name) for name in others}
    assert third_party <= declared
    assert import_names(package.dependencies) <= third_party, "a declared dependency is never imported"
