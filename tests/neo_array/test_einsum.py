"""einsum against NumPy's own, which neither multiplies matrices nor reorders unless it is asked to."""

from __future__ import annotations

import itertools
import re
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device, needs_torch

# subscripts, and the operands' shapes
EQUATIONS: Final[list[tuple[str, tuple[tuple[int, ...], ...]]]] = [
    # one operand
    ("i->i", ((3,),)),
    ("ij", ((3, 5),)),
    ("ij->ji", ((3, 5),)),
    ("ij->", ((3, 5),)),
    ("ij->j", ((3, 5),)),
    ("ba", ((3, 5),)),  # implicit: in alphabetical order, transposed
    ("ii", ((3, 3),)),
    ("ii->i", ((3, 3),)),
    ("iji->j", ((3, 5, 3),)),
    ("iji->ij", ((3, 5, 3),)),
    ("iii->i", ((3, 3, 3),)),
    ("ijij->ij", ((2, 3, 2, 3),)),
    ("iijj", ((2, 2, 3, 3),)),
    ("aAb->bA", ((2, 3, 5),)),
    ("bAa", ((2, 3, 5),)),  # capitals come first
    ("...", ((2, 3),)),
    ("...i->...", ((2, 3, 5),)),
    ("i...->...i", ((2, 3, 5),)),
    ("...ii->...i", ((2, 3, 3),)),
    ("ij->...ji", ((2, 3),)),
    ("", ((),)),
    ("->", ((),)),
    ("i->", ((0,),)),
    ("ii->i", ((0, 0),)),
    ("ii->i", ((1, 1),)),
    # two operands: products of matrices, in all their forms
    ("ij,jk", ((3, 5), (5, 2))),
    ("ij,jk->ki", ((3, 5), (5, 2))),
    ("ji,jk->ik", ((5, 3), (5, 2))),
    ("ij,kj->ik", ((3, 5), (2, 5))),
    ("bij,bjk->bik", ((7, 3, 5), (7, 5, 2))),
    ("ibj,jbk->kib", ((3, 7, 5), (5, 7, 2))),
    ("...ij,...jk->...ik", ((7, 1, 3, 5), (4, 5, 2))),
    ("...ij,jk", ((7, 3, 5), (5, 2))),
    ("ijk,jkl->il", ((2, 3, 5), (3, 5, 4))),
    ("ijk,kjl->li", ((2, 3, 5), (5, 3, 4))),
    # two operands: others
    ("i,i", ((3,), (3,))),
    ("i,j", ((3,), (5,))),
    ("i,i->i", ((3,), (3,))),
    ("bi,bi->b", ((2, 3), (2, 3))),
    ("ibj,jib->b", ((2, 3, 5), (5, 2, 3))),
    ("ij,ij->ji", ((2, 3), (2, 3))),
    ("ij,j->ij", ((2, 3), (3,))),
    ("ij,kl->", ((2, 3), (5, 7))),
    ("ij,k->i", ((2, 3), (5,))),
    ("ii,i->i", ((3, 3), (3,))),
    ("ii,jj->ij", ((3, 3), (2, 2))),
    ("i,->i", ((3,), ())),
    (",", ((), ())),
    ("ij,ji", ((3, 0), (0, 3))),
    ("ij,jk", ((0, 3), (3, 2))),
    # sizes of 1 are stretched
    ("ij,jk", ((3, 1), (4, 5))),
    ("ij,ij->ij", ((3, 1), (1, 5))),
    ("ij,ij->", ((1, 4), (3, 4))),
    ("i,i->i", ((1,), (1,))),
    ("ij,j->i", ((3, 4), (1,))),
    # three and more
    ("ij,jk,kl", ((2, 3), (3, 5), (5, 7))),
    ("ij,jk,kl->", ((2, 3), (3, 5), (5, 7))),
    ("i,i,i->i", ((3,), (3,), (3,))),
    ("i,j,k->kji", ((2,), (3,), (5,))),
    ("bi,bj,ijk->bk", ((2, 3), (2, 5), (3, 5, 7))),
    ("ij,ik,il->jkl", ((2, 3), (2, 5), (2, 7))),
    ("ab,ab,c", ((2, 3), (2, 3), (5,))),
    ("...a,ab,...b->...", ((4, 3), (3, 5), (2, 1, 5))),
    ("i,ij,ij,k->k", ((2,), (2, 3), (1, 3), (5,))),
    ("ab,bc,cd,de,ea", ((2, 3), (3, 2), (2, 5), (5, 3), (3, 2))),
    ("ea,fb,abcd,gc,hd->efgh", ((2, 3), (2, 3), (3, 3, 3, 3), (2, 3), (2, 3))),
    ("a,b,c,d,e,f->abcdef", ((2,), (1,), (3,), (2,), (1,), (2,))),
]
equations = pytest.mark.parametrize(
    ("subscripts", "shapes"), EQUATIONS, ids=[f"{s}{shapes}" for s, shapes in EQUATIONS]
)


