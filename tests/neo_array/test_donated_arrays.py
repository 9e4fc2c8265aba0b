"""The array that was given away: every use of it raises, and names the donation."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device
from tests.neo_array.donations import fresh, ones, step

USES: dict[str, Callable[[Array], object]] = {
    "x + 1": lambda x: x + 1,
    "1 - x": lambda x: 1 - x,
    "y * x": lambda x: na.ones((2, 2)) * x,
    "x == 1": lambda x: x == 1,
    "x @ x": lambda x: x @ x,
    "x[0]": lambda x: x[0],
    "x.at": lambda x: x.at[0].set(1.0),
    "x.shape": lambda x: x.shape,
    "x.dtype": lambda x: x.dtype,
    "x.device": lambda x: x.device,
    "x.ndim": lambda x: x.ndim,
    "x.size": lambda x: x.size,
    "x.T": lambda x: x.T,
    "x.raw": lambda x: x.raw,
    "x.numpy()": lambda x: x.numpy(),
    "x.item()": lambda x: x.item(),
    "np.asarray": np.asarray,
    "DLPack": lambda x: x.__dlpack__(),
    "DLPack device": lambda x: x.__dlpack_device__(),
    "len": len,
    "iter": list,
    "bool": bool,
    "float": float,
    "x.sum()": lambda x: x.sum(),
    "exp": na.exp,
    "concat": lambda x: na.concat([x, x]),
    "asarray": na.asarray,
    "asarray, list": lambda x: na.asarray([x, 1.0]),
    "x.to": lambda x: x.to("numpy"),
    "x.astype": lambda x: x.astype("float32"),
    "grad": nt.grad(lambda a: a.sum()),
    "pickle": lambda x: x.__reduce__(),
    "donate": lambda x: step(x, na.ones((2, 2), dtype=na.float64)),
}


def given_away(device: str) -> tuple[Array, str]:
    """Return an array that was donated, and the place: the line outside neo's packages that says so."""
    x = fresh(device)
    step(x, ones(device))
    return x, f"{step.__code__.co_filename}:{step.__code__.co_firstlineno + 4}"


@every_device
@pytest.mark.parametrize("use", USES)
def test_using_it_raises_and_names_the_donation(use: str, device: str) -> None:
    x, place = given_away(device)
    with pytest.raises(na.DonatedError, match=re.escape(f"donated to step at {place};")):
        USES[use](x)


@every_device
def test_it_can_still_be_shown_and_hashed(device: str) -> None:
    x, place = given_away(device)
    assert repr(x) == f"Array(donated to step at {place})"
    assert {x: 1}[x] == 1


def test_a_donation_names_the_users_line_even_at_the_top_of_a_script() -> None:
    from tests.neo_array.subprocesses import run_script

    script = """
import neo_array as na
x = na.ones(3)
na.donate(na.add_scaled, na.Donated("step"), x, na.ones(3), scale=1.0)
try: x + 1
except na.DonatedError as error: print(error)
"""
    assert "donated to step at <string>:4" in run_script(script)
