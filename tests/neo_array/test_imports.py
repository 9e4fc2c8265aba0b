"""Importing neo_array loads NumPy, optree and typing_extensions: vendor libraries come when they are first used."""

from __future__ import annotations

import pytest

from tests.neo_array.devices import needs_torch
from tests.neo_array.subprocesses import run_script

HEAVY = ("torch", "cupy", "jax", "scipy", "ml_dtypes", "hypothesis", "pytest", "matplotlib", "pandas", "neo_tape")
LOADED = f"import sys; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"

WORK = """
x = na.asarray([[1.0, 2.0], [3.0, 4.0]])
y = na.softmax(x @ x.T + na.random.normal(na.random.key(0), (2, 2)), axis=-1)
assert y[0].sum().item() > 0.99
assert repr(y)
na.tree.tree_map(lambda a: a * 2, {"a": y})
"""


@pytest.mark.parametrize("name", ["neo_array", "neo_array.random", "neo_array.tree", "neo_array.testing"])
def test_importing_loads_no_vendor_library(name: str) -> None:
    assert run_script(f"import {name}\n{LOADED}").split() == []


def test_working_on_numpy_loads_no_vendor_library() -> None:
    assert run_script(f"import neo_array as na\n{WORK}\n{LOADED}").split() == []


def test_foreign_objects_load_no_vendor_library() -> None:
    script = """
import neo_array as na
class Tensor:
    pass
Tensor.__module__ = "mytorch.tensor"
for thing in (Tensor(), "text", object()):
    for attempt in (lambda: na.asarray(thing), lambda: na.ones(2) + thing):
        try:
            attempt()
        except na.DTypeError:
            continue
        raise AssertionError
"""
    assert run_script(f"{script}\n{LOADED}").split() == []


@needs_torch
def test_torch_is_loaded_by_its_first_use_and_not_by_being_chosen() -> None:
    script = """
import neo_array as na
na.set_default_backend("torch")
with na.use_device("torch:cpu"):
    assert "torch" not in sys.modules
    assert str(na.zeros(2).device) == "torch:cpu"
"""
    assert run_script(f"import sys\n{script}\n{LOADED}").split() == ["torch"]


@needs_torch
def test_a_tensor_that_the_user_made_is_recognised() -> None:
    script = "import torch, neo_array as na\nassert str(na.asarray(torch.ones(2)).device) == 'torch:cpu'"
    run_script(script)


def test_without_torch_its_devices_say_what_to_install() -> None:
    script = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "cupy"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import importlib.util
original = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in ("torch", "cupy") else original(name, package)
import neo_array as na
assert [str(d) for d in na.devices()] == ["numpy"]
for device in ("torch:cpu", "cuda"):
    try:
        na.zeros(2, device=device)
    except na.DeviceError as error:
        print(error)
"""
    first, second = run_script(script).splitlines()
    assert "neo-array[torch]" in first
    assert "neo-array[torch]" in second


def test_importing_changes_nothing_of_the_host() -> None:
    script = """
import numpy as np
before = (np.get_printoptions(), np.geterr(), np.random.get_state()[1].tolist())
import neo_array as na
na.exp(na.asarray([1e9])), na.random.normal(na.random.key(0), (3,)), repr(na.zeros((50, 50)))
assert (np.get_printoptions(), np.geterr(), np.random.get_state()[1].tolist()) == before
"""
    run_script(script)
