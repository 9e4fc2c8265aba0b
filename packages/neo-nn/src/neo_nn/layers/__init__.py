"""Layers, one file each."""

from neo_nn.layers.flatten import Flatten as Flatten
from neo_nn.layers.function import Identity as Identity
from neo_nn.layers.function import Lambda as Lambda
from neo_nn.layers.linear import Linear as Linear
from neo_nn.layers.mlp import MLP as MLP
from neo_nn.layers.sequential import Sequential as Sequential