def drawn(shapes: tuple[tuple[int, ...], ...], kind: str = "f8") -> list[Any]:
    rng = np.random.default_rng(0)
    if kind[0] in "iu":
        return [rng.integers(0, 5, size=shape).astype(kind) for shape in shapes]
    return [(rng.normal(size=s) + (1j * rng.normal(size=s) if kind[0] == "c" else 0)).astype(kind) for s in shapes]


def arrays(values: list[Any], device: str = "numpy") -> tuple[Array, ...]:
    return tuple(na.asarray(v, device=device) for v in values)


# --- Values ---
@every_device
@pytest.mark.parametrize("kind", ["f4", "f8", "c8", "c16", "i4", "i8", "u1"])
@equations
def test_value_and_dtype_are_numpys(subscripts: str, shapes: Any, kind: str, device: str) -> None:
    values = drawn(shapes, kind)
    out = na.einsum(subscripts, *arrays(values, device))
    expected = np.asarray(np.einsum(subscripts, *values))
    assert (out.shape, out.dtype, str(out.device)) == (expected.shape, expected.dtype, device)
    rtol = {"f4": 1e-4, "c8": 1e-4}.get(kind, 1e-12 if kind[0] in "fc" else 0)
    np.testing.assert_allclose(out.numpy(), expected, rtol=rtol, atol=rtol)


@every_device
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("subscripts", ["ij,jk->ik", "ij,ij->i", "ij,jk,kl->il", "ij,kj->"])
def test_half_precision(subscripts: str, dtype: str, device: str) -> None:
    operands = [na.asarray(v, device=device).astype(dtype) for v in drawn(((5, 5),) * (subscripts.count(",") + 1))]
    out = na.einsum(subscripts, *operands)
    expected = np.einsum(subscripts, *(x.astype(na.float64).numpy() for x in operands))
    assert out.dtype == operands[0].dtype
    scale = np.abs(expected).max()
    allowed = scale * (2e-3 if dtype == "float16" else 2e-2)
    np.testing.assert_allclose(out.astype(na.float64).numpy(), expected, atol=allowed, rtol=0)


@every_device
def test_sums_in_half_precision_go_through_single_precision(device: str) -> None:
    x = na.full((4000,), 16.0, dtype=na.float16, device=device)
    assert na.einsum("i->", x).item() == 64000.0
    assert na.einsum("i,i->", x, na.full((4000,), 0.25, dtype=na.float16, device=device)).item() == 16000.0


@every_device
@pytest.mark.parametrize("subscripts", ["ij,jk->ik", "ij->j", "ii->i", "ij->ji", "ij,ij->"])
def test_booleans_are_joined_by_and_and_or(subscripts: str, device: str) -> None:
    values = [v > 0 for v in drawn(((3, 3),) * (subscripts.count(",") + 1))]
    out = na.einsum(subscripts, *arrays(values, device))
    assert out.dtype == na.bool
    np.testing.assert_array_equal(out.numpy(), np.einsum(subscripts, *values))


@every_device
def test_operands_are_promoted_together(device: str) -> None:
    whole = na.asarray([[1, 2], [3, 4]], device=device)
    half = na.asarray([0.5, 0.25], device=device)
    out = na.einsum("ij,ij,j->i", whole, whole, half)
    assert out.dtype == na.float32
    assert out.numpy().tolist() == [1.5, 8.5]
    assert na.einsum("i,i->i", half, na.ones(2, dtype=na.complex64, device=device)).dtype == na.complex64


