"""A recurrent decoder that looks at a memory: the writing half of a translator or a captioner."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.models.parts.dropout import Dropout, check_rate
from ostinato.models.parts.layers import AnyCell, make_layers, output_size
from ostinato.models.parts.states import map_state
from ostinato.models.writing.decoding import log_softmax
from ostinato.nn.attention import Attended, Attention, Memory, Score

Choice: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From known tokens (B,) and the last readout (B, R) to the tokens that are read instead."""


class DecoderState(NamedTuple):
    """The state of a decoder for N rows.

    Attributes:
        hidden: the state of the recurrent layers; None for their own first state.
        memory: the memory of S sentences; the N / S rows of a sentence are side by side. None without attention.
        rows: N / S, the rows of a sentence.
        fed: (N, R), the last readout, with input feeding.
        coverage: (N, T_mem), with coverage.
        weights: (N, T_mem), where the last step looked; None before the first.
    """

    hidden: Any
    memory: Memory | None
    rows: int = 1
    fed: torch.Tensor | None = None
    coverage: torch.Tensor | None = None
    weights: torch.Tensor | None = None


class Written(NamedTuple):
    """The outputs of a decoder for known tokens.

    Attributes:
        readout: (T, B, R), the input of the output layer.
        weights: (T, B, T_mem), where each step looked; None without attention.
        state: the state after the last step.
    """

    readout: torch.Tensor
    weights: torch.Tensor | None
    state: DecoderState


