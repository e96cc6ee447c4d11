"""The common part of all networks whose decoder writes a target: the loss of known targets, drawing, beam search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.models.parts.dropout import check_rate
from ostinato.models.text.output_loss import NO_WORD, output_cross_entropy
from ostinato.models.writing.decoder import AttentionDecoder, Choice, DecoderState, Written
from ostinato.nn.lengths import moved
from ostinato.recorded import is_recorded
from ostinato.types import Lengths


class Predicted(NamedTuple):
    """The predictions for known targets.

    Attributes:
        logits: (T_out + 1, B, V), for each target token and for the end after it.
        weights: (T_out + 1, B, T_mem), the attention of each step; None without attention.
    """

    logits: torch.Tensor
    weights: torch.Tensor | None


class TargetModel(nn.Module):
    """A network that writes a target token by token; a subclass sets the decoder and makes its first state.

    Args:
        sizes: name -> size; each must be at least 1.
        target_size, begin, end, dropout, label_smoothing: see `ostinato.models.Seq2Seq`.

    Raises:
        ConfigError: a size, token or rate is out of range.
    """

    decoder: AttentionDecoder

    def __init__(
        self, sizes: Mapping[str, int], target_size: int, begin: int, end: int, dropout: float, label_smoothing: float
    ):
        super().__init__()
        for name, size in sizes.items():
            if size < 1:
                raise ConfigError(f"{name}: expected at least 1, got {size}")
        for name, id in (("begin", begin), ("end", end)):
            if not 0 <= id < target_size:
                raise ConfigError(f"{name}: expected a token from 0 to {target_size - 1}, got {id}")
        check_rate("dropout", dropout)
        check_rate("label_smoothing", label_smoothing)
        self.begin, self.end, self.label_smoothing = begin, end, label_smoothing

    def _predicted(self, state: DecoderState, target: torch.Tensor, lengths: Lengths | None) -> Predicted:
        """The predictions for targets, (T_out, B), with `lengths` (B,); each step is given the true token before it."""
        written, _, _ = self._read(state, target, lengths)
        return Predicted(self.decoder.logits(written.readout), written.weights)

    def _target_loss(
        self, state: DecoderState, target: torch.Tensor, lengths: Lengths | None, choose: Choice | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """The loss of known targets, and what is needed to watch it.

        Returns the mean cross entropy of the tokens and ends, smoothed in training; where each step looked, (T_out + 1,
        B, T_mem), or None without attention; and which steps are real, (T_out + 1, B) bool, or None for all.
        """
        written, output, valid = self._read(state, target, lengths, choose)
        smoothing, has_gaps = self.label_smoothing if self.training else 0.0, False
        if valid is not None and valid.device.type == "cpu" and not is_recorded():
            # The tokens of padding do not even go through the output layer.
            readout, wanted = written.readout[valid], output[valid]
        else:  # not counted: that would wait for the device
            has_gaps = valid is not None
            readout = written.readout.flatten(0, 1)
            wanted = (output if valid is None else output.masked_fill(~valid, NO_WORD)).flatten()
        loss = output_cross_entropy(self.decoder.output, readout, wanted, label_smoothing=smoothing, has_gaps=has_gaps)
        return loss, written.weights, valid

    def _read(
        self, state: DecoderState, target: torch.Tensor, lengths: Lengths | None, choose: Choice | None = None
    ) -> tuple[Written, torch.Tensor, torch.Tensor | None]:
        """Reads targets after `begin`: the decoder's result, the tokens to write with ends, which steps are real."""
        lengths = None if lengths is None else moved(lengths, target.device)
        target = padded(target, lengths, self.end)
        row = target.new_full((1, target.shape[1]), self.begin)
        output = torch.cat((target, torch.full_like(row, self.end)))
        longer = None if lengths is None else lengths + 1
        written = self.decoder(torch.cat((row, target)), state, longer, choose=choose)
        valid = None if longer is None else torch.arange(output.shape[0], device=output.device).unsqueeze(1) < longer
        return written, output, valid

    def _writing(
        self, device: torch.device, max_length: int | Sequence[int], forbidden: Sequence[int] = (), **options: Any
    ) -> dict[str, Any]:
        """The arguments of `decode` and `beam_search`, apart from the decoder and its state."""
        forbidden = tuple({self.begin, *forbidden} - {self.end})
        marks = {"begin": self.begin, "end": self.end, "forbidden": forbidden}
        return dict(**marks, max_length=max_length, device=device, **options)


def padded(tokens: torch.Tensor, lengths: torch.Tensor | None, id: int) -> torch.Tensor:
    """`tokens`, (T, B), with `id` past each row's end: padding from a file may hold numbers that are no tokens."""
    if lengths is None:
        return tokens
    return tokens.masked_fill(torch.arange(tokens.shape[0], device=tokens.device).unsqueeze(1) >= lengths, id)
