"""Annotations of jaxtyping, checked by beartype in a call: sizes have names, and the same name is the same size."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device

jaxtyping: Any = pytest.importorskip("jaxtyping", reason="jaxtyping is not installed")
beartype: Any = pytest.importorskip("beartype", reason="beartype is not installed")
Float: Any = jaxtyping.Float
checked: Any = jaxtyping.jaxtyped(typechecker=beartype.beartype)


@checked  # type: ignore[untyped-decorator]
def project(x: Float[Array, "b n"], w: Float[Array, "n m"]) -> Float[Array, "b m"]:  # noqa: F722  (names of sizes)
    return x @ w


@checked  # type: ignore[untyped-decorator]
def squash(x: Float[Array, "b n"]) -> Float[Array, "b 1"]:  # noqa: F722
    return x[:, 0]


@every_device
def test_arguments_that_fit_pass_also_under_transforms(device: str) -> None:
    x, w = na.ones((2, 3), device=device), na.ones((3, 5), device=device)
    assert project(x, w).shape == (2, 5)
    assert nt.grad(lambda a: project(a, w).sum())(x).shape == x.shape
    assert nt.vmap(lambda a: project(a, w))(na.ones((7, 2, 3), device=device)).shape == (7, 2, 5)


@every_device
def test_sizes_dtypes_and_types_that_do_not_fit_are_refused(device: str) -> None:
    x, w = na.ones((2, 3), device=device), na.ones((3, 5), device=device)
    for wrong in ((x, x), (x.astype(na.int64), w), (x[0], w), (np.ones((2, 3), np.float32), w)):
        with pytest.raises(jaxtyping.TypeCheckError):
            project(*wrong)
    with pytest.raises(jaxtyping.TypeCheckError):
        squash(x)


@every_device
def test_every_dtype_is_known(device: str) -> None:
    kinds = {"bool": "Bool", "float16": "Float16", "float32": "Float32", "int8": "Int8", "complex64": "Complex64"}
    kinds |= {"bfloat16": "BFloat16"} if find_spec("ml_dtypes") else {}
    for dtype, kind in kinds.items():
        x = na.ones(2, dtype=dtype, device=device)
        for other in kinds.values():
            assert isinstance(x, getattr(jaxtyping, other)[Array, "n"]) is (other == kind)