@every_device
def test_python_numbers_are_weak_operands(device: str) -> None:
    x = na.asarray([1.0, 2.0], device=device)
    assert na.einsum(",i->i", 2.0, x).dtype == na.float32
    assert na.einsum("i,->", x, np.float64(2.0)).item() == 6.0
    assert na.einsum(",", 2, 3).item() == 6
    assert na.einsum(",", 2, 3).dtype == na.int64


@every_device
def test_memory_that_is_not_contiguous(device: str) -> None:
    x, y = drawn(((5, 4, 6), (6, 4, 3)))
    a, b = na.asarray(x, device=device)[::-1, ::2], na.asarray(y, device=device)[:, 2::-2, :]
    np.testing.assert_allclose(
        na.einsum("ijk,kjl->li", a, b).numpy(), np.einsum("ijk,kjl->li", x[::-1, ::2], y[:, 2::-2, :]), rtol=1e-13
    )


def test_nan_and_inf_warn_of_nothing() -> None:
    x = na.asarray([[np.inf, np.nan], [1.0, -np.inf]])
    with np.errstate(all="ignore"):
        expected = np.einsum("ij,jk->ik", x.numpy(), x.numpy())
    np.testing.assert_array_equal(na.einsum("ij,jk->ik", x, x).numpy(), expected)


def test_long_chains_are_contracted_in_a_good_order() -> None:
    """From left to right this would hold 10**9 elements; two at a time in the best order, 10**4."""
    n = 10
    letters = "abcdefghijkl"
    terms = [a + b for a, b in itertools.pairwise(letters)]
    operands = [na.asarray(v) for v in drawn(((n, n),) * len(terms))]
    rng = np.random.default_rng(1)
    order = rng.permutation(len(terms))
    out = na.einsum(",".join(terms[i] for i in order) + "->al", *(operands[i] for i in order))
    expected = np.linalg.multi_dot([x.numpy() for x in operands])
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_more_axes_than_letters() -> None:
    x = np.arange(2.0).reshape((1,) * 30 + (2,))
    y = np.arange(2.0).reshape((2,) + (1,) * 30)
    out = na.einsum("...a,b...,...c->...", na.asarray(x[..., None]), na.asarray(y), na.asarray(x))
    assert out.shape == (1,) * 30 + (2,)
    np.testing.assert_array_equal(out.numpy(), x * y.sum())


# --- Derivatives and batches ---
@every_device
@equations
def test_derivatives_agree_with_differences(subscripts: str, shapes: Any, device: str) -> None:
    nt.check_grads(lambda *xs: na.einsum(subscripts, *xs), arrays(drawn(shapes), device), order=2)


@pytest.mark.parametrize("subscripts", ["ij,jk->ik", "ii,ij->j", "ij,ij->", "ij,jk,ki->"])
def test_derivatives_of_complex_operands(subscripts: str) -> None:
    operands = arrays(drawn(((3, 3),) * (subscripts.count(",") + 1), "c16"))
    nt.check_grads(lambda *xs: na.reshape(na.einsum(subscripts, *xs), -1), operands, order=2)


@equations
def test_a_batch_is_a_loop(subscripts: str, shapes: Any) -> None:
    if len(shapes) > 3:
        return
    size = 3
    for which in range(1, 2 ** len(shapes)):
        axes = tuple(((-1) ** i if len(s) else 0) * (i > 0) if which >> i & 1 else None for i, s in enumerate(shapes))
        batched = [
            s if axis is None else np.insert(np.array(s, int), len(s) if axis == -1 else axis, size).tolist()
            for s, axis in zip(shapes, axes, strict=True)
        ]
        values = drawn(tuple(tuple(s) for s in batched))
        out = nt.vmap(lambda *xs: na.einsum(subscripts, *xs), in_axes=axes)(*arrays(values))
        for k in range(size):
            one = [v if axis is None else np.take(v, k, axis) for v, axis in zip(values, axes, strict=True)]
            np.testing.assert_allclose(out.numpy()[k], np.einsum(subscripts, *one), rtol=1e-11, atol=1e-13)


