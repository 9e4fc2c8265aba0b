"""TrainConfig: everything that decides what a training run computes, and how a resumed run must agree with it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, fields, replace
from typing import Final

from neo_bench.errors import CheckpointError, OptionError

OPTIMIZERS: Final = {"sgd": 0.1, "adam": 1e-3, "adamw": 1e-3}
"""Optimizers by name, each with its default learning rate."""
DTYPES: Final = ("float32", "float64")
_EXTENDABLE: Final = frozenset({"epochs", "checkpoint_every"})


@dataclass(frozen=True)
class TrainConfig:
    """A training run: the same config on the same device computes the same parameters, bit for bit."""

    dataset: str = "digits"
    epochs: int = 20
    batch_size: int = 64
    optimizer: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.0
    hidden: tuple[int, ...] = (256, 64)
    seed: int = 0
    device: str = "numpy"
    dtype: str = "float32"
    against: str | None = None
    checkpoint_every: int = 1

    def __post_init__(self) -> None:
        """Check each value by itself; names of devices and datasets are checked where they are looked up."""
        self._require(self.epochs >= 1, "epochs", "1 or more")
        self._require(self.batch_size >= 1, "batch_size", "1 or more")
        self._require(self.optimizer in OPTIMIZERS, "optimizer", " or ".join(OPTIMIZERS))
        self._require(0 < self.lr < float("inf"), "lr", "a number above 0")
        self._require(0 <= self.momentum < 1, "momentum", "a number from 0 to below 1")
        self._require(self.momentum == 0 or self.optimizer == "sgd", "momentum", f"0 with --optimizer {self.optimizer}")
        self._require(all(width >= 1 for width in self.hidden), "hidden", "widths of 1 or more, like 256,64")
        self._require(self.seed >= 0, "seed", "0 or more")
        self._require(self.dtype in DTYPES, "dtype", " or ".join(DTYPES))
        self._require(self.against in (None, "torch"), "against", "torch")
        self._require(self.checkpoint_every >= 1, "checkpoint_every", "1 or more")

    def to_json(self) -> dict[str, object]:
        """Return the fields as JSON holds them."""
        contents: dict[str, object] = asdict(self)
        return contents | {"hidden": list(self.hidden)}

    @classmethod
    def from_json(cls, data: dict[str, object], /) -> TrainConfig:
        """Return the config that `to_json` wrote; raise CheckpointError if the fields are others."""
        names = {field.name for field in fields(cls)}
        if data.keys() != names:
            raise CheckpointError(
                f"checkpoint: written by another version, got options {sorted(data)}, expected {sorted(names)}; "
                "train anew"
            )
        hidden = data["hidden"]
        assert isinstance(hidden, list), "to_json writes a list"
        return cls(**data | {"hidden": tuple(hidden)})  # type: ignore[arg-type]  # what to_json wrote fits

    def _require(self, condition: bool, name: str, expected: str, /) -> None:
        if not condition:
            value = getattr(self, name)
            raise OptionError(f"{flag(name)}: out of range, got {shown(value)}, expected {expected}")


def resumed(saved: TrainConfig, asked: TrainConfig, given: AbstractSet[str], /) -> TrainConfig:
    """Return the config that continues `saved`; of `asked`, only the options `given` on the command line count.

    They may raise the number of epochs and move the checkpoints; whatever changes the numbers raises CheckpointError.
    """
    for field in fields(TrainConfig):
        was, now = getattr(saved, field.name), getattr(asked, field.name)
        if field.name in given - _EXTENDABLE and was != now:
            raise CheckpointError(
                f"{flag(field.name)}: differs from the run to resume, got {shown(now)}, expected {shown(was)}; "
                f"leave {flag(field.name)} out to continue that run, or start another with another --output"
            )
    changes = {name: getattr(asked, name) for name in given & _EXTENDABLE}
    return replace(saved, **changes)


def flag(name: str, /) -> str:
    """Return the command-line option that sets a field."""
    return "--" + name.replace("_", "-")


def shown(value: object, /) -> str:
    """Return a field's value as it is written on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "no hidden layer"
    return "none" if value is None else str(value)
