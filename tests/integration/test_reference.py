"""The table of operations is what the registry says."""

from __future__ import annotations

import warnings

from scripts import reference


def test_the_page_of_operations_is_up_to_date() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # casts to small dtypes overflow
        page = reference.page()
    assert page == reference.PAGE.read_text(encoding="utf-8"), "run `hatch run reference`"
