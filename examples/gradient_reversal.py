"""Adapt a classifier to a domain without labels, by gradient reversal (Ganin & Lempitsky, 2015).

In the source domain the background of a picture gives its label away; in the target domain the background misleads. A
second network learns to tell the domains apart by the features, and its gradient reaches them with the sign turned:
they learn to hide the domain, so that the label has to be told by the object. In one second, it prints

    without reversal: accuracy 1.000 in the source domain, 0.558 in the target domain
       with reversal: accuracy 0.998 in the source domain, 0.954 in the target domain
"""

import neo_array as na
import neo_nn as nn
import neo_optim as optim
import neo_tape as nt


@nt.function
class Reverse(nt.Policy[float]):
    """Pass features on; pass their gradient back with its sign turned."""

    def forward(self, features: na.Array, *, strength: float = 1.0) -> na.Array:
        self.ctx.save(strength)
        return features

    def backward(self, grad: na.Array) -> tuple[na.Array]:
        (strength,) = self.ctx.release
        return (-strength * grad,)


class Model(nn.Module):
    """Features, the label that they tell, and the domain that they should not tell."""

    features: nn.MLP
    label: nn.Linear
    domain: nn.MLP


def pictures(key: na.random.Key, n: int, shift: float) -> tuple[na.Array, na.Array]:
    """Draw n pictures, their object and background one number each, and their labels; `shift` moves the background."""
    of_labels, of_noise = na.random.split(key)
    labels = na.random.bernoulli(of_labels, 0.5, (n,)).astype(na.float32)
    side = 2 * labels - 1
    return na.stack([side, 1.5 * side + shift], axis=1) + 0.5 * na.random.normal(of_noise, (n, 2)), labels


def loss(model: Model, source: na.Array, labels: na.Array, target: na.Array, strength: float) -> na.Array:
    """Add up how badly labels are told, which are known in the source domain only, and domains, in both."""
    from_source, from_target = model.features(source), model.features(target)
    of_labels = nn.losses.bce_with_logits(model.label(from_source)[:, 0], labels)
    features = Reverse(na.concat([from_source, from_target]), strength=strength)
    domains = na.concat([na.zeros(len(source)), na.ones(len(target))])
    return of_labels + nn.losses.bce_with_logits(model.domain(features)[:, 0], domains)


def accuracy(model: Model, x: na.Array, labels: na.Array) -> float:
    return float(na.mean((model.label(model.features(x))[:, 0] > 0) == (labels > 0.5)))


def train(strength: float, steps: int = 400) -> tuple[float, float]:
    """Train, and return the accuracies on pictures held out of the source domain and of the target domain."""
    of_source, of_target, of_features, of_label, of_domain = na.random.split(na.random.key(0), 5)
    source, labels = pictures(of_source, 1000, shift=0.0)
    target, unknown = pictures(of_target, 1000, shift=3.0)
    model = Model(
        nn.MLP.init(of_features, (2, 16, 8)), nn.Linear.init(of_label, 8, 1), nn.MLP.init(of_domain, (8, 16, 1))
    )
    optimizer = optim.sgd(0.1)
    state = optimizer.init(model)
    for _ in range(steps):
        grads = nt.grad(loss)(model, source[:500], labels[:500], target[:500], strength)
        model, state = optim.step(optimizer, model, grads, state, donate=True)
    return accuracy(model, source[500:], labels[500:]), accuracy(model, target[500:], unknown[500:])


def main() -> tuple[float, float]:
    """Train without and with reversal; return both accuracies in the target domain."""
    plain, adapted = train(strength=0.0), train(strength=1.0)
    for name, (source, target) in (("without", plain), ("with", adapted)):
        print(f"{name:>7} reversal: accuracy {source:.3f} in the source domain, {target:.3f} in the target domain")
    return plain[1], adapted[1]


if __name__ == "__main__":
    main()
