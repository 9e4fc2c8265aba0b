"""Clip each example's gradient, so that five wild targets in a hundred cannot pull a regression off.

`vmap` of a gradient gives the gradients of all examples in one pass. In one second, it prints

    distance from the true weights: 0.010 with clipping, 16.999 without
"""

import neo_array as na
import neo_nn as nn
import neo_tape as nt


def data(key: na.Array, n: int = 500) -> tuple[na.Array, na.Array, na.Array]:
    """Draw inputs, the weights behind the targets, and targets of which one in twenty is 1,000 too large."""
    of_x, of_weights, of_noise = na.random.split(key, 3)
    x, weights = na.random.normal(of_x, (n, 3)), na.random.normal(of_weights, (3,))
    wild = na.where(na.arange(n) % 20 == 0, 1000.0, 0.0)
    return x, weights, x @ weights + 0.1 * na.random.normal(of_noise, (n,)) + wild


def loss(model: nn.Linear, x: na.Array, y: na.Array) -> na.Array:
    """Return the squared error of one example: x (3,), y ()."""
    return nn.losses.mse(model(x)[0], y)


def clipped_gradient(model: nn.Linear, x: na.Array, y: na.Array, limit: float) -> nn.Linear:
    """Return the mean of the examples' gradients, each scaled down to a norm of `limit` at most."""
    grads = nt.vmap(nt.grad(loss), in_axes=(None, 0, 0))(model, x, y)  # each leaf has the examples along axis 0
    squares = [na.sum(na.reshape(g * g, (len(x), -1)), axis=1) for g in na.tree.leaves(grads)]
    scale = na.minimum(1.0, limit / na.sqrt(na.sum(na.stack(squares), axis=0))) / len(x)
    return na.tree.tree_map(lambda g: na.tensordot(scale, g, axes=1), grads)


def fit(x: na.Array, y: na.Array, limit: float, steps: int = 400) -> nn.Linear:
    """Descend along the mean of the clipped gradients."""
    model = nn.Linear.init(na.random.key(1), 3, 1)
    for _ in range(steps):
        model = na.tree.tree_map(lambda p, g: p - 0.1 * g, model, clipped_gradient(model, x, y, limit))
    return model


def distance(model: nn.Linear, weights: na.Array) -> float:
    """Return how far a model's weights are from the true ones."""
    return float(na.linalg.vector_norm(model.weight[0] - weights))


def main() -> tuple[float, float]:
    """Fit with and without clipping; return how far each is from the weights behind the targets."""
    x, weights, y = data(na.random.key(0))
    clipped, plain = (distance(fit(x, y, limit), weights) for limit in (1.0, float("inf")))
    print(f"distance from the true weights: {clipped:.3f} with clipping, {plain:.3f} without")
    return clipped, plain


if __name__ == "__main__":
    main()
