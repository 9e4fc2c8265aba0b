"""Linear algebra: the array API standard's `linalg` namespace, and a few functions more.

Matrices are the last two axes, the axes before them a stack. Factorisations take float32, float64 and their complex
partners. Derivatives do not conjugate: a cotangent g pairs with a tangent t as the real part of sum(g * t).
"""

from neo_array.ops.determinants import SlogdetResult as SlogdetResult
from neo_array.ops.determinants import det as det
from neo_array.ops.determinants import slogdet as slogdet
from neo_array.ops.eigen import EighResult as EighResult
from neo_array.ops.eigen import eigh as eigh
from neo_array.ops.eigen import eigvalsh as eigvalsh
from neo_array.ops.factorizations import QRResult as QRResult
from neo_array.ops.factorizations import cholesky as cholesky
from neo_array.ops.factorizations import qr as qr
from neo_array.ops.linalg import matmul as matmul
from neo_array.ops.matrix_exponential import expm as expm
from neo_array.ops.norms import matrix_norm as matrix_norm
from neo_array.ops.norms import norm as norm
from neo_array.ops.norms import vector_norm as vector_norm
from neo_array.ops.products import cross as cross
from neo_array.ops.products import diagonal as diagonal
from neo_array.ops.products import matrix_power as matrix_power
from neo_array.ops.products import outer as outer
from neo_array.ops.products import tensordot as tensordot
from neo_array.ops.products import trace as trace
from neo_array.ops.products import vecdot as vecdot
from neo_array.ops.pseudo_inverse import lstsq as lstsq
from neo_array.ops.pseudo_inverse import matrix_rank as matrix_rank
from neo_array.ops.pseudo_inverse import pinv as pinv
from neo_array.ops.shaping import matrix_transpose as matrix_transpose
from neo_array.ops.singular import SVDResult as SVDResult
from neo_array.ops.singular import svd as svd
from neo_array.ops.singular import svdvals as svdvals
from neo_array.ops.solving import inv as inv
from neo_array.ops.solving import solve as solve
from neo_array.ops.solving import solve_triangular as solve_triangular
