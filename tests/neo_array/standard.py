"""The Python array API standard 2024.12 as a table of calls, each to be made in neo_array and in array-api-strict.

Names in the calls: `xp` the namespace, `x` (3, 5), `y` (5,), `z` (3, 1), `w` (3, 5) with ties, `s` (), `n` (0, 5), all
of the dtype in turn; `m` (2, 3, 3) regular matrices, `p` positive definite ones, `b` (2, 3, 2); `i` and `j` int64
indices (4,) and (3, 5); `k` a mask (3, 5). What differs by a sign or an order that the standard leaves open is called
so that the result does not. A call that begins with `~` leaves the size of its dtype open. Before the colon stand the
kinds of dtypes for which the calls are made, or `-` for once.
"""

from __future__ import annotations

from typing import Final

# Kinds of dtypes: b bool, i integers, f real floating, c complex.
UNARY: Final = {
    "abs negative positive sign square round conj real isfinite isinf isnan": "ifc",
    "ceil floor trunc": "if",
    "acos acosh asin asinh atan atanh cos cosh exp expm1 log log10 log1p log2 reciprocal": "fc",
    "sin sinh sqrt tan tanh": "fc",
    "signbit": "f",
    "imag": "c",
    "bitwise_invert": "bi",
    "logical_not": "b",
}
BINARY: Final = {
    "add subtract multiply pow": "ifc",
    "divide": "fc",
    "floor_divide remainder maximum minimum less less_equal greater greater_equal": "if",
    "atan2 copysign hypot logaddexp nextafter": "f",
    "equal not_equal": "bifc",
    "bitwise_and bitwise_or bitwise_xor": "bi",
    "bitwise_left_shift bitwise_right_shift": "i",
    "logical_and logical_or logical_xor": "b",
}
CALLS: Final = {
    "operators": """
        ifc: -x; +x; abs(x); x + y; x - z; x * y; x ** 2; x + s; s * x; 2 + x; 2 - x; 2 * x; x == y; x != y; x - 1
        fc: x / (y + 9); 1 / (x + 9); x / 2
        if: x // (abs(y) + 1); x % (abs(y) + 1); 7 // (abs(x) + 1); 7 % (abs(x) + 1); x // 2; x % 3
        if: x < y; x <= y; x > y; x >= y; x < 1
        bi: ~x; x & y; x | y; x ^ y
        i: x << 1; x >> 1; 1 << (x & 3); 99 >> (x & 3)
        b: x & True; True | x; x ^ False
        ifc: m @ b[0, ...]; m @ m; y @ y; y @ xp.matrix_transpose(x)
        bifc: x.T; m.mT; x.shape; x.ndim; x.size; bool(s); x.dtype == xp.asarray(x).dtype
        if: float(x[0, 0]); int(x[0, 0])
        ifc: complex(x[0, 0])
        i: range(99)[abs(s)]
        bifc: x.to_device(x.device); xp.asarray(x, copy=True); xp.asarray(x, device=x.device)
    """,
    "creation": """
        -: xp.arange(5); xp.arange(2, 11, 3); xp.arange(5, 0, -2); xp.arange(5, dtype=xp.float32); xp.arange(0)
        -: xp.arange(0, 1, 0.25, dtype=xp.float64); ~xp.arange(1.5); xp.arange(3, stop=9, step=2); xp.arange(4, 1)
        -: xp.asarray(True); xp.asarray(3); ~xp.asarray(2.5); ~xp.asarray(1j); xp.asarray([[1, 2], [3, 4]])
        -: xp.asarray([1, 2], dtype=xp.int8); xp.asarray([[True], [False]]); xp.asarray([], dtype=xp.float32)
        -: xp.empty(3, dtype=xp.int32).shape; xp.empty((2, 3)).shape; xp.zeros(3, dtype=xp.int8); ~xp.zeros((2, 3))
        -: ~xp.ones((2, 3)); xp.ones((), dtype=xp.complex64); xp.ones(2, dtype=xp.bool); ~xp.full((2, 3), 1.5)
        -: xp.full(2, 7); xp.full((2, 3), True); xp.full((), 7, dtype=xp.float64); ~xp.full(2, 1j)
        -: ~xp.eye(3); xp.eye(3, 4, dtype=xp.int32); xp.eye(3, 4, k=1, dtype=xp.bool)
        -: xp.eye(4, 3, k=-2, dtype=xp.int64)
        -: ~xp.linspace(0, 1, 5); xp.linspace(0, 1, num=4, endpoint=False, dtype=xp.float64)
        -: xp.linspace(5, -5, 11, dtype=xp.float32); xp.linspace(0, 3, 1, dtype=xp.float64); ~xp.linspace(0, 1, 0)
        -: xp.linspace(0, 1j, 5, dtype=xp.complex128); ~xp.linspace(0, 1 + 1j, 3)
        bifc: xp.empty_like(x).shape; xp.zeros_like(x); xp.ones_like(x); xp.full_like(x, 1)
        bifc: xp.full_like(x, fill_value=0)
        bifc: xp.zeros_like(x, dtype=xp.float32); xp.ones_like(x, dtype=xp.int8); xp.empty_like(x, dtype=xp.bool).shape
        bifc: xp.tril(x); xp.triu(x); xp.tril(x, k=1); xp.triu(x, k=-1); xp.tril(m, k=-9); xp.triu(m, k=9)
        bifc: xp.meshgrid(y, x[:, 0]); xp.meshgrid(y, x[:, 0], y, indexing='ij'); xp.meshgrid(y); xp.from_dlpack(x)
    """,
    "dtypes": """
        bif: xp.astype(x, xp.float64); xp.astype(x, xp.bool)
        bi: xp.astype(x, xp.int64); xp.astype(x, xp.int8)
        bifc: xp.astype(x, xp.complex64); xp.astype(x, x.dtype, copy=False)
        bifc: xp.broadcast_arrays(x, y, s); xp.broadcast_to(y, (3, 5)); xp.broadcast_to(s, (0, 2))
        fc: xp.can_cast(x, xp.complex128); xp.can_cast(x.dtype, x.dtype)
        -: xp.can_cast(xp.int8, xp.int64); xp.can_cast(xp.int64, xp.int8); xp.can_cast(xp.float64, xp.int8)
        fc: xp.finfo(x).eps; xp.finfo(x.dtype).max; xp.finfo(x).min; xp.finfo(x).bits; xp.finfo(x).smallest_normal
        i: xp.iinfo(x).max; xp.iinfo(x.dtype).min; xp.iinfo(x).bits
        bifc: [xp.isdtype(x.dtype, kind) for kind in ('bool', 'integral', 'signed integer')]
        bifc: [xp.isdtype(x.dtype, kind) for kind in ('unsigned integer', 'numeric')]
        bifc: xp.isdtype(x.dtype, ('real floating', 'complex floating')); xp.isdtype(x.dtype, (xp.float32, 'bool'))
        f: xp.astype(x, xp.result_type(x, xp.float64)); xp.astype(x, xp.result_type(x, x.dtype, x))
    """,
    "indexing": """
        bifc: x[0, ...]; x[-1, 2]; x[1:, ::2]; x[::-1, 1]; x[..., 0]; x[None, :, 0]; x[:, None, :]; s[()]; s[...]
        bifc: n[:, 1]
        bifc: x[-3:-1, 4:2:-2]; x[2:2, ...]; m[1, ..., 0]; x[:2, xp.newaxis, ...]; x[k]; x[x == x]; s[s == s]
        bifc: x[k[:, 0]]
        bifc: x[i[0] % 3, 1]; y[i]; x[i % 3, i]; x[1, i]; x[i % 3, 0]; m[0, i % 3, i % 2]
        bifc: x[k[:0, :]]; x[k[:, :0]]; x[k[:0, 0]]; n[n == n]
        bifc: xp.take(x, i, axis=1); xp.take(y, i); xp.take(m, i % 2, axis=-1); xp.take(n, i, axis=1)
        bifc: xp.take_along_axis(x, j); xp.take_along_axis(x, j[:1, :] % 3, axis=0)
    """,
    "manipulation": """
        bifc: xp.concat([x, w]); xp.concat((x, w), axis=1); xp.concat([x, y], axis=None); xp.concat([n, x], axis=-2)
        bifc: xp.expand_dims(x, axis=1); xp.expand_dims(x, axis=-1); xp.squeeze(z, axis=1)
        bifc: xp.squeeze(z[None, ...], axis=(0, -1)); xp.flip(x); xp.flip(x, axis=-1); xp.flip(m, axis=(0, 2))
        bifc: xp.flip(s)
        bifc: xp.moveaxis(m, 0, -1); xp.moveaxis(m, (0, 1), (2, 0)); xp.permute_dims(m, (2, 0, 1))
        bifc: xp.permute_dims(s, ())
        bifc: xp.repeat(x, 2); xp.repeat(x, 2, axis=1); xp.repeat(y, xp.asarray([3]))
        bifc: xp.repeat(y, xp.asarray([0, 1, 2, 0, 3])); xp.repeat(x, xp.asarray([1, 0, 2]), axis=0)
        bifc: xp.reshape(x, (5, 3)); xp.reshape(x, (-1,)); xp.reshape(x, shape=(3, -1, 1), copy=True)
        bifc: xp.reshape(n, (5, 0))
        bifc: xp.roll(x, 2); xp.roll(x, -1, axis=0); xp.roll(x, shift=(1, 2), axis=(0, 1)); xp.roll(x, 7, axis=1)
        bifc: xp.roll(s, 1)
        bifc: xp.stack([x, w]); xp.stack([x, w, x], axis=-1); xp.stack([s, s], axis=0); xp.tile(x, (2,))
        bifc: xp.tile(y, (2, 3))
        bifc: xp.tile(x, (1, 2, 1)); xp.unstack(x); xp.unstack(x, axis=1); xp.unstack(n)
    """,
    "searching": """
        if: xp.argmax(w); xp.argmax(w, axis=0); xp.argmin(w, axis=-1, keepdims=True); xp.argmin(w)
        if: xp.argmax(w, keepdims=True)
        bifc: xp.count_nonzero(w); xp.count_nonzero(w, axis=0); xp.count_nonzero(w, axis=(0, 1), keepdims=True)
        bifc: xp.nonzero(w); xp.nonzero(w[0, :]); xp.where(k, x, w); xp.where(k[:, :1], x, y); xp.where(k, x, s)
        if: xp.searchsorted(xp.sort(y), x); xp.searchsorted(xp.sort(y), w[0, :], side='right')
        if: xp.searchsorted(y, x, side='left', sorter=xp.argsort(y)); xp.searchsorted(y[:0], x)
    """,
    "sets": """
        if: xp.sort(xp.unique_values(w)); xp.unique_values(y[:0])
        bifc: [a.shape for a in xp.unique_all(w)]; xp.unique_inverse(w)[0][xp.unique_inverse(w)[1]]
        bif: xp.unique_all(w).values; xp.unique_all(w).counts; xp.unique_all(w).inverse_indices; xp.unique_counts(w)
        bif: xp.reshape(w, (-1,))[xp.unique_all(w).indices]; xp.unique_inverse(w).inverse_indices
        bifc: xp.sum(xp.unique_counts(w).counts); xp.unique_counts(s).values; xp.unique_values(w).shape
    """,
    "sorting": """
        if: xp.sort(w); xp.sort(w, axis=0); xp.sort(w, descending=True); xp.sort(w, stable=False); xp.sort(n)
        if: xp.argsort(w); xp.argsort(w, axis=0); xp.argsort(w, descending=True); xp.argsort(w, axis=0, descending=True)
        if: xp.take_along_axis(w, xp.argsort(w, stable=False))
    """,
    "statistical": """
        ifc: xp.sum(x); xp.sum(x, axis=0); xp.sum(x, axis=(0, -1), keepdims=True); xp.sum(n, axis=0); xp.sum(x, axis=())
        i: xp.prod(x % 3); xp.prod(x % 4, axis=-1); xp.prod(n); xp.prod(x[:1, :], axis=(0, 1), keepdims=True)
        fc: xp.prod(x); xp.prod(x, axis=-1); xp.prod(n); xp.prod(w, axis=(0, 1), keepdims=True)
        fc: xp.prod(x, dtype=xp.complex128)
        if: xp.sum(x, dtype=xp.float64); xp.sum(x, axis=1, dtype=xp.float32)
        if: xp.max(x); xp.max(x, axis=1); xp.min(x, axis=(0,), keepdims=True); xp.min(x); xp.max(n, axis=1)
        if: xp.min(m, axis=(0, 2))
        fc: xp.mean(x); xp.mean(x, axis=0, keepdims=True); xp.mean(m, axis=(0, 2))
        f: xp.var(x); xp.var(x, axis=1, correction=1); xp.std(x, axis=(0, 1), keepdims=True)
        f: xp.std(m, axis=0, correction=0.5)
        ifc: xp.cumulative_sum(x, axis=1); xp.cumulative_sum(y, include_initial=True)
        ifc: xp.cumulative_sum(n, axis=0, include_initial=True)
        i: xp.cumulative_sum(y, dtype=xp.float64); xp.cumulative_prod(y % 3)
        i: xp.cumulative_prod(y % 3, dtype=xp.float32)
        fc: xp.cumulative_prod(x, axis=0); xp.cumulative_prod(y, include_initial=True); xp.cumulative_prod(x, axis=-1)
        bifc: xp.all(x); xp.any(x, axis=0); xp.all(x, axis=(0, 1), keepdims=True); xp.any(n); xp.all(n, axis=0)
        bifc: xp.any(x, axis=())
        ifc: xp.diff(x); xp.diff(x, axis=0, n=2); xp.diff(y, prepend=y[:2], append=y[:1]); xp.diff(y, n=0)
        if: xp.clip(x, 0, 1); xp.clip(x, min=1); xp.clip(x, max=2); xp.clip(x); xp.clip(x, y, None)
        if: xp.clip(x, z, xp.maximum(z, y))
    """,
    "linalg": """
        ifc: xp.matmul(m, b); xp.matmul(x, y); xp.matmul(y, y); xp.matmul(m, b[0, ...]); xp.matrix_transpose(m)
        ifc: xp.tensordot(x, w, axes=([0, 1], [0, 1])); xp.tensordot(m, b, axes=((2,), (1,)))
        ifc: xp.tensordot(y, x, axes=0); xp.vecdot(x, w); xp.vecdot(m, m, axis=-2); xp.vecdot(x, y)
        ifc: xp.linalg.vecdot(y, y)
        ifc: xp.linalg.matmul(m, b); xp.linalg.tensordot(x, w, axes=2); xp.linalg.matrix_transpose(x)
        ifc: xp.linalg.cross(m, m[::-1, ...]); xp.linalg.cross(m, m[:, :, ::-1], axis=-2)
        bifc: xp.linalg.diagonal(m); xp.linalg.diagonal(x, offset=1); xp.linalg.diagonal(x, offset=-2)
        ifc: xp.linalg.trace(m); xp.linalg.trace(x, offset=1); xp.linalg.outer(y, x[:, 0])
        fc: xp.linalg.trace(x, dtype=xp.complex128); xp.linalg.det(m); xp.linalg.inv(m); xp.linalg.slogdet(m)
        fc: xp.linalg.slogdet(m).logabsdet; xp.linalg.solve(m, b); xp.linalg.solve(m[0, ...], b[0, :, 0])
        fc: xp.linalg.cholesky(p); xp.linalg.cholesky(p, upper=True); xp.linalg.eigvalsh(p)
        fc: xp.linalg.eigh(p).eigenvalues
        fc: abs(xp.linalg.eigh(p).eigenvectors); xp.linalg.matrix_power(m, 3); xp.linalg.matrix_power(m, -2)
        fc: xp.linalg.matrix_power(m, 0)
        fc: xp.linalg.matrix_rank(m); xp.linalg.matrix_rank(x[:1, :] * z, rtol=1e-3); xp.linalg.pinv(b)
        fc: xp.linalg.pinv(x, rtol=1e-6)
        fc: xp.linalg.svdvals(x); xp.linalg.svd(b).S; [a.shape for a in xp.linalg.svd(b)]
        fc: [a.shape for a in xp.linalg.svd(x, full_matrices=False)]; abs(xp.linalg.svd(x, full_matrices=False).Vh)
        fc: xp.matmul(*xp.linalg.qr(b)); xp.linalg.qr(x).R.shape; xp.linalg.qr(b, mode='complete').Q.shape
        fc: abs(xp.linalg.qr(m)[1])
        fc: xp.linalg.matrix_norm(m); xp.linalg.matrix_norm(x, ord=1, keepdims=True); xp.linalg.matrix_norm(x, ord=2)
        fc: xp.linalg.matrix_norm(m, ord='nuc'); xp.linalg.matrix_norm(m, ord=float('inf'))
        fc: xp.linalg.matrix_norm(m, ord=-1)
        fc: xp.linalg.matrix_norm(m, ord=-2); xp.linalg.matrix_norm(m, ord=float('-inf')); xp.linalg.vector_norm(x)
        fc: xp.linalg.vector_norm(x, axis=1, ord=1); xp.linalg.vector_norm(m, axis=(0, 2), keepdims=True, ord=3)
        fc: xp.linalg.vector_norm(x, axis=0, ord=float('inf')); xp.linalg.vector_norm(x, axis=0, ord=float('-inf'))
        fc: xp.linalg.vector_norm(x, axis=0, ord=0); xp.linalg.vector_norm(n, axis=1); xp.linalg.vector_norm(x, ord=2.5)
    """,
    "fft": """
        c: xp.fft.fft(x); xp.fft.fft(x, n=7, axis=0, norm='ortho'); xp.fft.fft(x, n=2); xp.fft.ifft(x)
        c: xp.fft.ifft(x, norm='forward')
        c: xp.fft.fftn(x); xp.fft.fftn(m, s=(2, 4), axes=(0, 2), norm='forward'); xp.fft.ifftn(x, axes=(0,))
        c: xp.fft.ifftn(m)
        c: xp.fft.irfft(x); xp.fft.irfft(x, n=7); xp.fft.irfftn(x)
        c: xp.fft.irfftn(m, s=(2, 5), axes=(1, 2), norm='ortho')
        c: xp.fft.hfft(x); xp.fft.hfft(x, n=6, axis=0, norm='forward')
        f: xp.fft.rfft(x); xp.fft.rfft(x, n=4, axis=0, norm='ortho'); xp.fft.rfftn(x); xp.fft.rfftn(m, axes=(0, 1))
        f: xp.fft.ihfft(x); xp.fft.ihfft(x, n=4, axis=0, norm='ortho')
        fc: xp.fft.fftshift(x); xp.fft.fftshift(x, axes=1); xp.fft.ifftshift(m, axes=(0, 2)); xp.fft.ifftshift(y)
        -: ~xp.fft.fftfreq(5); ~xp.fft.fftfreq(6, d=0.5); ~xp.fft.rfftfreq(5, d=2.0)
        -: xp.fft.rfftfreq(4, dtype=xp.float64)
    """,
}
