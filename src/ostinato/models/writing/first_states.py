"""The first states of a decoder, from the last states of an encoder or from one vector."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.nn import Recurrent

BridgeName: TypeAlias = Literal["linear", "copy", "none"]
BRIDGES: tuple[BridgeName, ...] = ("linear", "copy", "none")


def _state_shapes(stack: Recurrent) -> list[dict[str, tuple[int, ...]]]:
    """For each layer the shape of each state in a row: most are vectors, some as wide as the layer's input, some matrices."""
    sizes = zip(stack.hidden_sizes, stack.layer_input_sizes, strict=True)
    return [stack.cell.state_shapes(hidden, stack.proj_size, inputs) for hidden, inputs in sizes]


class _DecoderStates(nn.Module):
    """The states of a `decoder`, a stack of one direction: their names, shapes and sizes."""

    def __init__(self, decoder: Recurrent):
        super().__init__()
        self.states = list(decoder.cell.states)
        self.shapes = _state_shapes(decoder)
        self.sizes = [{state: math.prod(shape) for state, shape in layer.items()} for layer in self.shapes]

    def _laid_out(self, make: Callable[[int, int], torch.Tensor], *, through_tanh: bool = True) -> Any:
        """All states, laid out for the layers; `make` gives the n-th of a layer, (B, size); memory cells have no tanh."""
        made: list[Any] = []
        for n, state in enumerate(self.states):
            shapes = [layer[state] for layer in self.shapes]
            parts = [make(n, layer).unflatten(-1, shape).unsqueeze(0) for layer, shape in enumerate(shapes)]
            parts = [torch.tanh(part) for part in parts] if through_tanh and state != "c" else parts
            made.append(torch.cat(parts) if len(set(shapes)) == 1 else parts)
        return tuple(made) if len(made) > 1 else made[0]


class Bridge(_DecoderStates):
    """From the last states of an encoder to the first states of a decoder.

    | bridge | first state of a decoder's layer |
    | --- | --- |
    | linear | W v + b with v the last states of both directions of the encoder's layer, through tanh except for memory cells (Bahdanau et al. 2015, A.2.2, who take one direction) |
    | copy | v itself: widths and states must be the same (Sutskever et al. 2014) |
    | none | the first state of the decoder's layers themselves |

    The top layers correspond; if the encoder has fewer layers, its lowest one serves several. A decoder state that the
    encoder does not have is made from the encoder's first state, h.

    Args:
        name: one of the names above.
        encoder: any stack.
        decoder: a stack of one direction.

    Raises:
        ConfigError: the name is unknown, or "copy" cannot join the stacks.
    """  # noqa: E501

    def __init__(self, name: BridgeName, encoder: Recurrent, decoder: Recurrent):
        super().__init__(decoder)
        if name not in BRIDGES:
            raise ConfigError(f"bridge: expected one of {', '.join(BRIDGES)}, got {name}")
        self.name = name
        self.directions = encoder.num_directions
        self.encoder_states = list(encoder.cell.states)
        read = [{state: math.prod(shape) for state, shape in layer.items()} for layer in _state_shapes(encoder)]
        # For each layer of the decoder the encoder's layer, and for each state the encoder's state.
        self.levels = [max(len(read) - len(self.sizes) + layer, 0) for layer in range(len(self.sizes))]
        self.sources = [state if state in self.encoder_states else self.encoder_states[0] for state in self.states]
        self.layers = nn.ModuleList()
        for state, source in zip(self.states, self.sources, strict=True):
            for level, sizes in zip(self.levels, self.sizes, strict=True):
                wide, size = read[level][source] * self.directions, sizes[state]
                if name == "linear":
                    self.layers.append(nn.Linear(wide, size))
                elif name == "copy" and (wide != size or state not in self.encoder_states):
                    raise ConfigError(
                        f"bridge copy: expected the encoder's state {source} to be as wide as the decoder's {state}, {size} units, "
                        f"got {wide}; use bridge linear"
                    )

    def extra_repr(self) -> str:
        """The name."""
        return self.name

    def forward(self, last: Any) -> Any:
        """The decoder's first states, laid out as its layers take them, or None.

        Args:
            last: the state that the encoder returned beside its output.
        """
        if self.name == "none":
            return None
        by_name = dict(zip(self.encoder_states, last if len(self.encoder_states) > 1 else (last,), strict=True))

        def make(n: int, layer: int) -> torch.Tensor:
            v = self._layer(by_name[self.sources[n]], self.levels[layer])
            return self.layers[n * len(self.sizes) + layer](v) if self.name == "linear" else v

        return self._laid_out(make, through_tanh=self.name == "linear")

    def _layer(self, states: Any, at: int) -> torch.Tensor:
        """The state of one layer, (B, D H), from (L D, B, H), or from a list over layers of (D, B, H)."""
        D = self.directions
        both = states[at * D : (at + 1) * D] if isinstance(states, torch.Tensor) else states[at]
        return both.transpose(0, 1).flatten(1)


class VectorFirstState(_DecoderStates):
    """The first states of layers from one vector: W v + b for each layer and state, through tanh except memory cells.

    Args:
        size: the size of the vector.
        layers: a stack of one direction.
    """

    def __init__(self, size: int, layers: Recurrent):
        super().__init__(layers)
        self.layers = nn.ModuleDict(
            {state: nn.ModuleList(nn.Linear(size, sizes[state]) for sizes in self.sizes) for state in self.states}
        )
        for layer in self.layers.modules():
            if isinstance(layer, nn.Linear):
                # With torch's own small start, a decoder learns to spell long before it learns to look.
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, v: torch.Tensor) -> Any:
        """Turns (B, size) into the states, laid out for the layers."""
        by_state: Any = self.layers
        return self._laid_out(lambda n, layer: by_state[self.states[n]][layer](v))
