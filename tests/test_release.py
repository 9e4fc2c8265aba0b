"""The release script, run in temporary repositories."""

import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scripts.release import ReleaseError, main, release

TODAY = f"{datetime.now(UTC):%Y-%m-%d}"


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def write_package(root: Path, name: str, dependencies: list[str]) -> None:
    folder = root / "packages" / name
    sources = folder / "src" / name.replace("-", "_")
    sources.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\ndependencies = {dependencies}\n'.replace("'", '"')
    )
    (folder / "CHANGELOG.md").write_text(f"# Changelog of {name}\n\n## Unreleased\n\n- Something of {name}.\n")
    (sources / "_version.py").write_text('"""The version."""\n\n__version__ = "0.1.0"\n')


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clean repository with neo-tape, and neo-nn that needs it."""
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set where a git hook runs the tests
        monkeypatch.delenv(variable, raising=False)
    for variable in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(variable, "/dev/null")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.org")
    write_package(tmp_path, "neo-tape", [])
    write_package(tmp_path, "neo-nn", ["neo-tape>=0.1,<0.2"])
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path)
    return tmp_path


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Change")


def snapshot(root: Path) -> dict[str, bytes]:
    """Everything that a refused release must leave as it was: files, history, index and tags."""
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.glob("packages/**/*") if path.is_file()}
    state = ("rev-parse HEAD", "tag --list", "diff --cached --name-only", "status --porcelain")
    return files | {command: git(root, *command.split()).encode() for command in state}


def tape(root: Path, file: str) -> str:
    return (root / "packages/neo-tape" / file).read_text()


# --- What a release does ---


def test_release_bumps_commits_and_tags(repository: Path) -> None:
    before = git(repository, "rev-parse", "HEAD")
    assert release(repository, "neo-tape", "0.1.1") == "neo-tape-v0.1.1"
    assert tape(repository, "src/neo_tape/_version.py") == '"""The version."""\n\n__version__ = "0.1.1"\n'
    assert git(repository, "rev-parse", "neo-tape-v0.1.1^{commit}") == git(repository, "rev-parse", "HEAD")
    assert git(repository, "rev-parse", "HEAD~1") == before
    assert git(repository, "log", "-1", "--format=%s") == "neo-tape 0.1.1"
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "diff", "--name-only", "HEAD~1").split() == [
        "packages/neo-tape/CHANGELOG.md",
        "packages/neo-tape/src/neo_tape/_version.py",
    ]


def test_release_dates_the_changelog_and_opens_a_new_section(repository: Path) -> None:
    release(repository, "neo-tape", "0.1.1")
    assert tape(repository, "CHANGELOG.md") == (
        f"# Changelog of neo-tape\n\n## Unreleased\n\n## 0.1.1 - {TODAY}\n\n- Something of neo-tape.\n"
    )


def test_second_release_keeps_the_first_section(repository: Path) -> None:
    release(repository, "neo-tape", "0.1.1")
    changelog = repository / "packages/neo-tape/CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("## Unreleased\n", "## Unreleased\n\n- More.\n"))
    commit(repository)
    release(repository, "neo-tape", "0.1.2")
    assert changelog.read_text() == (
        f"# Changelog of neo-tape\n\n## Unreleased\n\n## 0.1.2 - {TODAY}\n\n- More.\n"
        f"\n## 0.1.1 - {TODAY}\n\n- Something of neo-tape.\n"
    )


def test_release_outside_a_siblings_range_widens_the_range(repository: Path) -> None:
    release(repository, "neo-tape", "0.2.0")
    nn = repository / "packages/neo-nn"
    assert '"neo-tape>=0.1,<0.3"' in (nn / "pyproject.toml").read_text()
    assert (nn / "CHANGELOG.md").read_text() == (
        "# Changelog of neo-nn\n\n## Unreleased\n\n- Something of neo-nn.\n- Accept neo-tape 0.2.0.\n"
    )
    assert '__version__ = "0.1.0"' in (nn / "src/neo_nn/_version.py").read_text()
    assert git(repository, "tag", "--list") == "neo-tape-v0.2.0"


def test_release_of_a_major_version_widens_to_the_next_major(repository: Path) -> None:
    release(repository, "neo-tape", "1.0.0")
    assert '"neo-tape>=0.1,<2"' in (repository / "packages/neo-nn/pyproject.toml").read_text()


def test_release_inside_a_siblings_range_leaves_the_sibling_alone(repository: Path) -> None:
    release(repository, "neo-tape", "0.1.1")
    assert '"neo-tape>=0.1,<0.2"' in (repository / "packages/neo-nn/pyproject.toml").read_text()


# --- What it refuses ---


def make_dirty(root: Path) -> None:
    (root / "packages/neo-nn/pyproject.toml").write_text("changed\n")


def add_untracked(root: Path) -> None:
    (root / "packages/notes.txt").write_text("new\n")


def empty_unreleased(root: Path) -> None:
    (root / "packages/neo-tape/CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2026-01-01\n\n- Old.\n"
    )
    commit(root)


def drop_unreleased(root: Path) -> None:
    (root / "packages/neo-tape/CHANGELOG.md").write_text("# Changelog\n\n## 0.1.0 - 2026-01-01\n\n- Old.\n")
    commit(root)


def take_tag(root: Path) -> None:
    git(root, "tag", "neo-tape-v0.2.0")


def refuse_commits(root: Path) -> None:
    hook = root / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no such commit here >&2\nexit 1\n")
    hook.chmod(0o755)


def nothing(root: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("prepare", "name", "version", "message"),
    [
        pytest.param(make_dirty, "neo-tape", "0.2.0", "working tree has changes", id="dirty tree"),
        pytest.param(add_untracked, "neo-tape", "0.2.0", "working tree has changes", id="untracked file"),
        pytest.param(
            nothing, "neo-tap", "0.2.0", "unknown package 'neo-tap'; choose one of neo-nn, neo-tape", id="package"
        ),
        pytest.param(nothing, "neo-tape", "0.1.0", "is at 0.1.0 already, got 0.1.0", id="same version"),
        pytest.param(nothing, "neo-tape", "0.0.9", "is at 0.1.0 already, got 0.0.9", id="lower version"),
        pytest.param(nothing, "neo-tape", "two", "'two' is not a version", id="no version"),
        pytest.param(nothing, "neo-tape", "v0.2.0", "not a release version in full", id="prefixed version"),
        pytest.param(nothing, "neo-tape", "0.2", "not a release version in full", id="short version"),
        pytest.param(nothing, "neo-tape", "0.2.0+local", "not a release version in full", id="local version"),
        pytest.param(empty_unreleased, "neo-tape", "0.2.0", "`## Unreleased` of .* is empty", id="empty changelog"),
        pytest.param(drop_unreleased, "neo-tape", "0.2.0", "has no section `## Unreleased`", id="no changelog section"),
        pytest.param(take_tag, "neo-tape", "0.2.0", "tag neo-tape-v0.2.0 exists already", id="tag taken"),
        pytest.param(
            refuse_commits, "neo-tape", "0.2.0", "no such commit here\nthe repository is back", id="failing hook"
        ),
    ],
)
def test_refused_release_changes_nothing(
    repository: Path, prepare: Callable[[Path], None], name: str, version: str, message: str
) -> None:
    prepare(repository)
    before = snapshot(repository)
    with pytest.raises(ReleaseError, match=message):
        release(repository, name, version)
    assert snapshot(repository) == before


def test_command_line_reports_a_refusal_and_fails(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scripts.release.ROOT", repository)
    monkeypatch.setattr("sys.argv", ["release", "neo-tape", "0.0.1"])
    with pytest.raises(SystemExit, match=re.escape("release refused: neo-tape is at 0.1.0 already, got 0.0.1")):
        main()
    monkeypatch.setattr("sys.argv", ["release", "neo-tape", "0.2.0"])
    main()
    assert "neo-tape-v0.2.0" in capsys.readouterr().out
