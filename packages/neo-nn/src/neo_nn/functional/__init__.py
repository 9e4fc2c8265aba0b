"""Pure functions that layers are made of: activations and products, each with its kernels and rules."""

from neo_array import log_softmax as log_softmax
from neo_array import softmax as softmax
from neo_array import tanh as tanh
from neo_nn.functional.linear import linear as linear
from neo_nn.functional.relu import relu as relu
from neo_nn.functional.sigmoid import sigmoid as sigmoid
