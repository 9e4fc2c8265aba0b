"""Losses: from predictions and targets to a scalar, or to one value per element with `reduction="none"`."""

from neo_nn.losses.bce import bce_with_logits as bce_with_logits
from neo_nn.losses.cross_entropy import cross_entropy as cross_entropy
from neo_nn.losses.mse import mse as mse
