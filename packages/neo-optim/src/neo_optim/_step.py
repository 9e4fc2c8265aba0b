"""One optimization step, from gradients to parameters, in place where that is safe."""

from __future__ import annotations

from typing import Any, TypeVar

from neo_array import Donated
from neo_optim._transformation import GradientTransformation, advance

T = TypeVar("T")
S = TypeVar("S")


def step(
    opt: GradientTransformation[S], params: T, grads: T, state: S, *, donate: bool = False, **extra: Any
) -> tuple[T, S]:
    """Return the parameters after one step of the optimizer, and its next state.

    The same as `update` and `apply_updates`, with fewer passes over memory: plain SGD is one op per parameter.

    With `donate=True` the given parameters and state are used up: their Arrays are dead, and touching one raises
    DonatedError, which names this call. Their buffers are reused where nothing else can see them; what a transpose, an
    open tape, `.numpy()` or DLPack still shows keeps its values, at the price of a copy. Gradients are not used up.

    Other keyword arguments reach every transformation's `update`.

    >>> import neo_array as na
    >>> import neo_optim as optim
    >>> params, opt = {"w": na.asarray([1.0, 2.0])}, optim.sgd(0.5)
    >>> state = opt.init(params)
    >>> params, state = optim.step(opt, params, {"w": na.asarray([2.0, 2.0])}, state, donate=True)
    >>> params["w"].numpy()
    array([0., 1.], dtype=float32)

    Raises:
        TreeError: parameters, gradients and state differ in structure.
        ShapeError, DTypeError, DeviceError: a gradient does not fit its parameter.
        DonatedError: the same buffer occurs twice in what is donated.
    """
    return advance(opt, params, grads, state, Donated("optim.step") if donate else None, extra)
