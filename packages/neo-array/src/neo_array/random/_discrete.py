"""Integers and choices. They have no derivative; `categorical`'s relaxed form is softmax((logits + gumbel) / t)."""

from __future__ import annotations

from neo_array._array import Array
from neo_array._device import DeviceLike, as_device
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import bind
from neo_array.ops.creation import asarray
from neo_array.ops.reductions import argmax, normalize_axes
from neo_array.ops.shaping import broadcast_to, moveaxis
from neo_array.random._draws import Parameter, Size, draw_integers, draw_permutation, draw_poisson, shape_for, sizes
from neo_array.random._keys import Key, as_integer, checked
from neo_array.random._location_scale import gumbel, uniform


def bernoulli(key: Key, p: Parameter = 0.5, shape: Size = None, /, *, device: DeviceLike | None = None) -> Array:
    """Draw booleans that are true with probability p: a number, or an Array of probabilities."""
    if isinstance(p, Array):
        if device is None:
            device = p.device
    elif type(p) not in (int, float) or not 0 <= p <= 1:
        raise ShapeError(f"random.bernoulli: p must be a number in [0, 1], got {p!r}; the shape comes after it")
    return uniform(key, shape_for("bernoulli", shape, p), device=device) < p


def randint(
    key: Key, shape: int | tuple[int, ...], low: int, high: int, /, *, device: DeviceLike | None = None
) -> Array:
    """Draw int64 integers uniformly from [low, high)."""
    first, last = as_integer("randint", "low", low), as_integer("randint", "high", high)
    if not -(2**63) <= first < last <= 2**63:
        raise ShapeError(f"random.randint: needs low < high within int64, got {low} and {high}")
    return asarray(
        bind(draw_integers, checked(key), low=first, high=last, shape=sizes(shape)), device=as_device(device)
    )


def permutation(key: Key, n: int, /, *, device: DeviceLike | None = None) -> Array:
    """Draw an order of 0, ..., n - 1 as int64."""
    count = as_integer("permutation", "n", n)
    if count < 0:
        raise ShapeError(f"random.permutation: n must not be negative, got {n}")
    return asarray(bind(draw_permutation, checked(key), n=count), device=as_device(device))


def poisson(key: Key, rate: Parameter, shape: Size = None, /, *, device: DeviceLike | None = None) -> Array:
    """Draw int64 numbers of events that happen `rate` times on average: a number, or an Array of rates.

    Raises:
        ValueError: a rate is negative or nan, or too large for int64.
    """
    size = shape_for("poisson", shape, rate)
    rates = rate if isinstance(rate, Array) else asarray(float(rate), device="numpy")
    place = as_device(device) if device is not None or not isinstance(rate, Array) else rate.device
    drawn = bind(draw_poisson, checked(key), broadcast_to(rates.to("numpy"), size))
    return asarray(drawn, device=place)


def categorical(
    key: Key, logits: Array, shape: Size = None, /, *, axis: int = -1, device: DeviceLike | None = None
) -> Array:
    """Draw class numbers with probabilities softmax(logits) along an axis, by the Gumbel-max trick.

    Args:
        logits: (..., classes); -inf rules a class out.
        shape: by default, that of logits without the axis; it must broadcast with it.
    """
    if not isinstance(logits, Array):
        raise DTypeError(f"random.categorical: logits must be an Array, got {type(logits).__name__}; wrap it")
    (at,) = normalize_axes("categorical", logits, axis)
    if logits.shape[at] == 0:
        raise ShapeError(f"random.categorical: no classes to choose from, got logits of shape {logits.shape}")
    last = moveaxis(logits, at, -1)
    size = last.shape[:-1] if shape is None else sizes(shape)
    scores = broadcast_to(last, (*size, last.shape[-1]))
    noise = gumbel(key, scores.shape, dtype=scores.dtype, device=scores.device)
    found = argmax(scores + noise, axis=-1)
    return found if device is None else found.to(as_device(device))
