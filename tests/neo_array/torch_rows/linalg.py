"""Linear algebra in torch.

Factors that are determined up to phases get ours, so that they, and their derivatives, can be compared as they are.
"""

from __future__ import annotations

import torch

from tests.neo_array.torch_rows.core import Row

Tensor = torch.Tensor


def hermitian_part(x: Tensor) -> Tensor:
    return (x + x.mH) / 2


# --- Phases ---
def phase(x: Tensor) -> Tensor:
    """Return x / |x|; a real number's is its sign, which does not move."""
    return x / x.abs()


def phases(vectors: Tensor) -> Tensor:
    """Return, as a row, the phases of the columns' first components of 0.55 times their largest modulus or more."""
    if not vectors.numel():
        return torch.ones_like(vectors[..., :1, :])
    size = vectors.detach().abs()
    place = (size >= 0.55 * size.amax(-2, keepdim=True)).int().argmax(-2, keepdim=True)
    return phase(vectors.gather(-2, place))


def eigh(x: Tensor) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(hermitian_part(x))
    return values, vectors / phases(vectors)


def svd(x: Tensor, *, full_matrices: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Leave full matrices to those that are square: columns that are added are not unique."""
    assert not full_matrices or x.shape[-2] == x.shape[-1]
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    turned = phases(u)
    return u / turned, s, vh * turned.mT


def qr(x: Tensor, *, complete: bool) -> tuple[Tensor, Tensor]:
    """Leave complete factors to matrices that are square: columns that are added are not unique."""
    assert not complete or x.shape[-2] == x.shape[-1]
    q, r = torch.linalg.qr(x)
    turned = phase(r.diagonal(0, -2, -1))[..., None, :]
    return q * turned, r / turned.mT


# --- Determinants ---
def cofactors(x: Tensor) -> Tensor:
    """Multiply the inverse with the determinant: the op takes both from the singular values."""
    det, inverse = torch.linalg.det(x), torch.linalg.inv(x)
    return torch.mul(det[..., None, None], inverse.mT)


def cofactors_along(x: Tensor, t: Tensor) -> Tensor:
    """Take the gradient of the cofactors' sum with t: they are one themselves, so their derivative is symmetric."""
    (along,) = torch.autograd.grad((cofactors(x) * t).real.sum(), x, create_graph=True)
    return torch.conj(along)


def solve_triangular(a: Tensor, b: Tensor, *, lower: bool, unit_diagonal: bool) -> Tensor:
    out: Tensor = torch.linalg.solve_triangular(a, b, upper=not lower, unitriangular=unit_diagonal)
    return out


TORCH: dict[str, Row] = {
    "refuse": lambda x, condition, *, message: x.clone(),
    "inner_product": torch.linalg.vecdot,
    "reduce_norm": lambda x, *, axis, keepdims: torch.linalg.vector_norm(x, 2, axis, keepdims),
    # --- Systems and determinants ---
    "inv": torch.linalg.inv,
    "solve_matrix": torch.linalg.solve,
    "solve_triangular_matrix": solve_triangular,
    "det": torch.linalg.det,
    "cofactors": cofactors,
    "cofactors_along": cofactors_along,
    "slogdet_parts": torch.linalg.slogdet,
    # --- Factors ---
    "cholesky_lower": lambda x: torch.linalg.cholesky(hermitian_part(x)),
    "qr_tall": qr,
    "eigh_factors": eigh,
    "eigvalsh": lambda x: torch.linalg.eigvalsh(hermitian_part(x)),
    "svd_factors": svd,
    "svdvals": torch.linalg.svdvals,
    "pseudo_inverse": lambda x, rtol: torch.linalg.pinv(x, rtol=rtol),
    "expm": torch.matrix_exp,
}
