"""What the tests of the catalogue share: derivatives by differences, streams, and the figures of authors' own code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ostinato import Recurrent, Stream
from tests.cells.equations import Array, Step, Trial


def follows(trial: Trial, step: Step) -> None:
    """Assert that the layer computes these equations, and its backward pass their derivatives; `step` as in `Trial.follows`."""
    trial.follows(step)
    x = trial.input.requires_grad_()
    given = tuple(v[None] for v in trial.first)
    _, _, states = trial.layer(x, given[0] if len(given) == 1 else given, return_states=True)
    torch.stack([(v * v.detach().cos()).sum() for (v,) in states.values()]).sum().backward()
    trial.input = x.detach()
    factors = [np.cos(v.detach().numpy()) for (v,) in states.values()]
    for name, v in [("input", x), *trial.layer.named_parameters()]:
        assert v.grad is not None, name
        # The tensors of the trial share their memory with the arrays of the equations.
        by_differences = _differences(v.detach().numpy().reshape(-1), lambda: _weighted(trial, step, factors))
        np.testing.assert_allclose(v.grad.numpy().reshape(-1), by_differences, rtol=1e-6, atol=1e-7, err_msg=name)


def _differences(values: Array, function: Any, by: float = 1e-5) -> Array:
    found = np.empty_like(values)
    for at, value in enumerate(values.copy()):
        ends = []
        for moved in (value + by, value - by):
            values[at] = moved
            ends.append(function())
        values[at] = value
        found[at] = (ends[0] - ends[1]) / (2 * by)
    return found


def _weighted(trial: Trial, step: Step, factors: Sequence[Array]) -> float:
    total = 0.0
    steps, rows = trial.input.shape[:2]
    for b in range(rows):
        states = tuple(v[b].numpy() for v in trial.first)
        for t in range(steps):
            states = step(trial.input[t, b].numpy(), *states, t, b)
            total += sum(float((f[t, b] * v).sum()) for f, v in zip(factors, states, strict=True))
    return total


def streams(layer: Recurrent) -> None:
    """Assert that a stream of the layer gives what the layer gives."""
    layer = layer.float().eval()
    x = torch.randn(20, layer.input_size, generator=torch.Generator().manual_seed(3))
    stream = Stream(layer)
    with torch.no_grad():
        expected = layer(x[:, None])[0][:, 0]
    torch.testing.assert_close(torch.stack([stream(row) for row in x]), expected, rtol=0, atol=1e-6)


def pattern(seed: int, *shape: int) -> torch.Tensor:
    """Numbers that are easily made in any language: 0.8 sin(seed + 0.9 n), n counting along the last dimension first."""
    return 0.8 * torch.sin(seed + 0.9 * torch.arange(int(np.prod(shape)), dtype=torch.float64)).reshape(shape)


def gives(layer: Recurrent, parameters: Mapping[str, torch.Tensor], figures: Sequence[Sequence[float]]) -> None:
    """Assert what a layer of 2 features and 3 units gives for the input `pattern(0, 4, 2)` from zeros.

    Args:
        layer: any such layer.
        parameters: what it is given, by names without suffix; all others are 0.
        figures: its output at each of the four time steps.
    """
    layer = layer.double()
    left = dict(parameters)
    with torch.no_grad():
        for name, v in layer.named_parameters():
            v.copy_(left.pop(name.removesuffix("_l0"), torch.zeros_like(v)))
        output = layer(pattern(0, 4, 1, 2))[0][:, 0]
    assert not left
    np.testing.assert_allclose(output.numpy(), np.array(figures), rtol=0, atol=2e-9)
