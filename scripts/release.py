"""Release one package: `hatch run release neo-tape 0.2.0`.

Bumps the package's version file, dates the changelog's `## Unreleased` section and opens a new one, commits, and tags
`neo-tape-v0.2.0`. Siblings whose declared range would exclude the new version have it widened in the same commit, so
that the repository stays installable; their versions do not move. Nothing is pushed. A refusal changes nothing.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from scripts.workspace import ROOT, VERSION_LINE, Package, packages

UNRELEASED = re.compile(r"^## Unreleased[ \t]*\n(?P<body>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


class ReleaseError(Exception):
    """The release was refused, and nothing was changed."""


def release(root: Path, name: str, version: str) -> str:
    """Commit and tag version `version` of package `name` in the repository at `root`; return the tag.

    Raises:
        ReleaseError: if the tree is dirty, the package unknown, the version malformed or not greater than the present
            one, the changelog's Unreleased section missing or empty, the tag taken, or git fails.
    """
    members = {package.name: package for package in packages(root)}
    if name not in members:
        raise ReleaseError(f"unknown package {name!r}; choose one of {', '.join(members)}")
    package = members[name]
    new = _parse_version(version)
    if new <= Version(package.version):
        raise ReleaseError(f"{name} is at {package.version} already, got {version}; give a greater version")
    tag = f"{name}-v{version}"
    if dirty := _git(root, "status", "--porcelain"):
        raise ReleaseError(f"the working tree has changes; commit or remove them first:\n{dirty}")
    if _git(root, "tag", "--list", tag):
        raise ReleaseError(f"the tag {tag} exists already; give another version, or delete the tag if it is wrong")

    edits = {
        package.version_file: VERSION_LINE.sub(f'__version__ = "{version}"', _read(package.version_file)),
        package.changelog: _date_changelog(package, version),
        **_widen_siblings(members.values(), name, new),
    }
    head = _git(root, "rev-parse", "HEAD")
    try:
        for path, text in edits.items():
            path.write_text(text, encoding="utf-8")
        _git(root, "commit", "--quiet", "--all", "--message", f"{name} {version}")
        _git(root, "tag", "--annotate", tag, "--message", f"{name} {version}")
    except (OSError, ReleaseError) as error:
        _git(root, "reset", "--quiet", "--hard", head)  # The tree was clean: this is where it stood.
        raise ReleaseError(f"{error}\nthe repository is back at {head[:12]}") from error
    return tag


def _parse_version(text: str) -> Version:
    """Read a version in the canonical spelling, which the tag and the file name of the wheel will carry."""
    try:
        version = Version(text)
    except InvalidVersion:
        raise ReleaseError(f"{text!r} is not a version; write it as 0.2.0 or 0.2.0rc1") from None
    if str(version) != text or version.local or len(version.release) != 3:
        raise ReleaseError(f"{text!r} is not a release version in full; write it as 0.2.0 or 0.2.0rc1")
    return version


def _date_changelog(package: Package, version: str) -> str:
    """Return the changelog with its Unreleased section dated and a new one opened above it."""
    before, entries, after = _split_changelog(package.changelog)
    if not entries:
        raise ReleaseError(f"the section `## Unreleased` of {package.changelog} is empty; say there what changed")
    return f"{before}## Unreleased\n\n## {version} - {datetime.now(UTC):%Y-%m-%d}\n\n{entries}\n{after}"


def _widen_siblings(members: Iterable[Package], name: str, version: Version) -> dict[Path, str]:
    """Return new texts of the pyprojects and changelogs whose range for `name` excludes `version`."""
    edits = {}
    for package in members:
        for declared in package.dependencies:
            requirement = Requirement(declared)
            if requirement.name != name or requirement.specifier.contains(version, prereleases=True):
                continue
            widened = re.sub(r"<[\d.]+", f"<{_next_breaking(version)}", declared)
            edits[package.pyproject] = _read(package.pyproject).replace(f'"{declared}"', f'"{widened}"')
            before, entries, after = _split_changelog(package.changelog)
            entries = f"{entries}\n- Accept {name} {version}.".strip()
            edits[package.changelog] = f"{before}## Unreleased\n\n{entries}\n{after}"
    return edits


def _split_changelog(path: Path) -> tuple[str, str, str]:
    """Return what stands before the Unreleased section, its entries, and what stands after it."""
    text = _read(path)
    section = UNRELEASED.search(text)
    if section is None:
        raise ReleaseError(f"{path} has no section `## Unreleased`; add one that says what changed")
    after = text[section.end() :]
    return text[: section.start()], section["body"].strip(), f"\n{after}" if after else ""


def _next_breaking(version: Version) -> str:
    """Return the version that may next break its users: the next minor one before 1.0, then the next major."""
    return f"{version.major + 1}" if version.major else f"0.{version.minor + 1}"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ReleaseError("git is not installed; a release is a commit and a tag") from error
    if done.returncode != 0:
        raise ReleaseError(f"`git {' '.join(arguments)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def main() -> None:
    """Read the command line, release, and say what to do next."""
    parser = argparse.ArgumentParser(
        prog="hatch run release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("package", help="the distribution, such as neo-tape")
    parser.add_argument("version", help="the new version, such as 0.2.0")
    arguments = parser.parse_args()
    try:
        tag = release(ROOT, arguments.package, arguments.version)
    except ReleaseError as error:
        sys.exit(f"release refused: {error}")
    print(f"Committed and tagged {tag}. To publish: git push --follow-tags")


if __name__ == "__main__":
    main()
