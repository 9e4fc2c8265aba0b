"""Other libraries that take an Array as it is: through the array API standard, DLPack, or its shape and dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device, needs_torch
from tests.neo_array.subprocesses import run_script

NAMES = ["bool", "int8", "int32", "uint8", "uint16", "uint32", "float16", "float32", "complex64"]


def counted(*shape: int, device: str) -> Array:
    return na.asarray(np.arange(np.prod(shape), dtype=np.float64).reshape(shape), device=device)


# --- einops ---
@every_device
def test_einops_rearranges_reduces_and_repeats_through_the_array_api(device: str) -> None:
    einops: Any = pytest.importorskip("einops.array_api", reason="einops is not installed")
    x = counted(2, 3, 4, device=device)
    values = x.numpy()
    for found, expected in (
        (einops.rearrange(x, "a b (c d) -> (a c) b d", d=2).shape, (4, 3, 2)),
        (einops.rearrange([x, x], "n a b c -> a (n b) c").shape, (2, 6, 4)),
        (einops.repeat(x, "a b c -> a b (c 2)").shape, (2, 3, 8)),
    ):
        assert found == expected
    np.testing.assert_array_equal(einops.rearrange(x, "a b c -> c (a b)").numpy(), values.reshape(6, 4).T)
    for name in ("sum", "mean", "max", "min", "prod"):
        found = einops.reduce(x, "a b c -> b", name)
        assert (type(found), str(found.device)) == (Array, device)
        np.testing.assert_allclose(found.numpy(), getattr(values, name)(axis=(0, 2)))
    packed, shapes = einops.pack([x[0], x[0, 0]], "* c")
    assert packed.shape == (4, 4)
    np.testing.assert_array_equal(einops.unpack(packed, shapes, "* c")[1].numpy(), values[0, 0])
    np.testing.assert_array_equal(einops.asnumpy(x), values)


@every_device
def test_einops_is_differentiated_and_batched_through(device: str) -> None:
    einops: Any = pytest.importorskip("einops.array_api", reason="einops is not installed")
    x = counted(2, 3, 4, device=device)
    gradient = nt.grad(lambda a: einops.reduce(a * a, "a b c -> b", "sum")[1])(x)
    np.testing.assert_array_equal(gradient.numpy(), 2 * x.numpy() * np.array([0, 1, 0])[:, None])
    batched = nt.vmap(lambda a: einops.rearrange(a, "b c -> c b"))(x)
    np.testing.assert_array_equal(batched.numpy(), x.numpy().mT)


@every_device
def test_einops_without_the_array_api_knows_its_own_list_of_libraries_alone(device: str) -> None:
    einops: Any = pytest.importorskip("einops", reason="einops is not installed")
    with pytest.raises(RuntimeError, match="Tensor type unknown to einops"):
        einops.rearrange(na.ones((2, 3), device=device), "a b -> b a")


# --- JAX ---
@every_device
@pytest.mark.parametrize("dtype", NAMES)
def test_jax_takes_arrays_and_gives_them_back(dtype: str, device: str) -> None:
    jax: Any = pytest.importorskip("jax", reason="JAX is not installed")
    x = na.asarray(np.arange(6).reshape(2, 3) % 2, device=device).astype(dtype)
    there = jax.numpy.from_dlpack(x)
    assert there.dtype == x.dtype
    np.testing.assert_array_equal(there, x.numpy())
    for back in (na.from_dlpack(there, device=device), na.asarray(there, device=device)):
        assert (type(back), back.dtype, str(back.device)) == (Array, x.dtype, device)
        np.testing.assert_array_equal(back.numpy(), x.numpy())
    assert jax.numpy.asarray(np.asarray(x)).dtype == x.dtype


@needs_torch
def test_bfloat16_reaches_jax_from_torch_and_comes_back() -> None:
    jax: Any = pytest.importorskip("jax", reason="JAX is not installed")
    x = na.asarray([1.5, -2.0], device="torch:cpu").astype(na.bfloat16)
    there = jax.numpy.from_dlpack(x)
    assert str(there.dtype) == "bfloat16"
    for device in ("numpy", "torch:cpu"):
        back = na.from_dlpack(there, device=device)
        assert back.dtype == na.bfloat16
        np.testing.assert_array_equal(back.astype(na.float32).numpy(), [1.5, -2])


# --- hypothesis ---
@every_device
def test_hypothesis_draws_arrays_of_every_dtype_through_the_array_api(device: str) -> None:
    hypothesis: Any = pytest.importorskip("hypothesis", reason="hypothesis is not installed")
    strategies: Any = pytest.importorskip("hypothesis.extra.array_api").make_strategies_namespace(na)

    def draw(data: Any, name: str) -> None:
        with na.use_device(device):
            x = data.draw(strategies.arrays(getattr(na, name), strategies.array_shapes(min_dims=0, max_side=4)))
            assert (type(x), str(x.device), x.dtype.name) == (Array, device, name)
            assert x[data.draw(strategies.indices(x.shape))].dtype == x.dtype

    settings = hypothesis.settings(max_examples=20, deadline=None, database=None, derandomize=True)
    for name in na.__array_namespace_info__().dtypes(device=device):
        settings(hypothesis.given(hypothesis.strategies.data(), hypothesis.strategies.just(name))(draw))()


# --- scikit-learn ---
# In a process of its own: SciPy reads SCIPY_ARRAY_API when it is imported.
SKLEARN = """
import warnings
warnings.simplefilter("ignore")
import numpy as np
import sklearn
from sklearn import metrics
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import KernelCenterer, LabelEncoder
import neo_array as na

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 5))
label = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
target = X @ rng.normal(size=5) + 0.1 * rng.normal(size=60)
score = rng.random(60)

