"""Random numbers from explicit keys: the same key gives the same numbers, on every backend. Nothing is hidden.

Numbers are drawn on the host, and then move to the device that was asked for. Parameters (`loc`, `scale`, `a`, ...)
may be Arrays: draws are then reparameterised, so that derivatives flow to them.
"""

from neo_array.random._discrete import bernoulli as bernoulli
from neo_array.random._discrete import categorical as categorical
from neo_array.random._discrete import permutation as permutation
from neo_array.random._discrete import poisson as poisson
from neo_array.random._discrete import randint as randint
from neo_array.random._gamma import beta as beta
from neo_array.random._gamma import dirichlet as dirichlet
from neo_array.random._gamma import gamma as gamma
from neo_array.random._keys import Key as Key
from neo_array.random._keys import debug_key_reuse as debug_key_reuse
from neo_array.random._keys import fold_in as fold_in
from neo_array.random._keys import key as key
from neo_array.random._keys import split as split
from neo_array.random._location_scale import cauchy as cauchy
from neo_array.random._location_scale import exponential as exponential
from neo_array.random._location_scale import gumbel as gumbel
from neo_array.random._location_scale import laplace as laplace
from neo_array.random._location_scale import logistic as logistic
from neo_array.random._location_scale import normal as normal
from neo_array.random._location_scale import truncated_normal as truncated_normal
from neo_array.random._location_scale import uniform as uniform
from neo_array.random._matrices import multivariate_normal as multivariate_normal
from neo_array.random._matrices import orthogonal as orthogonal
