"""What the tests of the cells share: a layer's weights by gate as numpy arrays, and a loop over one sequence at a time.

Nothing of Ostinato's steps is used here: the tests write the equations of the papers on single vectors, gate by gate, and this
module only reads the `state_dict` and runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ostinato import Recurrent

Array = np.ndarray[Any, Any]
Step = Callable[..., Any]


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def normalised(a: Array, gain: Array, eps: float = 1e-5) -> Array:
    """Ba et al. 2016, (4), without its shift: a centred and scaled by its own mean and variance."""
    mean = a.sum() / len(a)
    variance = ((a - mean) ** 2).sum() / len(a)
    return gain * (a - mean) / np.sqrt(variance + eps)


class Weights:
    """One direction of one layer: `w.x("i")` is W_xi, `w.h("i")` W_hi, `w.b("i")` the sum of both biases; `w["name"]` whole.

    `inputs` are the gates that the input reaches; None for all.
    """

    def __init__(self, layer: torch.nn.Module, gates: str, suffix: str = "_l0", inputs: str | None = None) -> None:
        self._gates = {"ih": (gates if inputs is None else inputs).split(), "hh": gates.split()}
        self._arrays = {
            name.removesuffix(suffix): v.double().numpy()
            for name, v in layer.state_dict().items()
            if name.endswith(suffix)
        }

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def rows(self, name: str, gate: str) -> Array:
        """The rows of one gate, in the order of the gates."""
        whole, gates = self[name], self._gates[name[-2:]]
        at, size = gates.index(gate), len(whole) // len(gates)
        return whole[at * size : (at + 1) * size]

    def x(self, gate: str) -> Array:
        return self.rows("weight_ih", gate)

    def h(self, gate: str) -> Array:
        return self.rows("weight_hh", gate)

    def b(self, gate: str) -> Array:
        return self.rows("bias_ih", gate) + self.rows("bias_hh", gate)


@dataclass
class Trial:
    """A layer with all its parameters random, an input `(T, B, I)` and first states `(B, H)` for it, in float64."""

    layer: Recurrent
    input: torch.Tensor
    first: tuple[torch.Tensor, ...]

    @classmethod
    def of(cls, layer: Recurrent, steps: int = 5, rows: int = 3, seed: int = 7) -> Trial:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        layer = layer.double()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(0.7 * draw(*parameter.shape))
        sizes = layer.cell.state_sizes(layer.hidden_sizes[0], layer.proj_size)
        return cls(layer, draw(steps, rows, layer.input_size), tuple(0.5 * draw(rows, size) for size in sizes.values()))

    def states(self) -> list[Array]:
        """Every state of every step as the layer computes it, `(T, B, H)` each."""
        given = tuple(v[None] for v in self.first)
        with torch.no_grad():
            _, _, states = self.layer(self.input, given[0] if len(given) == 1 else given, return_states=True)
        return [layers[0].numpy() for layers in states.values()]

    def follows(self, step: Step) -> None:
        """Assert that the layer computes what `step(x_t, *states, t, b) -> states` does, vector by vector."""
        got = self.states()
        steps, rows = self.input.shape[:2]
        for b in range(rows):
            states = tuple(v[b].numpy() for v in self.first)
            for t in range(steps):
                states = step(self.input[t, b].numpy(), *states, t, b)
                for seen, wanted in zip(got, states, strict=True):
                    np.testing.assert_allclose(seen[t, b], wanted, rtol=1e-11, atol=1e-12, err_msg=f"t={t}, b={b}")
