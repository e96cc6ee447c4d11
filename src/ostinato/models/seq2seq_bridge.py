"""From the last states of an encoder to the first states of a decoder."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.nn import Recurrent

BridgeName: TypeAlias = Literal["linear", "copy", "none"]
BRIDGES: tuple[BridgeName, ...] = ("linear", "copy", "none")


class Bridge(nn.Module):
    """From the last states of an encoder to the first states of a decoder.

    | bridge | first state of a decoder's layer |
    | --- | --- |
    | linear | W v + b with v the last states of both directions of the encoder's layer, through tanh but for memory cells (Bahdanau et al. 2015, A.2.2, who take one direction) |
    | copy | v itself: widths and states must be the same (Sutskever et al. 2014) |
    | none | what the decoder's layers begin with |

    The top layers belong together; where the encoder has fewer layers, its lowest one serves several. A state of the decoder that the
    encoder does not have is made from the encoder's first, h.

    Args:
        name: which.
        encoder: any stack.
        decoder: a stack of one direction.

    Raises:
        ConfigError: an unknown name, or stacks that "copy" cannot join.
    """  # noqa: E501

    def __init__(self, name: BridgeName, encoder: Recurrent, decoder: Recurrent):
        super().__init__()
        if name not in BRIDGES:
            raise ConfigError(f"bridge: expected one of {', '.join(BRIDGES)}, got {name}")
        self.name = name
        self.directions = encoder.num_directions
        self.encoder_states, self.decoder_states = list(encoder.cell.states), list(decoder.cell.states)
        read = [encoder.cell.state_sizes(size, encoder.proj_size) for size in encoder.hidden_sizes]
        made = [decoder.cell.state_sizes(size, decoder.proj_size) for size in decoder.hidden_sizes]
        below = len(read) - len(made)
        # For each state and layer of the decoder: the encoder's state and layer.
        self.sources: list[list[tuple[str, int]]] = []
        for state in self.decoder_states:
            source = state if state in self.encoder_states else self.encoder_states[0]
            self.sources.append([(source, max(below + layer, 0)) for layer in range(len(made))])
        self.is_stacked = len(set(decoder.hidden_sizes)) == 1
        self.layers = nn.ModuleList()
        for state, sources in zip(self.decoder_states, self.sources, strict=True):
            for layer, (source, at) in enumerate(sources):
                wide, size = read[at][source] * self.directions, made[layer][state]
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
            last: what the encoder gave beside its output.
        """
        if self.name == "none":
            return None
        by_name = dict(zip(self.encoder_states, last if len(self.encoder_states) > 1 else (last,), strict=True))
        layers = iter(self.layers)
        made: list[Any] = []
        for state, sources in zip(self.decoder_states, self.sources, strict=True):
            parts = []
            for source, at in sources:
                v = self._layer(by_name[source], at)
                if self.name == "linear":
                    v = next(layers)(v)
                    v = v if state == "c" else torch.tanh(v)
                parts.append(v.unsqueeze(0))
            made.append(torch.cat(parts) if self.is_stacked else parts)
        return tuple(made) if len(made) > 1 else made[0]

    def _layer(self, states: Any, at: int) -> torch.Tensor:
        """(B, D H) of one layer, from (L D, B, H), or a list over layers of (D, B, H)."""
        D = self.directions
        both = states[at * D : (at + 1) * D] if isinstance(states, torch.Tensor) else states[at]
        return both.transpose(0, 1).flatten(1)
