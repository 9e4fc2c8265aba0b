"""Optimizers as composable gradient transformations."""

from neo_optim._optimizers.adam import AdamState as AdamState
from neo_optim._optimizers.adam import adam as adam
from neo_optim._optimizers.adam import scale_by_adam as scale_by_adam
from neo_optim._optimizers.adamw import adamw as adamw
from neo_optim._optimizers.sgd import TraceState as TraceState
from neo_optim._optimizers.sgd import sgd as sgd
from neo_optim._optimizers.sgd import trace as trace
from neo_optim._step import step as step
from neo_optim._transformation import EmptyState as EmptyState
from neo_optim._transformation import GradientTransformation as GradientTransformation
from neo_optim._transformation import apply_updates as apply_updates
from neo_optim._transformation import chain as chain
from neo_optim._transformations.learning_rate import LearningRate as LearningRate
from neo_optim._transformations.learning_rate import LearningRateState as LearningRateState
from neo_optim._transformations.learning_rate import Schedule as Schedule
from neo_optim._transformations.learning_rate import scale_by_learning_rate as scale_by_learning_rate
from neo_optim._transformations.weight_decay import add_decayed_weights as add_decayed_weights
from neo_optim._version import __version__ as __version__