def test_gradient_of_a_stretched_operand_has_its_own_shape() -> None:
    x, y = na.ones((3, 1)), na.ones((4, 5))
    gx, gy = nt.grad(lambda x, y: na.einsum("ij,jk->ik", x, y).sum(), (0, 1))(x, y)
    assert gx.numpy().tolist() == [[20.0]] * 3
    assert gy.numpy().tolist() == [[3.0] * 5] * 4


def test_gradient_of_a_repeated_operand() -> None:
    x = na.asarray([1.0, 2.0])
    assert nt.grad(lambda x: na.einsum("i,i,i->", x, x, x))(x).numpy().tolist() == [3.0, 12.0]


def test_only_a_real_gradient_for_a_real_operand() -> None:
    x = na.asarray([1.0, 2.0])
    z = na.asarray(np.array([1 + 2j, 3 - 1j], np.complex64))
    _, pullback = nt.vjp(lambda x: na.einsum("i,i->", x, z), x)
    (g,) = pullback(na.asarray(np.complex64(1j)))
    assert g.dtype == na.float32
    assert g.numpy().tolist() == [-2.0, 1.0]  # the real part of 1j * z


# --- Errors ---
A, B = na.ones((3, 4)), na.ones((5, 4))


@pytest.mark.parametrize(
    ("subscripts", "operands", "words"),
    [
        ("ij,jk->iz", (A, na.ones((4, 5))), ("'z'", "in the output", "no operand")),
        ("ij,jk", (A, B), ("letter 'j'", "size 4 in operand 0", "5 in operand 1", "(3, 4)", "(5, 4)")),
        ("i,i,i->i", (na.ones(1), na.ones(3), na.ones(2)), ("'i'", "size 3 in operand 1", "2 in operand 2")),
        ("ii", (A,), ("letter 'i'", "twice in operand 0", "3", "4", "diagonal")),
        ("ii", (na.ones((1, 4)),), ("letter 'i'", "twice in operand 0")),
        ("i,ii->i", (na.ones(3), na.ones((1, 3))), ("letter 'i'", "twice in operand 1")),
        ("...i,...i->...", (A, B), ("an axis of `...`", "size 3", "5")),
        ("ij,jk", (A,), ("for 2 operands", "got 1")),
        ("ij", (A, B), ("for 1 operands", "got 2")),
        ("ij", (), ("for 1 operands", "got 0")),
        ("ijk", (A,), ("3 letters", "operand 0", "(3, 4)")),
        ("i", (A,), ("1 letters", "(3, 4)", "`...`")),
        ("ijk...", (A,), ("3 letters", "(3, 4)")),
        ("ij->ii", (A,), ("'i'", "twice in the output")),
        ("...j->j", (A,), ("no `...` in the output",)),
        ("i.j", (A,), ("'.'", "out of place")),
        ("......", (A,), ("'.'", "out of place")),
        ("ij->i->j", (A,), ("'-'", "out of place")),
        ("i1->i", (A,), ("'1'", "out of place")),
        ("ij;->i", (A,), ("';'", "out of place")),
        ("é->", (na.ones(1),), ("'é'", "out of place")),
        ("i->i,i", (na.ones(1),), ("','", "out of place")),
    ],
)
def test_subscripts_that_do_not_fit(subscripts: str, operands: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(na.ShapeError, match=".*".join(map(re.escape, ("einsum", *words)))):
        na.einsum(subscripts, *operands)


def test_what_is_no_array_or_no_subscripts() -> None:
    with pytest.raises(na.DTypeError, match=r"einsum: subscripts must be a str, got Array"):
        na.einsum(A, "ij->i")  # type: ignore[arg-type]
    with pytest.raises(na.DTypeError, match=r"einsum: needs an Array, got list; wrap it in na.asarray"):
        na.einsum("i->", [1.0, 2.0])  # type: ignore[arg-type]


@needs_torch
def test_operands_on_two_devices() -> None:
    with pytest.raises(na.DeviceError, match=r"einsum: operand 1 lives on torch:cpu, another on numpy"):
        na.einsum("ij,kj->ik", A, B.to("torch:cpu"))