class AttentionDecoder(nn.Module):
    """p(token t+1 | tokens up to t, memory):

        s_t = recurrent(embedding(token_t) [, r_{t-1}], s_{t-1})
        c_t = attention(s_t, memory),   r_t = tanh(W [s_t, c_t] + b),   logits = V r_t + b

    Without input feeding, step t + 1 needs nothing of step t but s_t: for known tokens the recurrence runs over all
    steps at once, and so does the attention. With it, r_{t-1} is part of the input (the bracket), and steps are
    computed one after the other.

    Any memory (T_mem, B, F) will do: the steps of an encoder, or the cells of an image. The class keeps the protocol of
    `StepDecoder`.

    Source: Luong et al. 2015, arXiv 1508.04025: attention after the recurrence, equation 5, and input feeding, section 3.3.

    Args:
        vocabulary_size: V.
        memory_size: F, the size of each place of the memory; None for a decoder without attention.
        embedding_size: E.
        hidden_size: H, or one number a layer.
        num_layers: the number of recurrent layers.
        cell: the recurrent layer.
        attention: the score, see `ostinato.nn.Attention`; None for none.
        attention_units: the units of the additive score.
        coverage: whether attention sees where it has looked before.
        input_feeding: whether the last readout is part of the input.
        readout_size: R; None for E if `tied`, else for the width of the recurrent layers. Without attention, and with R
            of that width, r_t = s_t.
        dropout: the rate for embeddings, between layers, and for readouts, from 0 to below 1.
        tied: the output layer uses the embedding's weights (Press & Wolf 2017, arXiv 1608.05859); R must be E.
            Embeddings are then multiplied by sqrt(E).
        embedding: an embedding to share, with the same V and E; None for its own.
        options: keyword options of the recurrent layer.

    Raises:
        ConfigError: sizes, rates or options do not fit.
    """  # noqa: D415

    def __init__(
        self,
        vocabulary_size: int,
        memory_size: int | None,
        embedding_size: int = 256,
        hidden_size: int | Sequence[int] = 512,
        num_layers: int = 1,
        cell: AnyCell = "lstm",
        *,
        attention: Score | None = "scaled",
        attention_units: int | None = None,
        coverage: bool = False,
        input_feeding: bool = False,
        readout_size: int | None = None,
        dropout: float = 0.0,
        tied: bool = False,
        embedding: nn.Embedding | None = None,
        options: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        check_rate("dropout", dropout)
        if (attention is None) != (memory_size is None):
            raise ConfigError("attention: expected a score and a memory to look at, or neither")
        self.embedding = nn.Embedding(vocabulary_size, embedding_size) if embedding is None else embedding
        several = num_layers > 1 or (not isinstance(hidden_size, int) and len(hidden_size) > 1)
        widths = [hidden_size] if isinstance(hidden_size, int) else list(hidden_size)
        size = readout_size or (embedding_size if tied else widths[-1])
        if tied and size != embedding_size:
            raise ConfigError(f"tied: expected readout_size equal to embedding_size = {embedding_size}, got {size}")
        self.input_feeding = input_feeding
        self.recurrent = make_layers(
            cell,
            embedding_size + (size if input_feeding else 0),
            hidden_size,
            num_layers,
            options=options,
            dropout=dropout if several else 0.0,
            bidirectional=False,
        )
        width = output_size(self.recurrent)
        self.attention_layer = None
        if attention is not None and memory_size is not None:
            self.attention_layer = Attention(width, memory_size, attention, units=attention_units, coverage=coverage)
        elif coverage:
            raise ConfigError("coverage: expected attention beside it")
        entering = width + (memory_size or 0)
        self.readout = nn.Linear(entering, size) if entering != size or memory_size else None
        self.readout_size = size
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(size, vocabulary_size)
        if tied:
            # With an embedding's N(0, 1) as output weights, logits would begin with a size of sqrt(E).
            nn.init.uniform_(self.embedding.weight, -1.0 / math.sqrt(size), 1.0 / math.sqrt(size))
            self.output.weight = self.embedding.weight
        # Output weights are small; as an input they would hardly count beside the biases (Vaswani et al. 2017, section
        # 3.4).
        self.embedding_scale = math.sqrt(embedding_size) if tied else 1.0

    def begin(
        self, hidden: Any, values: torch.Tensor | None = None, lengths: torch.Tensor | None = None
    ) -> DecoderState:
        """The state before the first token.

        Args:
            hidden: the state of the recurrent layers, laid out as they take it; None for their own first state.
            values: (T_mem, B, F), the memory to look at; None without attention.
            lengths: (B,), how many places each row has; None for all.
        """
        if self.attention_layer is None:
            return DecoderState(hidden, None)
        if values is None:
            raise ConfigError("values: expected a memory (T_mem, B, F) for a decoder with attention, got none")
        return DecoderState(hidden, self.attention_layer.remember(values, lengths))

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """Embeds tokens for the recurrence: (...) int64 to (..., E)."""
        return self.dropout(self.embedding(tokens) * self.embedding_scale)

    def forward(
        self,
        input: torch.Tensor,
        state: DecoderState,
        lengths: torch.Tensor | None = None,
        *,
        choose: Choice | None = None,
    ) -> Written:
        """Reads known tokens.

        Args:
            input: (T, B) int64, T at least 1.
            state: the state before them.
            lengths: (B,), how many tokens each row has; the others change nothing. They save time only without input
                feeding.
            choose: called before each step but the first; steps are then computed one after the other.
        """
        if not self.input_feeding and choose is None:
            x = self.embed(input)
            s, hidden = self.recurrent(x, state.hidden, lengths=lengths)
            return self._read(s, state._replace(hidden=hidden))
        parts, tokens = [], input[0]
        for t in range(len(input)):
            if t > 0:
                tokens = input[t] if choose is None else choose(input[t], parts[-1].readout[0])
            parts.append(self._one(tokens, state))
            state = parts[-1].state
        weights = None if parts[0].weights is None else torch.cat([part.weights for part in parts])
        return Written(torch.cat([part.readout for part in parts]), weights, state)

    def _one(self, tokens: torch.Tensor, state: DecoderState) -> Written:
        """Takes one step with tokens (N,)."""
        x = self.embed(tokens).unsqueeze(0)
        if self.input_feeding:
            fed = x.new_zeros(*x.shape[:2], self.readout_size) if state.fed is None else state.fed.unsqueeze(0)
            x = torch.cat((x, fed.to(x.dtype)), dim=2)
        s, hidden = self.recurrent(x, state.hidden)
        return self._read(s, state._replace(hidden=hidden))

    def _read(self, s: torch.Tensor, state: DecoderState) -> Written:
        """Computes the readout from the outputs of the recurrence, (T, N, H)."""
        weights = None
        if self.attention_layer is not None and state.memory is not None:
            context, weights, coverage = _attended(self.attention_layer, s, state, state.memory)
            s = torch.cat((s, context), dim=2)
            state = state._replace(coverage=coverage, weights=weights[-1])
        readout = self.dropout(s if self.readout is None else torch.tanh(self.readout(s)))
        return Written(readout, weights, state._replace(fed=readout[-1] if self.input_feeding else None))

    def logits(self, readout: torch.Tensor) -> torch.Tensor:
        """The logits (..., V) of readouts (..., R)."""
        return self.output(readout)

    # --- ostinato.models.StepDecoder ---

    def step(self, state: DecoderState, tokens: torch.Tensor) -> tuple[torch.Tensor, DecoderState]:
        """See `StepDecoder.step`."""
        written = self._one(tokens, state)
        return log_softmax(self.logits(written.readout[0])), written.state

    def reorder(self, state: DecoderState, index: torch.Tensor) -> DecoderState:
        """See `StepDecoder.reorder`."""
        flat = index.flatten()
        memory = state.memory
        if memory is not None:
            sentences = index[:, 0] // state.rows
            if len(sentences) != len(memory.values[0]) or not torch.equal(
                sentences, torch.arange(len(sentences), device=sentences.device)
            ):
                memory = Memory(
                    memory.values.index_select(1, sentences),
                    memory.keys.index_select(1, sentences),
                    None if memory.valid is None else memory.valid.index_select(0, sentences),
                )
        rows = [None if v is None else v.index_select(0, flat) for v in (state.fed, state.coverage, state.weights)]
        hidden = map_state(lambda part: part.index_select(1, flat), state.hidden)
        return DecoderState(hidden, memory, index.shape[1], *rows)

    def attention(self, state: DecoderState) -> torch.Tensor | None:
        """See `StepDecoder.attention`."""
        return state.weights


def _attended(layer: Attention, s: torch.Tensor, state: DecoderState, memory: Memory) -> Attended:
    """Attends from s (T, N, H) to the memory; T is 1 if several rows share a memory."""
    K = state.rows
    if K == 1:
        return layer(s, memory, state.coverage)
    if layer.coverage is not None:  # each hypothesis has its own coverage, so each needs a copy of the memory
        valid = None if memory.valid is None else memory.valid.repeat_interleave(K, 0)
        own = Memory(memory.values.repeat_interleave(K, 1), memory.keys.repeat_interleave(K, 1), valid)
        return layer(s, own, state.coverage)
    # The K hypotheses of a sentence are treated like K steps, so that its memory is not copied.
    _, N, H = s.shape
    found = layer(s.view(N // K, K, H).transpose(0, 1), memory)
    context, weights = (v.transpose(0, 1).reshape(1, N, -1) for v in (found.context, found.weights))
    return Attended(context, weights, None)
