"""Modules: layers as frozen dataclasses that are pytrees; their options are part of the structure."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform, overload

from neo_array import DTypeError, tree
from neo_nn._repr import describe

if TYPE_CHECKING:
    from typing import Self

T = TypeVar("T")


@overload
def static(*, default: T) -> T: ...
@overload
def static(*, default_factory: Callable[[], T]) -> T: ...
@overload
def static() -> Any: ...
def static(**options: Any) -> Any:
    """Mark a field as an option: part of the structure, not a leaf. Its value must be hashable.

    Example:
        >>> class Scale(Module):
        ...     factor: Array
        ...     power: int = static(default=1)
    """
    return dataclasses.field(**options, metadata={"static": True})


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(static, dataclasses.field))
class Module:
    """Base of layers: subclassing makes a frozen dataclass and registers it as a pytree.

    Fields are children (Arrays, modules, containers of them, None) unless declared with `static`. Putting a tree
    together again calls neither `__init__` nor `__post_init__`: while a tree is mapped, its leaves may be anything.
    """

    _children: ClassVar[tuple[str, ...]]
    _options: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # mypy does not follow the call above
        cls._children = tuple(f.name for f in fields if not f.metadata.get("static"))
        cls._options = tuple(f.name for f in fields if f.metadata.get("static"))
        if cls._options:
            _check_after_init(cls)
        tree.register(cls, *_generate(cls))

    def replace(self, **changes: object) -> Self:
        """Return a copy with these fields changed; unlike `dataclasses.replace` it does not call `__init__`.

        Raises:
            TypeError: if there is no such field, or an option is not hashable.
        """
        names = (*self._children, *self._options)
        if unknown := changes.keys() - set(names):
            raise TypeError(f"{type(self).__name__}.replace: no field {sorted(unknown)}, got fields {list(names)}")
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__ | changes)
        _check_options(copy)
        return copy

    def __repr__(self) -> str:
        return describe(self)


def _check_after_init(cls: type[Module]) -> None:
    """Let `__init__` end with a check of the options; a base class's leaves it to the class that is being made."""
    init: Callable[..., None] = cls.__init__

    @functools.wraps(init)
    def checked(self: Module, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if type(self) is cls:
            _check_options(self)

    cls.__init__ = checked  # type: ignore[assignment, method-assign]  # the same parameters, and self is a Module


def _check_options(module: Module) -> None:
    for name in module._options:
        value = getattr(module, name)
        try:
            hash(value)
        except TypeError:
            raise DTypeError(
                f"{type(module).__name__}: the option {name!r} is part of the tree's structure and must be hashable, "
                f"got {type(value).__name__}; use a tuple or a frozen dataclass, or drop static() if it holds arrays"
            ) from None


def _generate(cls: type[Module]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Write flatten and unflatten for exactly these fields, as dataclasses writes `__init__`: each step runs them."""

    def values(names: tuple[str, ...]) -> str:
        return "(" + "".join(f"self.{n}, " for n in names) + ")"

    def targets(names: tuple[str, ...], source: str) -> str:
        return "(" + "".join(f"fields[{n!r}], " for n in names) + f") = {source}"

    lines = [
        "def flatten(self):",
        f"    return {values(cls._children)}, {values(cls._options)}, names",
        "def unflatten(options, children):",
        "    self = new(cls)",
        "    fields = self.__dict__",
        f"    {targets(cls._children, 'children')}",
        f"    {targets(cls._options, 'options')}",
        "    return self",
    ]
    scope: dict[str, Any] = {"cls": cls, "new": object.__new__, "names": cls._children}
    exec(compile("\n".join(lines), f"<neo_nn {cls.__qualname__}>", "exec"), scope)
    return scope["flatten"], scope["unflatten"]
