"""Many to fewer: frames in, a text out that is not longer, without labels for which frame is which character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ostinato.data.batches.batches import Batch, TargetBatch
from ostinato.errors import ConfigError
from ostinato.models.parts.dropout import Dropout, check_rate
from ostinato.models.parts.layers import AnyCell, make_layers, output_size
from ostinato.models.transcribing.alignment import text_nats
from ostinato.models.transcribing.transcript_stream import TranscriptStream
from ostinato.nn.lengths import moved, takes_lists
from ostinato.types import Lengths

# The length of a text without a loss: it is not known, has an unknown unit, or has more units than frames allow.
UNKNOWN = -1


class Transcriber(nn.Module):
    """Recurrent layers over frames, and at each frame the probability of each unit of a text, or of the blank.

        h_1 .. h_T = recurrent(x_1 .. x_T),   y_t = softmax(W dropout(h_t) + b)
        p(text | x) = sum over all paths that give the text of prod_t y_t(path_t)

    A path gives the text that is left when first repeats and then blanks are removed.

    Source: Graves, Fernandez, Gomez & Schmidhuber 2006, Connectionist temporal classification, (1) to (4). Unit 0 is the blank.

    Args:
        input_size: I, the numbers of a frame.
        num_units: V, including the blank; at least 2.
        cell: the recurrent layer.
        hidden_size: H, units of each layer and direction; or one number a layer.
        num_layers: the number of recurrent layers.
        bidirectional: a second direction, from the last frame to the first; without it the model can be streamed.
        dropout: the rate between the layers and before the output, from 0 to below 1.
        input_dropout: the rate for the input of the first layer, from 0 to below 1.
        options: keyword options of the recurrent layer, such as `{"zoneout": 0.1}`.

    Raises:
        ConfigError: sizes, rates or options do not fit.
    """

    def __init__(
        self,
        input_size: int,
        num_units: int,
        *,
        cell: AnyCell = "lstm",
        hidden_size: int | Sequence[int] = 128,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        options: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        for name, value, least in (("input_size", input_size, 1), ("num_units", num_units, 2)):
            if value < least:
                raise ConfigError(f"{name}: expected at least {least}, got {value}")
        for name, rate in (("dropout", dropout), ("input_dropout", input_dropout)):
            check_rate(name, rate)
        self.num_units = num_units
        self.input_dropout = Dropout(input_dropout)
        several = num_layers > 1 or (not isinstance(hidden_size, int) and len(hidden_size) > 1)
        self.recurrent = make_layers(
            cell,
            input_size,
            hidden_size,
            num_layers,
            options=options,
            dropout=dropout if several else 0.0,
            bidirectional=bidirectional,
        )
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(output_size(self.recurrent), num_units)

    @takes_lists
    def forward(self, input: torch.Tensor, lengths: Lengths | None = None) -> torch.Tensor:
        """log p of each unit at each frame, (T, B, V), in float32 at least. Past a row's end it is meaningless.

        Args:
            input: (T, B, I), T at least 1.
            lengths: (B,) int64 from 1 to T, the frames that are real; None for all. Frames past a row's end change
                nothing.
        """
        logits = self.output(self.dropout(self.recurrent(self.input_dropout(input), lengths=lengths)[0]))
        return (logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits).log_softmax(-1)

    def loss(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, None]:
        """- log p(text | frames) over all rows, over the number of units and ends: a scalar in nats; and no state.

        A row whose text has the length `UNKNOWN` has no part in it; without any other the loss is 0.

        Args:
            batch: a `TargetBatch` with target (S, B) int64, units from 1 on.
            state: not used.
        """
        assert isinstance(batch, TargetBatch)
        return text_loss(self(batch.input, batch.lengths), batch), None

    def open_stream(self, **arguments: Any) -> TranscriptStream:
        """Opens the stream of `Stream(model, ...)`, see `TranscriptStream`."""
        return TranscriptStream(self, **arguments)

    def stream(self, **arguments: Any) -> TranscriptStream:
        """Transcribes frames that are still coming, see `TranscriptStream`; `**arguments` are those of `Stream`."""
        return self.open_stream(**arguments)


def text_loss(log_probs: torch.Tensor, batch: TargetBatch) -> torch.Tensor:
    """- log p(text | frames) over all rows, divided by the number of units and ends, see `Transcriber.loss`: a scalar.

    Args:
        log_probs: (T, B, V).
        batch: the lengths and the texts.
    """
    S, target = len(batch.target), batch.target
    given = batch.target_lengths
    lengths = torch.full((target.shape[1],), S, device=target.device) if given is None else given
    frames = batch.lengths if batch.lengths is not None else torch.full_like(lengths, len(log_probs))
    # Texts that no path gives would have an infinite loss, and are left out; a task reports them.
    within = torch.arange(1, S, device=target.device)[:, None] < lengths
    needed = lengths + ((target[1:] == target[:-1]) & within).sum(0)
    known = ((lengths >= 0) & (needed <= moved(frames, target.device))).to(log_probs.device)
    lengths = moved(lengths, log_probs.device).masked_fill(~known, 0)
    nats = text_nats(log_probs, batch.lengths, target, lengths)
    return torch.where(known, nats, torch.zeros_like(nats)).sum() / ((lengths + 1) * known).sum().clamp_min(1)
