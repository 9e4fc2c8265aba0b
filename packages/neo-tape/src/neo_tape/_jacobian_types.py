"""The signatures of `jacrev`, `jacfwd` and `hessian`, for type checkers.

They are typed for functions to one Array: the Jacobian has the type of the argument. See `_gradients` on overloads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, Protocol, overload

from neo_array import Array
from neo_tape._gradients import A, Aux, B, C, D, First, Fourth, No, P, Second, Third, Yes


class Jacobian(Protocol):
    """What `jacrev` and `jacfwd` are."""

    @overload
    def __call__(
        self,
        f: Callable[P, Array],
        *,
        argnames: str,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[P, object]: ...
    @overload
    def __call__(
        self,
        f: Callable[P, Array],
        *,
        argnames: tuple[str, ...],
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[P, dict[str, object]]: ...
    @overload
    def __call__(
        self,
        f: Callable[P, Array],
        argnums: list[int],
        *,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[P, tuple[object, ...]]: ...
    @overload
    def __call__(
        self,
        f: Callable[Concatenate[A, B, P], tuple[Array, Aux]],
        argnums: tuple[First, Second],
        *,
        has_aux: Yes,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[Concatenate[A, B, P], tuple[tuple[A, B], Aux]]: ...
    @overload
    def __call__(
        self,
        f: Callable[Concatenate[A, P], tuple[Array, Aux]],
        argnums: First = 0,
        *,
        has_aux: Yes,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[Concatenate[A, P], tuple[A, Aux]]: ...
    @overload
    def __call__(
        self,
        f: Callable[Concatenate[A, B, C, D, P], Array],
        argnums: tuple[First, Second, Third, Fourth],
        *,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[Concatenate[A, B, C, D, P], tuple[A, B, C, D]]: ...
    @overload
    def __call__(
        self,
        f: Callable[Concatenate[A, B, C, P], Array],
        argnums: tuple[First, Second, Third],
        *,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[Concatenate[A, B, C, P], tuple[A, B, C]]: ...
    @overload
    def __call__(
        self,
        f: Callable[Concatenate[A, B, P], Array],
        argnums: tuple[First, Second],
        *,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[Concatenate[A, B, P], tuple[A, B]]: ...
    @overload
    def __call__(
        self,
        f: Callable[Concatenate[A, P], Array],
        argnums: tuple[First],
        *,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[Concatenate[A, P], tuple[A]]: ...
    @overload
    def __call__(
        self,
        f: Callable[Concatenate[A, B, C, P], Array],
        argnums: Third,
        *,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[Concatenate[A, B, C, P], C]: ...
    @overload
    def __call__(
        self,
        f: Callable[Concatenate[A, B, P], Array],
        argnums: Second,
        *,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[Concatenate[A, B, P], B]: ...
    @overload
    def __call__(
        self,
        f: Callable[Concatenate[A, P], Array],
        argnums: First = 0,
        *,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[Concatenate[A, P], A]: ...


class Hessian(Protocol):
    """What `hessian` is; typed for arguments that are Arrays."""

    @overload
    def __call__(
        self,
        f: Callable[P, Array],
        *,
        argnames: str,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[P, object]: ...
    @overload
    def __call__(
        self,
        f: Callable[P, Array],
        *,
        argnames: tuple[str, ...],
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[P, dict[str, dict[str, object]]]: ...
    @overload
    def __call__(
        self,
        f: Callable[P, Array],
        argnums: list[int],
        *,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[P, tuple[tuple[object, ...], ...]]: ...
    @overload
    def __call__(
        self,
        f: Callable[Concatenate[Array, P], tuple[Array, Aux]],
        argnums: First = 0,
        *,
        has_aux: Yes,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[Concatenate[Array, P], tuple[Array, Aux]]: ...
    @overload
    def __call__(
        self,
        f: Callable[Concatenate[Array, Array, P], Array],
        argnums: tuple[First, Second],
        *,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[Concatenate[Array, Array, P], tuple[tuple[Array, Array], tuple[Array, Array]]]: ...
    @overload
    def __call__(
        self,
        f: Callable[Concatenate[A, Array, P], Array],
        argnums: Second,
        *,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[Concatenate[A, Array, P], Array]: ...
    @overload
    def __call__(
        self,
        f: Callable[Concatenate[Array, P], Array],
        argnums: First = 0,
        *,
        has_aux: No = False,
        holomorphic: bool = False,
        chunk_size: int | None = None,
    ) -> Callable[Concatenate[Array, P], Array]: ...
