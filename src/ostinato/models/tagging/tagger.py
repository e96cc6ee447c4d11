"""Aligned many to many: a sequence in, one of N tags out at every step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import nn
from torch.nn import functional as F

from ostinato.data.batches.batches import Batch
from ostinato.errors import ConfigError
from ostinato.models.parts.beside import extras_of, input_size_of, parted
from ostinato.models.parts.dropout import Dropout, check_rate
from ostinato.models.parts.layers import AnyCell, make_layers, output_size
from ostinato.models.tagging.numbers import Numbers
from ostinato.models.tagging.tag_stream import TagStream
from ostinato.models.tagging.windows import in_windows
from ostinato.models.tagging.words import WordEncoder
from ostinato.nn.crf.crf import CRF, Constraints
from ostinato.nn.lengths import moved, takes_lists
from ostinato.types import Lengths

OutputName: TypeAlias = Literal["softmax", "crf"]


class Tagger(nn.Module):
    """Encoder, recurrent layers, output layer; tags are found for each step by itself (softmax) or together (CRF).

        h_1 .. h_T = recurrent(encoder(x_1 .. x_T)),   e_t = W dropout(h_t) + b
        softmax: p(y | x) = prod_t softmax(e_t)_{y_t};   crf: see `ostinato.nn.CRF`, whose emissions are e

    Source: over words Huang, Xu & Yu 2015 (arXiv 1508.01991); with spelling Lample et al. 2016 (arXiv 1603.01360).

    Args:
        encoder: turns the input at each step into (T, B, encoder.embedding_dim): `torch.nn.Embedding` for tokens, a
            `WordEncoder`, or `Numbers` for vectors.
        num_tags: N, at least 1.
        cell: the recurrent layer.
        hidden_size: H, units of each layer and direction; or one number a layer.
        num_layers: the number of recurrent layers.
        bidirectional: a second direction, from the last step to the first.
        dropout: the rate between the layers and before the output, from 0 to below 1.
        input_dropout: the rate for the input of the first layer, from 0 to below 1.
        options: keyword options of the recurrent layer, such as `{"zoneout": 0.1}`.
        output: "softmax" or "crf".
        constraints: for a CRF, what no answer may do, see `span_constraints`. Training ignores them, so that data that
            break a rule do not have an infinite loss.
        class_weights: (N,), for softmax: the weight of a step of each tag in the training loss, which is divided by the
            number of steps; None for 1 each.
        label_smoothing: s in [0, 1), for softmax: the training loss is (1 - s) times that of the right tag plus s / N
            times that of every tag.
        window: in evaluation, longer sequences are read in overlapping windows of so many steps, see `in_windows`; at
            least 4.

    Raises:
        ConfigError: sizes, rates or options do not fit, or constraints are for another number of tags.
    """

    class_weights: torch.Tensor | None

    def __init__(
        self,
        encoder: nn.Embedding | WordEncoder | Numbers,
        num_tags: int,
        *,
        cell: AnyCell = "lstm",
        hidden_size: int | Sequence[int] = 128,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        options: Mapping[str, Any] | None = None,
        output: OutputName = "softmax",
        constraints: Constraints | None = None,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        window: int = 4096,
    ):
        super().__init__()
        if num_tags < 1:
            raise ConfigError(f"num_tags: expected at least 1, got {num_tags}")
        if window < 4:
            raise ConfigError(f"window: expected at least 4 steps, got {window}")
        for name, rate in (
            ("dropout", dropout),
            ("input_dropout", input_dropout),
            ("label_smoothing", label_smoothing),
        ):
            check_rate(name, rate)
        if output not in ("softmax", "crf"):
            raise ConfigError(f"output: expected softmax or crf, got {output}")
        if class_weights is not None and (
            len(class_weights) != num_tags or not all(0 <= weight < math.inf for weight in class_weights)
        ):
            raise ConfigError(f"class_weights: expected {num_tags} numbers of at least 0, got {list(class_weights)}")
        if output == "crf" and class_weights is not None:
            raise ConfigError("class_weights: expected none with a CRF, which scores whole sequences; choose softmax")
        if output == "crf" and label_smoothing:
            raise ConfigError(
                f"label_smoothing: expected 0 with a CRF, which scores whole sequences, got {label_smoothing}"
            )
        self.num_tags, self.window, self.label_smoothing = num_tags, window, label_smoothing
        self.encoder = encoder
        several = num_layers > 1 or (not isinstance(hidden_size, int) and len(hidden_size) > 1)
        self.input_dropout = Dropout(input_dropout)
        self.recurrent = make_layers(
            cell,
            input_size_of(encoder.embedding_dim, extras_of(cell, options) if isinstance(encoder, Numbers) else {}),
            hidden_size,
            num_layers,
            options=options,
            dropout=dropout if several else 0.0,
            bidirectional=bidirectional,
            with_extras=isinstance(encoder, Numbers),
        )
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(output_size(self.recurrent), num_tags)
        self.crf = CRF(num_tags) if output == "crf" else None
        if self.crf is not None:
            self.crf.scores(constraints)  # raises an error if they are for another number of tags
        self.constraints = constraints
        weights = None if class_weights is None else torch.tensor(list(class_weights), dtype=torch.float32)
        # Not in the state_dict: the weights are a training setting, which a run stores with its settings.
        self.register_buffer("class_weights", weights, persistent=False)

    @takes_lists
    def forward(self, input: Any, lengths: Lengths | None = None) -> torch.Tensor:
        """The emissions e, (T, B, N): scores of the tags before softmax or CRF. Past a row's end they are meaningless.

        Args:
            input: what the encoder takes: (T, B) int64 tokens, `Words`, or (T, B, I) numbers; T at least 1.
            lengths: (B,) int64 from 0 to T, the steps that are real; None for all. Steps past a row's end change
                nothing.
        """
        x = self.encoder(input)
        if not self.training and len(x) > self.window:
            return in_windows(self._emissions, x, None if lengths is None else moved(lengths, x.device), self.window)
        return self._emissions(x, lengths)

    def open_stream(self, **arguments: Any) -> TagStream:
        """Opens the stream of `Stream(model, ...)`, see `TagStream`."""
        return TagStream(self, **arguments)

    def stream(self, **arguments: Any) -> TagStream:
        """Tags a sequence that is still coming, see `TagStream`; `**arguments` are those of `Stream`."""
        return self.open_stream(**arguments)

    def _emissions(self, x: torch.Tensor, lengths: Lengths | None) -> torch.Tensor:
        x, extras = parted(self.recurrent, x)
        return self.output(self.dropout(self.recurrent(self.input_dropout(x), lengths=lengths, **extras)[0]))

    def loss(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, None]:
        """The mean loss in nats a tag, a scalar, see `tag_loss`; and None for a state."""
        return self.tag_loss(self(batch.input, batch.lengths), batch.target, batch.lengths), None

    @takes_lists
    def tag_loss(self, emissions: torch.Tensor, target: torch.Tensor, lengths: Lengths | None) -> torch.Tensor:
        """- log p(known tags) / their number, over all rows: a scalar in nats.

        Targets that are no tag, because the data have none or training never had it, are left out: a CRF sums over
        them. The loss is 0 if no other is left.

        Args:
            emissions: (T, B, N).
            target: (T, B) int64.
            lengths: (B,) int64, or None.
        """
        emissions = _at_least_float32(emissions)
        valid = valid_steps(target, lengths)
        known = valid & (target >= 0) & (target < self.num_tags)
        count, gold = known.sum().clamp_min(1), target.masked_fill(~known, 0)
        if self.crf is None:
            smoothing = self.label_smoothing if self.training else 0.0
            losses = F.cross_entropy(
                emissions.flatten(0, 1), gold.flatten(), reduction="none", label_smoothing=smoothing
            )
            if self.training and self.class_weights is not None:
                losses = losses * self.class_weights[gold.flatten()]
            return losses.masked_fill(~known.flatten(), 0.0).sum() / count
        if bool((known == valid).all()):
            return -self.crf.log_likelihood(emissions, gold, lengths).sum() / count
        # The sum over all paths through the known tags: other tags are excluded there.
        is_other = known.unsqueeze(2) & ~F.one_hot(gold, self.num_tags).bool()
        through = self.crf.log_partition(emissions.masked_fill(is_other, -torch.inf), lengths)
        return (self.crf.log_partition(emissions, lengths) - through).sum() / count

    @takes_lists
    @torch.no_grad()
    def decode(self, emissions: torch.Tensor, lengths: Lengths | None = None) -> torch.Tensor:
        """The best tags, (T, B) int64, 0 past a row's end: for a CRF the best path that the constraints allow.

        Args:
            emissions: (T, B, N).
            lengths: (B,) int64, or None.
        """
        emissions = _at_least_float32(emissions)
        if self.crf is not None:
            return self.crf.viterbi(emissions, lengths, constraints=self.constraints).tags
        tags = emissions.argmax(-1)
        return tags.masked_fill(~valid_steps(tags, lengths), 0)

    @takes_lists
    def probabilities(self, emissions: torch.Tensor, lengths: Lengths | None = None) -> torch.Tensor:
        """p(tag at a step | sequence), (T, B, N); arguments as for `decode`. Past a row's end they are meaningless."""
        emissions = _at_least_float32(emissions)
        return emissions.softmax(-1) if self.crf is None else self.crf.marginals(emissions, lengths)


def _at_least_float32(emissions: torch.Tensor) -> torch.Tensor:
    return emissions.float() if emissions.dtype in (torch.bfloat16, torch.float16) else emissions


def valid_steps(tags: torch.Tensor, lengths: Lengths | None) -> torch.Tensor:
    """The steps that are real, (T, B) bool."""
    if lengths is None:
        return torch.ones_like(tags, dtype=torch.bool)
    return torch.arange(len(tags), device=tags.device).unsqueeze(1) < moved(lengths, tags.device)
