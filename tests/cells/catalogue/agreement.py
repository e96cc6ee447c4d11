"""What the tests of the catalogue share: a layer beside equations in numpy, its results and its gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from ostinato import Recurrent
from tests.cells.equations import Array, Step, Trial, Weights

Equations = Callable[[Weights], Step]


def agrees(
    layer: Recurrent, gates: str, equations: Equations, *, inputs: str | None = None, weights: str = "weight_ih"
) -> None:
    """Assert that a layer computes what `equations(weights)` do, and that its gradients are their differences.

    The gradients are those of the input and of some entries of each of `weights`, of a sum of every state of every step with
    factors of its own.
    """
    trial = Trial.of(layer)

    def step() -> Step:
        return equations(Weights(layer, gates, inputs=inputs))

    trial.follows(step())
    x = trial.input.clone().requires_grad_()
    given = tuple(v[None] for v in trial.first)
    _, _, states = layer(x, given[0] if len(given) == 1 else given, return_states=True)
    torch.stack([(v[0] * _factors(v[0].shape)).sum() for v in states.values()]).sum().backward()
    assert x.grad is not None
    learned = {f"{name}_l0": getattr(layer, f"{name}_l0") for name in weights.split()}
    for name, v, gradient in [("input", trial.input, x.grad), *((n, p.detach(), p.grad) for n, p in learned.items())]:
        assert gradient is not None, name
        for at in range(0, v.numel(), max(1, v.numel() // 7)):
            sides: list[float] = []
            for move in (1e-6, -2e-6):
                v.view(-1)[at] += move
                sides.append(_sum(trial, step()))
            v.view(-1)[at] += 1e-6
            wanted = (sides[0] - sides[1]) / 2e-6
            np.testing.assert_allclose(gradient.reshape(-1)[at], wanted, rtol=1e-5, atol=1e-7, err_msg=f"{name} {at}")


def figures(layer: Recurrent, weights: Mapping[str, Sequence[float]], input: Sequence[Sequence[float]]) -> Array:
    """The outputs `(T, H)` of a layer with these weights, row after row, for one sequence; what is not named is zero."""
    layer = layer.double()
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            given = weights.get(name.removesuffix("_l0"), ())
            parameter.copy_(
                torch.tensor(given, dtype=torch.float64).view(parameter.shape) if len(given) else parameter * 0
            )
        assert {f"{name}_l0" for name in weights} <= set(layer.state_dict())
        return layer(torch.tensor(input, dtype=torch.float64)[:, None])[0][:, 0].numpy()


def _factors(shape: Sequence[int]) -> torch.Tensor:
    return torch.arange(1, 1 + int(np.prod(shape)), dtype=torch.float64).cos().view(*shape)


def _sum(trial: Trial, step: Step) -> float:
    """Of every state of every step, as the equations have them."""
    steps, rows = trial.input.shape[:2]
    kept = [np.empty((steps, *v.shape)) for v in trial.first]
    for b in range(rows):
        states = tuple(v[b].numpy() for v in trial.first)
        for t in range(steps):
            states = step(trial.input[t, b].numpy(), *states, t, b)
            for v, state in zip(kept, states, strict=True):
                v[t, b] = state
    return float(sum((v * _factors(v.shape).numpy()).sum() for v in kept))


def wave(count: int, start: float) -> list[float]:
    """Some numbers, 0.8 sin(start + 0.9 n): weights that are easily made in other languages too."""
    return [0.8 * float(np.sin(start + 0.9 * n)) for n in range(count)]


def started(layer: Recurrent, name: str) -> torch.Tensor:
    """A parameter of the first layer."""
    return layer.state_dict()[f"{name}_l0"]


INPUT = [wave(2, 10.0 + t) for t in range(4)]  # of four steps, for `figures`
