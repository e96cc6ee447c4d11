"""What the tests of the cells share: a layer's weights by gate as numpy arrays, and a loop over one sequence at a time.

Nothing of Ostinato's steps is used here: the tests write the equations of the papers on single vectors, gate by gate, and this
module only reads the `state_dict` and runs them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ostinato import Recurrent, Stream

Array = np.ndarray[Any, Any]
Step = Callable[..., Any]


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def normalised(a: Array, gain: Array, eps: float = 1e-5) -> Array:
    """Ba et al. 2016, (4), without its shift: a centred and scaled by its own mean and variance."""
    mean = a.sum() / len(a)
    variance = ((a - mean) ** 2).sum() / len(a)
    return gain * (a - mean) / np.sqrt(variance + eps)


def waves(step: float, *shape: int) -> torch.Tensor:
    """Numbers that any program can make again: sin(step), sin(2 step), ..., row by row."""
    return torch.sin(step * torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)).view(shape)


@torch.no_grad()
def fill_with_waves(layer: torch.nn.Module, **steps: float) -> None:
    """Parameters by their names without suffix as `waves`; all others are zero."""
    for name, parameter in layer.named_parameters():
        step = steps.pop(name.removesuffix("_l0"), 0.0)
        parameter.copy_(waves(step, *parameter.shape))
    assert not steps, steps


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
    """A layer with all its parameters random, an input `(T, B, I)` and first states `(B, H)` for it, in float64.

    Extras are `(T, B)` or `(T, B, width)` by name; a test draws them.
    """

    layer: Recurrent
    input: torch.Tensor
    first: tuple[torch.Tensor, ...]
    extras: dict[str, torch.Tensor] = field(default_factory=dict[str, torch.Tensor])

    @classmethod
    def of(cls, layer: Recurrent, steps: int = 5, rows: int = 3, seed: int = 7) -> Trial:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        layer = layer.double()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(0.7 * draw(*parameter.shape))
        shapes = layer.cell.state_shapes(layer.hidden_sizes[0], layer.proj_size, layer.input_size)
        first = tuple(0.5 * draw(rows, *shape) for shape in shapes.values())
        return cls(layer, draw(steps, rows, layer.input_size), first)

    def states(self) -> list[Array]:
        """Every state of every step as the layer computes it, `(T, B, H)` each."""
        given = tuple(v[None] for v in self.first)
        with torch.no_grad():
            first = given[0] if len(given) == 1 else given
            _, _, states = self.layer(self.input, first, return_states=True, **self.extras)
        every = zip(states.values(), self.first, strict=True)
        return [layers[0].view(*self.input.shape[:2], *v.shape[1:]).numpy() for layers, v in every]

    def follows(self, step: Step) -> None:
        """Assert that the layer computes what `step(x_t, *states, t, b) -> states` does, vector by vector."""
        for name, (seen, wanted) in enumerate(zip(self.states(), self._run(step), strict=True)):
            np.testing.assert_allclose(seen, wanted, rtol=1e-11, atol=1e-12, err_msg=f"state {name}")

    def _run(self, step: Step) -> list[Array]:
        """Every state of every step as `step` computes it."""
        found = [np.zeros((*self.input.shape[:2], *v.shape[1:])) for v in self.first]
        for b in range(self.input.shape[1]):
            states = tuple(v[b].numpy() for v in self.first)
            for t in range(self.input.shape[0]):
                states = step(self.input[t, b].detach().numpy(), *states, t, b)
                for seen, v in zip(found, states, strict=True):
                    seen[t, b] = v
        return found

    def has_the_gradients_of(self, step: Step, *names: str) -> None:
        """Assert that gradients of a sum of all states are what differences of `step` say: for the input and these parameters.

        `step` must read its weights when it is called, as `Weights` of this layer does.
        """
        factors = [waves(0.3 + n, *self.input.shape[:2], *v.shape[1:]) for n, v in enumerate(self.first)]

        def loss() -> float:
            return sum(float((f.numpy() * v).sum()) for f, v in zip(factors, self._run(step), strict=True))

        given = tuple(v[None] for v in self.first)
        x = self.input.clone().requires_grad_()
        _, _, states = self.layer(x, given[0] if len(given) == 1 else given, return_states=True, **self.extras)
        self.layer.zero_grad()
        torch.stack(
            [(f.view_as(layers[0]) * layers[0]).sum() for f, layers in zip(factors, states.values(), strict=True)]
        ).sum().backward()
        leaves = {"input": (self.input, x.grad)}
        leaves |= {
            name: (p.data, p.grad) for name, p in self.layer.named_parameters() if name.removesuffix("_l0") in names
        }
        assert len(leaves) == 1 + len(names)
        for name, (v, gradient) in leaves.items():
            assert gradient is not None
            flat = v.view(-1)
            for at in {0, len(flat) // 2, len(flat) - 1}:
                old, sides = float(flat[at]), []
                for way in (1e-6, -1e-6):
                    flat[at] = old + way
                    sides.append(loss())
                flat[at] = old
                wanted = (sides[0] - sides[1]) / 2e-6
                np.testing.assert_allclose(
                    float(gradient.view(-1)[at]), wanted, rtol=1e-6, atol=1e-7, err_msg=f"{name} {at}"
                )

    def streams(self) -> None:
        """Assert that a stream of the first row gives what the layer gives."""
        stream = Stream(self.layer.eval())
        given = tuple(v[:1] for v in self.first)
        stream.state = given[0] if len(given) == 1 else given
        for t, wanted in enumerate(self.states()[0]):
            got = stream(self.input[t, 0], **{name: v[t, 0] for name, v in self.extras.items()})
            np.testing.assert_allclose(got.numpy(), wanted[0], rtol=1e-6, atol=1e-6, err_msg=f"t={t}")
