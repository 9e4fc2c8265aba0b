"""Replace a file all at once: a reader, or a crash at any moment, finds the old contents or the new, never a part."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success move it there, durably, and delete it otherwise.

    Links are followed. The file has the permissions of the one that it replaces, or those of any new file.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"cannot write {os.fspath(path)}: the folder {target.parent} does not exist; create it first"
        )
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        temporary.touch(exist_ok=False)
        mode = (target if target.exists() else temporary).stat().st_mode  # what is written there may bring its own
        yield temporary
        _sync(temporary, os.O_RDWR)
        temporary.chmod(stat.S_IMODE(mode))
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    if hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder, and makes renames durable itself
        _sync(target.parent, os.O_RDONLY)


def _sync(path: Path, access: int) -> None:
    """Wait until the disk has a file's contents, or a folder's entries."""
    descriptor = os.open(path, access)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