CASES = {
    "RidgeCV": lambda a: RidgeCV().fit(a(X), a(target)).predict(a(X)),
    "PCA": lambda a: abs(PCA(2, svd_solver="full").fit(a(X)).transform(a(X))),
    "KernelCenterer": lambda a: KernelCenterer().fit_transform(a(X @ X.T)),
    "LabelEncoder": lambda a: LabelEncoder().fit_transform(a(label)),
    "train_test_split": lambda a: train_test_split(a(X), random_state=0)[1],
    "accuracy": lambda a: metrics.accuracy_score(a(label), a(label[::-1].copy())),
    "confusion_matrix": lambda a: metrics.confusion_matrix(a(label), a(label[::-1].copy())),
    "average_precision": lambda a: metrics.average_precision_score(a(label), a(score)),
    "mean_squared_error": lambda a: metrics.mean_squared_error(a(target), a(score)),
    "euclidean_distances": lambda a: metrics.pairwise.euclidean_distances(a(X), a(X)),
    "rbf_kernel": lambda a: metrics.pairwise.rbf_kernel(a(X), a(X)),
}
for name, case in CASES.items():
    expected = case(np.asarray)
    with sklearn.config_context(array_api_dispatch=True):
        found = case(lambda v: na.asarray(v, device=DEVICE))
    assert isinstance(found, na.Array | float), name
    assert not isinstance(found, na.Array) or str(found.device) == DEVICE, name
    assert np.allclose(np.asarray(found), expected, atol=1e-6), name
with sklearn.config_context(array_api_dispatch=True):
    try:
        metrics.r2_score(na.asarray(target), na.asarray(score))
    except TypeError as error:
        assert "immutable" in str(error)
    else:
        raise AssertionError("scikit-learn no longer writes into its arrays: say so in docs/array-api.md")
"""


@every_device
def test_scikit_learn_dispatches_where_it_does_not_write_into_its_arrays(device: str) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    run_script(f"DEVICE = {device!r}\n{SKLEARN}", SCIPY_ARRAY_API="1")
