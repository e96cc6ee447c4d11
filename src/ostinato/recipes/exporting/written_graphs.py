"""Models that write a text, as graphs: an encoder, and a decoder step whose states and memory go in and out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ostinato.exporting.graph import Around, Axis, Graph, Port, flat
from ostinato.exporting.layers import StateNames, drawn
from ostinato.models.writing.decoder import AttentionDecoder, DecoderState
from ostinato.nn.attention import Memory
from ostinato.recipes.exporting.exported import drawn_tokens, tokens_port
from ostinato.types import Tensor

Draw = Callable[[Mapping[str, int], torch.Generator], list[Tensor]]


class _Encoder(Around):
    """The encoder's graph: what the decoder starts from, memory and then states."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, ...]:
        """The memory and the first states."""
        state: DecoderState = self.model.encode(input) if lengths is None else self.model.encode(input, lengths)
        rows = input.shape[0 if lengths is None else 1]
        memory = [] if state.memory is None else [v for v in state.memory if v is not None]
        return (*memory, *_begun(self.model.decoder, state, input, rows))


def _begun(decoder: AttentionDecoder, state: DecoderState, like: Tensor, rows: Any) -> list[Tensor]:
    """The states before the first token: the encoder's, or else the layer's own first states."""
    layer = decoder.recurrent
    if state.hidden is not None:
        return flat(state.hidden)
    zeros = torch.zeros(1, rows, layer.input_size, device=like.device)
    return flat(layer._layout.close(layer._first_states(zeros, rows), True))


class _Step(Around):
    """A decoder step as a graph, one token a row: log p of the next, where it looked, what it remembers, states."""

    def __init__(self, decoder: AttentionDecoder, names: Sequence[str]) -> None:
        super().__init__()
        self.decoder, self._names = decoder, list(names)
        self._states = StateNames(decoder.recurrent)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs that the graph's ports name."""
        given = dict(zip(self._names, inputs, strict=True))
        memory = Memory(given["values"], given["keys"], given.get("valid")) if "values" in given else None
        states = [v for name, v in given.items() if name.partition("_")[2].startswith("0")]
        state = DecoderState(self._states.opened(states), memory, 1, given.get("fed"), given.get("coverage"))
        written = self.decoder._one(given["tokens"], state)
        log_p, after = torch.log_softmax(self.decoder.logits(written.readout[0]), 1), written.state
        beside = [v for v in (after.weights, after.fed, after.coverage) if v is not None]
        return (log_p, *beside, *flat(after.hidden))


def graphs_of(
    model: Any, inputs: Sequence[Port], draw: Draw, places: Axis, *, has_lengths: bool, size: int
) -> tuple[Graph, Graph]:
    """The graphs of the encoder and of a decoder step.

    Args:
        model: a `Seq2Seq` or a `Captioner`.
        inputs: the inputs of the encoder.
        draw: makes random inputs.
        places: the places of the memory: their number, or the letter of their axis.
        has_lengths: whether rows may have fewer places.
        size: V, the number of tokens.
    """
    decoder: AttentionDecoder = model.decoder
    states = StateNames(decoder.recurrent)
    memory: list[Port] = []
    if (attention := decoder.attention_layer) is not None:
        width = attention.memory_size if attention.key is None else attention.key.out_features
        memory = [
            Port("values", (places, "B", attention.memory_size), "what is looked at"),
            Port("keys", (places, "B", width), "what it is found by"),
            *([Port("valid", ("B", places), "which places are there, bool")] * has_lengths),
        ]
    encoder = Graph(
        "encoder",
        _Encoder(model),
        tuple(inputs),
        (*memory, *states.ports("0", "states before the first token")),
        draw,
        prefix="model.",
    )
    tokens = tokens_port("tokens", ("B",), size)
    fed = [Port("fed", ("B", decoder.readout_size), "of the step before, zeros at first")] * decoder.input_feeding
    has_coverage = attention is not None and attention.coverage is not None
    covered = [Port("coverage", ("B", places), "how much was looked at so far, zeros at first")] * has_coverage
    before = [tokens, *memory, *fed, *covered, *states.ports("0", "states before the token")]
    looked = [Port("weights", ("B", places), "where the step looked")] * (attention is not None)
    renamed = [Port(f"{port.name}_n", port.axes, f"the same after it: {port.name}") for port in (*fed, *covered)]
    after = [Port("log_p", ("B", size), "of the next token, nats"), *looked, *renamed]

    def draw_step(sizes: Mapping[str, int], generator: torch.Generator) -> list[Tensor]:
        found = [drawn_tokens(("B",), size, sizes, generator)]
        for port in before[1:]:
            if port.name == "valid":
                count = sizes[places] if isinstance(places, str) else places
                lengths = torch.randint(1, count + 1, (sizes["B"], 1), generator=generator, device="cpu")
                found.append(torch.arange(count) < lengths)
            else:
                v = 0.5 * drawn(port.axes, sizes, generator)
                found.append(v.abs() if port.name == "coverage" else v)
        return found

    wrapper = _Step(decoder, [port.name for port in before])
    step = Graph(
        "step",
        wrapper,
        tuple(before),
        (*after, *states.ports("n", "states after the token")),
        draw_step,
        prefix="decoder.",
    )
    return encoder, step
