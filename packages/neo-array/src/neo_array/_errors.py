"""Errors: each message says what was attempted, what was given, and what to write instead."""

from __future__ import annotations


class NeoError(Exception):
    """Base of every error that neo raises on purpose."""


class ShapeError(NeoError, ValueError):
    """Shapes, axes or sizes do not fit together."""


class AxisError(ShapeError, IndexError):
    """An axis is out of range: an IndexError too, which the array API standard asks for in places."""


class DTypeError(NeoError, TypeError):
    """A dtype or a Python type does not fit the op."""


class DeviceError(NeoError, ValueError):
    """An array lives elsewhere than the op needs it, or a device does not exist here."""


class DonatedError(NeoError, RuntimeError):
    """An array was used after its buffer had been given away."""


class LevelError(NeoError, RuntimeError):
    """A derivative would be lost: the array belongs to a transform that this context cannot see, or that has ended."""


class DivisionError(NeoError, ZeroDivisionError):
    """An integer was divided by zero."""


class LinAlgError(NeoError, ValueError):
    """A matrix has no such factor, inverse or solution, or the derivative asked for does not exist there."""


class PolicyError(NeoError, TypeError):
    """A custom rule is wrong: its signature, or what it returned."""


class TreeError(NeoError, ValueError):
    """Two pytrees that should have the same structure have not."""


class KeyReuseError(NeoError, RuntimeError):
    """A random key was used twice inside `random.debug_key_reuse()`."""
