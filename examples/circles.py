"""Tell two noisy circles apart with a 2-10-1 network: one second, at least 0.98 right of 250 points held out."""

import math

import neo_array as na
import neo_nn as nn
import neo_optim as optim
import neo_tape as nt


def circles(key: na.Array, n: int, noise: float = 0.05) -> tuple[na.Array, na.Array]:
    """Draw n points on circles of radius 1 (label 0) and 0.5 (label 1)."""
    of_angle, of_side, of_noise = na.random.split(key, 3)
    angle = na.random.uniform(of_angle, (n, 1), maxval=2 * math.pi)
    label = na.random.bernoulli(of_side, 0.5, (n, 1)).astype(na.float32)
    points = na.concat([na.cos(angle), na.sin(angle)], axis=1) * (1 - 0.5 * label)
    return points + noise * na.random.normal(of_noise, (n, 2)), label


def main(steps: int = 1000) -> float:
    """Train, and return the accuracy on the points held out."""
    of_data, of_model = na.random.split(na.random.key(0))
    x, y = circles(of_data, 1000)
    model = nn.MLP.init(of_model, (2, 10, 1), activation=nn.relu)
    optimizer = optim.sgd(0.15, momentum=0.9)
    state = optimizer.init(model)
    loss_and_grad = nt.value_and_grad(lambda m, x, y: nn.losses.bce_with_logits(m(x), y))
    for step in range(1, steps + 1):
        loss, grads = loss_and_grad(model, x[:750], y[:750])
        model, state = optim.step(optimizer, model, grads, state, donate=True)
        if step % 200 == 0:
            print(f"step {step:4d}  loss {loss.item():.4f}")
    accuracy = na.mean((model(x[750:]) > 0) == (y[750:] > 0.5))
    print(f"test accuracy {accuracy.item():.3f}")
    return float(accuracy)


if __name__ == "__main__":
    main()
