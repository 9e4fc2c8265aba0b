"""Train spiking neurons through a surrogate gradient (Zenke & Ganguli, 2018), on patterns that differ in timing alone.

A neuron fires when its membrane potential crosses a threshold: a step, whose derivative is zero wherever it exists. A
Policy keeps the step forward, and puts the slope of a fast sigmoid in its place backward. Each input fires once, so
that no count of spikes tells the classes apart: the network has to learn when they come. In two seconds, it prints

    step  20  loss 0.7909
    step  40  loss 0.1232
    step  60  loss 0.0109
    step  80  loss 0.0036
    step 100  loss 0.0018
    test accuracy 1.000
"""

import neo_array as na
import neo_nn as nn
import neo_optim as optim
import neo_tape as nt


@nt.function
class Spike(nt.Policy):
    """Fire where the potential is above the threshold: 1 or 0."""

    def forward(self, above: na.Array, *, steepness: float = 10.0) -> na.Array:
        self.ctx.save(1 + steepness * na.abs(above))
        return (above > 0).astype(above.dtype)

    def backward(self, grad: na.Array) -> tuple[na.Array]:
        (distance,) = self.ctx.release
        return (grad / na.square(distance),)


class Network(nn.Module):
    """A layer of leaky integrate-and-fire neurons, and a readout that integrates their spikes without firing."""

    hidden: nn.Linear
    readout: nn.Linear
    decay: float = nn.static(default=0.9)

    def __call__(self, spikes: na.Array) -> na.Array:
        """Map spikes (batch, time, inputs) to the highest potential of each class's readout (batch, classes)."""
        current = self.hidden(spikes)  # of all times at once: (batch, time, neurons)
        potential = fired = na.zeros_like(current[:, 0])
        output, outputs = self.readout(fired), []
        for t in range(spikes.shape[1]):
            potential = self.decay * potential * (1 - fired) + current[:, t]  # a neuron that fired starts from zero
            fired = Spike(potential - 1.0)
            output = self.decay * output + self.readout(fired)
            outputs.append(output)
        return na.max(na.stack(outputs), axis=0)


def patterns(key: na.random.Key, n: int, classes: int = 4, inputs: int = 20, times: int = 30) -> tuple[na.Array, ...]:
    """Draw n patterns (n, times, inputs) and their classes: each input fires once, around a time of the class's own."""
    of_classes, of_labels, of_jitter = na.random.split(key, 3)
    typical = na.random.randint(of_classes, (classes, inputs), 3, times - 3)
    labels = na.random.randint(of_labels, (n,), 0, classes)
    when = typical[labels] + na.random.randint(of_jitter, (n, inputs), -3, 4)
    return na.moveaxis(na.one_hot(when, times), -1, 1), labels


def loss(network: Network, spikes: na.Array, labels: na.Array) -> na.Array:
    return nn.losses.cross_entropy(network(spikes), labels)


def main(steps: int = 100) -> tuple[float, float, float]:
    """Train; return the first and the last loss, and the accuracy on patterns held out."""
    of_data, of_hidden, of_readout = na.random.split(na.random.key(0), 3)
    spikes, labels = patterns(of_data, 512)
    network = Network(nn.Linear.init(of_hidden, 20, 50), nn.Linear.init(of_readout, 50, 4))
    optimizer = optim.adam(0.01)
    state = optimizer.init(network)
    losses = []
    for step in range(1, steps + 1):
        value, grads = nt.value_and_grad(loss)(network, spikes[:256], labels[:256])
        network, state = optim.step(optimizer, network, grads, state, donate=True)
        losses.append(float(value))
        if step % 20 == 0:
            print(f"step {step:3d}  loss {losses[-1]:.4f}")
    accuracy = float(na.mean(na.argmax(network(spikes[256:]), axis=1) == labels[256:]))
    print(f"test accuracy {accuracy:.3f}")
    return losses[0], losses[-1], accuracy


if __name__ == "__main__":
    main()
