"""Fetch one file from the first mirror that serves it, and keep it only once it has been verified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from neo_bench.atomic import replacing
from neo_bench.errors import DatasetError


def cache_folder() -> Path:
    """Return the folder for downloads: the user's cache folder on this system."""
    import pooch

    return Path(pooch.os_cache("neo-bench"))


def download(urls: tuple[str, ...], target: Path, /, *, verify: Callable[[Path, str], object]) -> None:
    """Write `target` from the first of `urls` that serves a good file.

    `verify(file, url)` sees a file before it is in place and raises DatasetError if it is bad. When no mirror works, a
    DatasetError has the reason of each.
    """
    import pooch

    failures: list[str] = []
    fetch = pooch.HTTPDownloader(timeout=30)
    for url in urls:
        try:
            with replacing(target) as temporary:
                fetch(url, str(temporary), None)
                verify(temporary, url)
        except (OSError, DatasetError) as error:  # requests' errors are OSErrors
            failures.append(str(error) if url in str(error) else f"{url}: {error}")
        else:
            return
    reasons = "\n  ".join(failures)
    raise DatasetError(
        f"{target.name}: no mirror gave a good file, expected one of {len(urls)} to work, got\n  {reasons}\n"
        "check the network, or put the files into a folder `mnist` and set NEO_DATA_DIR to the folder above it"
    )
