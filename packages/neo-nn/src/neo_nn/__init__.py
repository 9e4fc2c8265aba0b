"""Neural network layers that are plain pytrees, initialisers, losses and checkpoints."""

from neo_nn import functional as functional
from neo_nn import initializers as initializers
from neo_nn import losses as losses
from neo_nn._errors import CheckpointError as CheckpointError
from neo_nn._module import Module as Module
from neo_nn._module import static as static
from neo_nn._save import load as load
from neo_nn._save import load_metadata as load_metadata
from neo_nn._save import save as save
from neo_nn._version import __version__ as __version__
from neo_nn.functional import linear as linear
from neo_nn.functional import log_softmax as log_softmax
from neo_nn.functional import relu as relu
from neo_nn.functional import sigmoid as sigmoid
from neo_nn.functional import softmax as softmax
from neo_nn.functional import tanh as tanh
from neo_nn.layers import MLP as MLP
from neo_nn.layers import Flatten as Flatten
from neo_nn.layers import Identity as Identity
from neo_nn.layers import Lambda as Lambda
from neo_nn.layers import Linear as Linear
from neo_nn.layers import Sequential as Sequential
