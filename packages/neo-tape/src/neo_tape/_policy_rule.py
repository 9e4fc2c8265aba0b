"""A Policy's rule after its call: the op that the levels see, its backward with every check, and its forward mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neo_array import Array, NoDerivative, PolicyError, primitive, tree
from neo_array._bind import accumulate, is_differentiable
from neo_array._levels import Args, Params, Recorder
from neo_tape import _policy_raw
from neo_tape._meta import Meta
from neo_tape._policy_class import label
from neo_tape._policy_returns import gradients_of, tangents_of
from neo_tape._transpose import NotLinearError, transpose


class Rule:
    """One call of a Policy, as the option of `policy_call`: structures, and how to rebuild the instance."""

    again: Callable[[list[Array]], list[Array]]  # makes the call anew, on other values of `operands`

    def __init__(
        self,
        cls: Any,
        policy: Any,
        inputs: list[Any],
        in_tree: Any,
        options: list[Array],
        outputs: list[Array],
        out_tree: Any,
        saved: list[Any],
        saved_tree: Any,
        replaces: str | None,
    ) -> None:
        self.cls = cls
        self.name: str = cls.__name__
        self.replaces = replaces  # the op that was called, if `rules` replaced it
        self.context: Any = type(policy.ctx)
        self.saves = hasattr(policy.ctx, "_saved")
        self.attributes = {k: v for k, v in vars(policy).items() if k not in ("ctx", "needs_grad")}
        for key, value in self.attributes.items():
            if any(type(x) is Array for x in tree.leaves(value)):
                raise PolicyError(f"{label(cls, 'forward')}: kept an Array in self.{key}; use self.ctx.save(...)")
        self.in_tree, self.out_tree, self.saved_tree = in_tree, out_tree, saved_tree
        self.inputs = [Meta(x) if type(x) is Array else None for x in inputs]
        self.option_count = len(options)  # of those that hold Arrays
        self.outputs = [Meta(x) for x in outputs]
        given = {id(x) for x in inputs}  # what was saved is then the argument: only the fresh output has this rule
        places = {id(x): i for i, x in enumerate(outputs) if id(x) not in given}
        self.slots = [
            ("output", places[id(x)]) if id(x) in places else ("array", x) if type(x) is Array else ("value", x)
            for x in saved
        ]
        kept = [i for i, (kind, _) in enumerate(self.slots) if kind == "array"]
        for number, i in enumerate(kept):
            self.slots[i] = ("array", number)

    def input_arrays(self, inputs: list[Any]) -> list[Array]:
        """Return the inputs that are Arrays."""
        return [x for x in inputs if type(x) is Array]

    def kept_arrays(self, saved: list[Any]) -> list[Array]:
        """Return the saved Arrays that are no outputs."""
        return [x for x, (kind, _) in zip(saved, self.slots, strict=True) if kind == "array"]

    def numbers(self) -> list[int]:
        """Return which leaf of the inputs each of `input_arrays` is."""
        return [i for i, meta in enumerate(self.inputs) if meta is not None]

    def keeps_outputs(self, wanted: list[bool]) -> bool:
        """Tell whether backward looks at the outputs, if it is for these leaves of the inputs."""
        kept = any(kind == "output" for kind, _ in self.slots)
        if not kept or not self.cls._linear_in:
            return kept
        flags = tree.unflatten(self.in_tree, wanted)
        needed = {i for i, argument in enumerate(flags) if any(tree.leaves(argument))}
        return not needed <= set(self.cls._linear_in)

    def operands(self) -> range:
        """Return which arguments of `policy_call` the call was made with: inputs and options."""
        return range(len(self.numbers()) + self.option_count)

    def instance(self, method: str, outputs: tuple[Array, ...], kept: tuple[Array, ...], wanted: list[bool]) -> Any:
        """Rebuild the Policy for a call of backward or jvp."""
        policy = object.__new__(self.cls)
        vars(policy).update(self.attributes)
        policy.ctx = self.context()
        places = {"output": outputs, "array": kept}
        leaves = [v if kind == "value" else places[kind][v] if places[kind] else None for kind, v in self.slots]
        if self.saves:
            policy.ctx._saved = tree.unflatten(self.saved_tree, leaves)
        policy.ctx._rule = label(self.cls, method)
        flags = tree.unflatten(self.in_tree, wanted)
        policy.needs_grad = tuple(any(tree.leaves(argument)) for argument in flags)
        return policy

    # --- Reverse mode ---
    def pull(
        self, cotangents: list[Array | None], outputs: tuple[Array, ...], kept: tuple[Array, ...], wanted: list[bool]
    ) -> list[Array | None]:
        """Run backward and return one checked gradient per input leaf; None is zero, or was not wanted."""
        policy = self.instance("backward", outputs, kept, wanted)
        given = [self._missing(meta) if g is None else g for g, meta in zip(cotangents, self.outputs, strict=True)]
        returned = self._run(policy, "backward", (tree.unflatten(self.out_tree, given),), (*cotangents, *kept))
        return gradients_of(self.cls, returned, self.in_tree, self.inputs, wanted)

    def _missing(self, meta: Meta) -> Any:
        """Return what stands for a derivative that did not arrive."""
        if not self.cls.symbolic_zeros:
            return meta.zeros()
        return meta.zero() if meta.differentiable else NoDerivative(f"its dtype is {meta.dtype}")

    def _run(self, policy: Any, method: str, given: tuple[Any, ...], known: tuple[Any, ...]) -> Any:
        try:
            if not self.cls.raw:
                return getattr(policy, method)(*given)
            _policy_raw.refuse_second_order(self.cls, known)
            return _policy_raw.run_rule(self.cls, policy, method, given)
        except Exception as error:
            explain(error, self.cls, method)
            raise

    # --- Forward mode ---
    def push(
        self, tangents: list[Array | None], outputs: tuple[Array, ...], kept: tuple[Array, ...]
    ) -> tuple[Array | None, ...]:
        """Return the outputs' tangents: by the Policy's jvp, or by transposing its backward."""
        wanted = [t is not None for t in tangents]
        if hasattr(self.cls, "jvp"):
            full = [
                None if meta is None else self._missing(meta) if t is None else t
                for t, meta in zip(tangents, self.inputs, strict=True)
            ]
            policy = self.instance("jvp", outputs, kept, wanted)
            returned = self._run(policy, "jvp", tree.unflatten(self.in_tree, full), (*tangents, *kept))
            return tuple(tangents_of(self.cls, returned, self.out_tree, self.outputs))
        if self.cls.raw:
            raise PolicyError(
                f"{self.name}: has raw = True, so its backward cannot be transposed for forward mode; define "
                "jvp(self, *tangents), or write forward and backward with Arrays"
            )
        try:
            return tuple(
                transpose(
                    lambda cotangents: self.pull(list(cotangents), outputs, kept, wanted),
                    [meta.zeros() for meta in self.outputs],
                    tangents,
                )
            )
        except NotLinearError as error:
            raise PolicyError(
                f"{self.name}: forward mode needs the transpose of backward, but backward is not linear in its "
                f"cotangent ({error}); define jvp(self, *tangents)"
            ) from None


def explain(error: Exception, cls: Any, method: str) -> None:
    """Say on an error that does not come from here whose rule it comes from."""
    if not isinstance(error, PolicyError | NotLinearError):
        error.add_note(f"raised in {label(cls, method)}")


@primitive(multi=True)
def policy_call(*arrays: Array, rule: Rule) -> tuple[Array, ...]:
    """Run a Policy's rule as one op.

    Its arrays are the inputs, those in its options, the outputs as forward made them, and what it saved.
    """
    raise AssertionError("policy_call is shown to levels by Policy, never called")


@policy_call.record_with
def _(level: Recorder, wanted: list[int], args: Args, params: Params, out: tuple[Array, ...]) -> None:
    rule: Rule = params["rule"]
    numbers = rule.numbers()
    targets = [i for i in wanted if i < len(numbers)]
    if not targets:
        return
    wants = [False] * len(rule.inputs)
    for i in targets:
        wants[numbers[i]] = True
    outputs = out if rule.keeps_outputs(wants) else ()
    ids = tuple(o._id if is_differentiable(o) else 0 for o in out)
    level.watched.update(filter(None, ids))

    def pull(g: tuple[Array | None, ...], entry: tuple[Any, ...], grads: dict[int, Array]) -> None:
        _, _, sources, results, kept = entry
        gradients = rule.pull(list(g), results, kept, wants)
        for i, source in zip(targets, sources, strict=True):
            gradient = gradients[numbers[i]]
            if gradient is not None:
                accumulate(grads, source, gradient)

    level.entries.append((pull, ids, tuple(args[i]._id for i in targets), outputs, _kept(rule, args)))


@policy_call.jvp
def _(tangents: tuple[Array | None, ...], arrays: tuple[Array, ...], out: tuple[Array, ...], *, rule: Rule) -> Any:
    numbers = rule.numbers()
    full: list[Array | None] = [None] * len(rule.inputs)
    for i, tangent in zip(numbers, tangents, strict=False):
        full[i] = tangent
    if all(t is None for t in full):
        return (None,) * len(out)
    return rule.push(full, out, _kept(rule, arrays))


def _kept(rule: Rule, args: Args) -> Args:
    """Return which of the op's arguments were saved."""
    return args[len(rule.operands()) + len(rule.outputs) :]


policy_call.batch(missing="policy_call is shown to levels, never run; under vmap, forward runs on batched arrays")
