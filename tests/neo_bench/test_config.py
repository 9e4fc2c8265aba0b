from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from neo_bench.errors import CheckpointError, OptionError
from neo_bench.training.config import TrainConfig, resumed


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"epochs": 0}, "--epochs: out of range, got 0, expected 1 or more"),
        ({"batch_size": 0}, "--batch-size: out of range"),
        ({"optimizer": "rmsprop"}, "--optimizer: out of range, got rmsprop, expected sgd or adam or adamw"),
        ({"lr": -1.0}, "--lr: out of range"),
        ({"lr": float("nan")}, "--lr: out of range, got nan"),
        ({"momentum": 1.0}, "--momentum: out of range"),
        ({"momentum": 0.9, "optimizer": "adam"}, "--momentum: out of range, got 0.9, expected 0 with --optimizer adam"),
        ({"hidden": (256, 0)}, "--hidden: out of range, got 256,0"),
        ({"seed": -1}, "--seed: out of range"),
        ({"dtype": "float16"}, "--dtype: out of range, got float16, expected float32 or float64"),
        ({"against": "jax"}, "--against: out of range, got jax, expected torch"),
        ({"checkpoint_every": 0}, "--checkpoint-every: out of range"),
    ],
)
def test_a_wrong_value_names_its_option(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(OptionError, match=complaint):
        TrainConfig(**change)


def test_a_config_survives_json() -> None:
    config = TrainConfig(hidden=(), against="torch", lr=0.1)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_a_config_of_another_version_is_refused() -> None:
    data = TrainConfig().to_json()
    del data["seed"]
    with pytest.raises(CheckpointError, match="another version"):
        TrainConfig.from_json(data)


def test_resuming_takes_over_what_was_not_given() -> None:
    saved = TrainConfig(lr=0.5, hidden=(8,))
    assert resumed(saved, TrainConfig(), frozenset({"seed"})) == saved


def test_resuming_may_train_longer() -> None:
    asked = TrainConfig(epochs=50, checkpoint_every=5)
    assert resumed(TrainConfig(), asked, frozenset({"epochs", "checkpoint_every"})) == asked


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("lr", 0.2, "--lr: differs from the run to resume, got 0.2, expected 0.5"),
        ("hidden", (8, 8), "--hidden: differs from the run to resume, got 8,8, expected no hidden layer"),
        ("against", "torch", "--against: differs from the run to resume, got torch, expected none"),
        ("batch_size", 3, "--batch-size: differs from the run to resume, got 3, expected 64"),
    ],
)
def test_resuming_with_another_value_names_the_option(field: str, value: Any, complaint: str) -> None:
    saved = TrainConfig(lr=0.5, hidden=())
    with pytest.raises(CheckpointError, match=complaint):
        resumed(saved, replace(saved, **{field: value}), frozenset({field}))
