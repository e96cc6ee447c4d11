"""Unaligned many to many: an encoder reads one sequence, a decoder writes another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, Unpack

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.models.parts.dropout import Dropout
from ostinato.models.parts.layers import AnyCell, make_layers, output_size
from ostinato.models.parts.reading import reading
from ostinato.models.writing.beam import BeamSettings, beam_search
from ostinato.models.writing.decoder import AttentionDecoder, Choice, DecoderState
from ostinato.models.writing.decoding import DrawOptions, Hypothesis, WritingOptions, decode
from ostinato.models.writing.first_states import Bridge, BridgeName
from ostinato.models.writing.scheduled_sampling import ScheduledSampling
from ostinato.models.writing.target_model import Predicted, TargetModel, padded
from ostinato.nn.attention import Score, coverage_penalty
from ostinato.nn.lengths import as_tensor, moved, takes_lists
from ostinato.types import Lengths

Tied: TypeAlias = Literal["none", "two-way", "three-way"]


class PairBatch(Protocol):
    """Sequences and their targets, with any padding.

    Attributes:
        input: (T_in, B) int64, the sources.
        lengths: (B,) int64, from 0 to T_in; None if all are T_in.
        target: (T_out, B) int64, without tokens for begin and end.
        target_lengths: (B,) int64, from 0 to T_out; None if all are T_out.
    """

    @property
    def input(self) -> torch.Tensor:
        """The sources, (T_in, B)."""
        ...

    @property
    def lengths(self) -> torch.Tensor | None:
        """The lengths of the sources, (B,)."""
        ...

    @property
    def target(self) -> torch.Tensor:
        """The targets, (T_out, B)."""
        ...

    @property
    def target_lengths(self) -> torch.Tensor | None:
        """The lengths of the targets, (B,)."""
        ...


class Seq2Seq(TargetModel):
    """Encoder, bridge, decoder: p(target | source).

    With teacher forcing and without input feeding, the decoder is one recurrence over all steps, and attention one
    product for all of them. Padding is not computed there, nor in the output layer.

    Source: Sutskever et al. 2014, arXiv 1409.3215 (without attention); Bahdanau et al. 2015, arXiv 1409.0473 (an encoder of two
    directions, additive attention, here after the decoder's recurrence); Luong et al. 2015, arXiv 1508.04025.

    Args:
        source_size: V of the sources.
        target_size: V of the targets, including `begin` and `end`.
        begin: the token that is put before a target.
        end: the token that is put after it.
        embedding_size: E, of both sides.
        hidden_size: H, units of the decoder's layers, and of the encoder's in all directions together: H / 2 each if
            there are two.
        num_layers: the layers of the encoder, and of the decoder.
        cell: the cell of both.
        bidirectional: whether the encoder reads in both directions.
        bridge: from the encoder's last states to the decoder's first, see `Bridge`.
        attention: the score, see `ostinato.nn.Attention`; None for none: the decoder then knows only what the bridge
            gives it.
        attention_units: the units of the additive score.
        coverage: whether attention sees where it has looked before.
        coverage_weight: the factor of the mean `coverage_penalty` of a token in the training loss, at least 0.
        input_feeding: see `AttentionDecoder`; slower.
        readout_size: see `AttentionDecoder`.
        tied: "two-way": the decoder's embedding is its output layer; "three-way": it is the encoder's embedding too,
            with one vocabulary.
        dropout: the rate for embeddings, between layers, and for readouts, from 0 to below 1.
        label_smoothing: share of the training target that is spread over all tokens, in [0, 1) (Szegedy et al. 2016,
            section 7).
        scheduled_sampling: reads the model's own tokens now and then in training; slower. None for teacher forcing.
        options: keyword options of the encoder's and the decoder's layers.

    Attributes:
        updates: how many losses were computed in training; scheduled sampling depends on it.
        penalty: what the coverage penalty added to the last loss in training, without gradient; zero otherwise.

    Raises:
        ConfigError: sizes, rates or options do not fit.
    """

    updates: torch.Tensor

    def __init__(
        self,
        source_size: int,
        target_size: int,
        *,
        begin: int,
        end: int,
        embedding_size: int = 256,
        hidden_size: int = 512,
        num_layers: int = 1,
        cell: AnyCell = "lstm",
        bidirectional: bool = True,
        bridge: BridgeName = "linear",
        attention: Score | None = "scaled",
        attention_units: int | None = None,
        coverage: bool = False,
        coverage_weight: float = 0.0,
        input_feeding: bool = False,
        readout_size: int | None = None,
        tied: Tied = "none",
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        scheduled_sampling: ScheduledSampling | None = None,
        options: Mapping[str, Any] | None = None,
    ):
        sizes = {"source_size": source_size, "target_size": target_size, "embedding_size": embedding_size}
        sizes |= {"hidden_size": hidden_size, "num_layers": num_layers}
        super().__init__(sizes, target_size, begin, end, dropout, label_smoothing)
        if not 0.0 <= coverage_weight < math.inf or (coverage_weight and attention is None):
            raise ConfigError(f"coverage_weight: expected at least 0, and attention beside it, got {coverage_weight}")
        if bidirectional and hidden_size % 2:
            raise ConfigError(f"hidden_size: expected an even number for two directions, got {hidden_size}")
        if tied not in ("none", "two-way", "three-way"):
            raise ConfigError(f"tied: expected none, two-way or three-way, got {tied}")
        if tied == "three-way" and source_size != target_size:
            raise ConfigError(
                f"tied three-way: expected one vocabulary for both sides, got {source_size} and {target_size} tokens"
            )
        self.coverage_weight, self.scheduled_sampling = coverage_weight, scheduled_sampling
        self.embedding = nn.Embedding(source_size, embedding_size)
        self.dropout = Dropout(dropout)
        self.encoder = make_layers(
            cell,
            embedding_size,
            hidden_size // (2 if bidirectional else 1),
            num_layers,
            options=options,
            dropout=dropout if num_layers > 1 else 0.0,
            bidirectional=bidirectional,
        )
        self.decoder = AttentionDecoder(
            target_size,
            None if attention is None else output_size(self.encoder),
            embedding_size,
            hidden_size,
            num_layers,
            cell,
            attention=attention,
            attention_units=attention_units,
            coverage=coverage,
            input_feeding=input_feeding,
            readout_size=readout_size,
            dropout=dropout,
            tied=tied != "none",
            embedding=self.embedding if tied == "three-way" else None,
            options=options,
        )
        # Not by asking whether both embeddings are one object, as torch.export makes two of it.
        self.embedding_scale = self.decoder.embedding_scale if tied == "three-way" else 1.0
        self.bridge = Bridge(bridge, self.encoder, self.decoder.recurrent)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.penalty = torch.zeros(())

    @takes_lists
    def encode(self, source: torch.Tensor, lengths: Lengths | None = None) -> DecoderState:
        """Reads the sources, (T_in, B) int64; returns the state of the decoder before its first token."""
        if source.shape[0] == 0:  # the layers need a step, which is then not looked at
            source = source.new_zeros(1, source.shape[1])
            lengths = lengths if lengths is not None else source.new_zeros(source.shape[1])
        lengths = None if lengths is None else moved(lengths, source.device)
        source = padded(source, lengths, 0)
        h, last = self.encoder(self.dropout(self.embedding(source) * self.embedding_scale), lengths=lengths)
        return self.decoder.begin(self.bridge(last), h, lengths)

    @takes_lists
    def forward(
        self,
        source: torch.Tensor,
        target: torch.Tensor,
        lengths: Lengths | None = None,
        target_lengths: Lengths | None = None,
    ) -> Predicted:
        """Predicts the targets, each token known to the steps after it; for shapes see `PairBatch`."""
        return self._predicted(self.encode(source, lengths), target, target_lengths)

    def loss(self, batch: PairBatch, state: Any = None) -> tuple[torch.Tensor, None]:
        """The mean cross entropy of the target tokens and the ends, in nats a token, a scalar; and None for a state.

        Label smoothing, scheduled sampling and the coverage penalty act in training only.
        """
        state = self.encode(batch.input, batch.lengths)
        loss, weights, valid = self._target_loss(state, batch.target, batch.target_lengths, self._chooser())
        self.penalty = loss.new_zeros(())
        if self.training:
            self.updates += 1
            if self.coverage_weight and weights is not None:
                again = coverage_penalty(weights)
                penalty = self.coverage_weight * (again if valid is None else again[valid]).mean()
                self.penalty, loss = penalty.detach(), loss + penalty
        return loss, None

    def _chooser(self) -> Choice | None:
        """A function that chooses the tokens read in training; None for the true tokens."""
        schedule = self.scheduled_sampling
        if not self.training or schedule is None:
            return None
        share = schedule.true_share(int(self.updates))
        if share >= 1.0:
            return None

        def choose(true: torch.Tensor, readout: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                logits = self.decoder.logits(readout).float()
                # torch.multinomial would refuse NaN; here the loss becomes NaN, and `fit` reports where that began.
                p = logits.softmax(1)
                own = (p / torch.empty_like(p).exponential_()).argmax(1) if schedule.draw else logits.argmax(1)
            return torch.where(torch.rand(true.shape, device=true.device) < share, true, own)

        return choose

    def translate(
        self,
        source: torch.Tensor,
        lengths: Lengths | None = None,
        *,
        max_length: int | Sequence[int] | None = None,
        beam: BeamSettings | None = None,
        **options: Unpack[WritingOptions],
    ) -> list[list[Hypothesis]]:
        """The best targets of each source by beam search, best first.

        Args:
            source: (T_in, B) int64.
            lengths: (B,), from 0 to T_in; None for all T_in.
            max_length: the tokens of a target at most, one number or one a row; None for twice the source's and 10
                more.
            beam: the settings of the search; None for `BeamSettings()`.
            **options: see `WritingOptions`.
        """
        with reading(self):
            state = self.encode(source, lengths)
            how = self._writing(source.device, _limits(source, lengths, max_length), **options)
            return beam_search(self.decoder, state, source.shape[1], settings=beam, **how)

    def write(
        self,
        source: torch.Tensor,
        lengths: Lengths | None = None,
        *,
        max_length: int | Sequence[int] | None = None,
        **options: Unpack[DrawOptions],
    ) -> list[Hypothesis]:
        """One target for each source, greedy or drawn; see `translate`, `DrawOptions` and `ostinato.models.decode`."""
        with reading(self):
            state = self.encode(source, lengths)
            how = self._writing(source.device, _limits(source, lengths, max_length), **options)
            return decode(self.decoder, state, source.shape[1], **how)


def _limits(
    source: torch.Tensor, lengths: Lengths | None, max_length: int | Sequence[int] | None
) -> int | Sequence[int]:
    """The tokens of each target at most."""
    if max_length is not None:
        return max_length
    steps = [len(source)] * source.shape[1] if lengths is None else as_tensor(lengths).tolist()
    return [2 * n + 10 for n in steps]
