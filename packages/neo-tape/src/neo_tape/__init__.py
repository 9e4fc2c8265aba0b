"""The functional tape: derivatives of any order, in both modes, and custom rules."""

from neo_array import Array as Array
from neo_array import NoDerivative as NoDerivative
from neo_array import PolicyError as PolicyError
from neo_tape._checkpoint import checkpoint as checkpoint
from neo_tape._checkpoint import checkpoint_sequence as checkpoint_sequence
from neo_tape._checks import check_grads as check_grads
from neo_tape._custom_jvp import custom_jvp as custom_jvp
from neo_tape._custom_vjp import custom_vjp as custom_vjp
from neo_tape._gradients import grad as grad
from neo_tape._gradients import value_and_grad as value_and_grad
from neo_tape._jacobians import hessian as hessian
from neo_tape._jacobians import hvp as hvp
from neo_tape._jacobians import jacfwd as jacfwd
from neo_tape._jacobians import jacrev as jacrev
from neo_tape._linearize import linear_transpose as linear_transpose
from neo_tape._linearize import linearize as linearize
from neo_tape._name import name as name
from neo_tape._policy import Policy as Policy
from neo_tape._policy import function as function
from neo_tape._products import jvp as jvp
from neo_tape._products import vjp as vjp
from neo_tape._stop import stop_gradient as stop_gradient
from neo_tape._transpose import NotLinearError as NotLinearError
from neo_tape._version import __version__ as __version__
from neo_tape._vmap import vmap as vmap
from neo_tape._zero import Zero as Zero
