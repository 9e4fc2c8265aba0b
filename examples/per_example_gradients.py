"""Clip each example's gradient, so that five wild targets in a hundred cannot pull a regression off: one second."""

from functools import partial

import neo_array as na
import neo_nn as nn
import neo_tape as nt


def data(key: na.Array, n: int = 500) -> tuple[na.Array, na.Array, na.Array]:
    """Draw inputs, the weights behind the targets, and targets of which one in twenty is 1,000 too large."""
    of_x, of_weights, of_noise = na.random.split(key, 3)
    x, weights = na.random.normal(of_x, (n, 3)), na.random.normal(of_weights, (3,))
    wild = na.where(na.arange(n) % 20 == 0, 1000.0, 0.0)
    return x, weights, x @ weights + 0.1 * na.random.normal(of_noise, (n,)) + wild


def fit(x: na.Array, y: na.Array, limit: float, steps: int = 400) -> nn.Linear:
    """Descend along the mean of the examples' gradients, each scaled down to a norm of `limit` at most."""
    model = nn.Linear.init(na.random.key(1), 3, 1)
    gradient = nt.grad(lambda m, x, y: nn.losses.mse(m(x)[0], y))
    of_each = nt.vmap(gradient, in_axes=(None, 0, 0))  # one gradient per row, in one pass
    for _ in range(steps):
        grads = of_each(model, x, y)
        squares = na.stack([na.sum(g * g, axis=tuple(range(1, g.ndim))) for g in na.tree.leaves(grads)])
        scale = na.minimum(1.0, limit / na.sqrt(na.sum(squares, axis=0)))
        mean = na.tree.tree_map(partial(scaled_mean, scale), grads)
        model = na.tree.tree_map(lambda p, g: p - 0.1 * g, model, mean)
    return model


def scaled_mean(scale: na.Array, g: na.Array) -> na.Array:
    """Average gradients (n, ...) scaled by (n,)."""
    return na.mean(g * na.reshape(scale, (-1, *(1,) * (g.ndim - 1))), axis=0)


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
