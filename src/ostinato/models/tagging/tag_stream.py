"""Tagging a sequence that is still coming: each step gets its tag at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.models.parts.model_stream import ModelStream, embedded
from ostinato.models.parts.reading import reading
from ostinato.models.tagging.numbers import Numbers
from ostinato.models.tagging.words import WordEncoder, Words
from ostinato.nn.streams.rows import Rows, is_one


class TagStream(ModelStream):
    """`Stream(tagger)`, of one direction: the emissions of each step, `(N,)` or `(n, N)`; and `best()`, its tag.

    An input is what the encoder takes: a token's number, of n rows `(n,)`; of `Numbers` `(I,)`, or `(n, I)`; of a `WordEncoder`
    `Words` of one step.

    The tag of a step with a CRF is the last one of the best path through the steps so far, which may still go on: it begins as the
    CRF says, goes where its transitions and the model's constraints let it, and need not be able to end. `viterbi` over the whole
    sequence may go back on it; whoever can wait has it decoded later.
    """

    def __init__(self, model: Any, **arguments: Any) -> None:
        if not isinstance(model.encoder, nn.Embedding | WordEncoder | Numbers):
            raise ConfigError(
                f"Stream expected a tagger over torch.nn.Embedding, Numbers or a WordEncoder, got {type(model.encoder).__name__}; "
                "stream its layers, Stream(model.recurrent, output=model.output)"
            )
        super().__init__(model, output=model.output, **arguments)

    @property
    def _dims(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return int(isinstance(self.model.encoder, Numbers))

    def _fresh(self, rows: int) -> dict[str, torch.Tensor]:
        like = self.model.output.weight.detach()
        # The score of the best path that ends in each tag, if a path has begun.
        scores = torch.zeros((rows, self.model.num_tags), dtype=torch.float64, device=like.device)
        return {"scores": scores, "has_begun": torch.zeros(rows, dtype=torch.bool, device=like.device)}

    def _enter(self, input: Any, which: torch.Tensor) -> torch.Tensor:
        if isinstance(self.model.encoder, nn.Embedding):
            return embedded(self.model.encoder, input, len(which))
        if isinstance(self.model.encoder, Numbers):
            return torch.as_tensor(input, device="cpu") if not isinstance(input, torch.Tensor) else input
        n = len(which)
        if not isinstance(input, Words) or tuple(input.ids.shape) != (1, n) or tuple(input.places.shape) != (1, n):
            got = f"ids {tuple(input.ids.shape)}" if isinstance(input, Words) else type(input).__name__
            raise ConfigError(f"input expected Words of one step of {n} rows, ids and places (1, {n}), got {got}")
        with reading(self.model.encoder):
            return self.model.encoder(input)[0]

    def _one(self, input: Any) -> tuple[Any, bool]:
        return (input, True) if isinstance(self.model.encoder, WordEncoder) else super()._one(input)

    def _answer(self, h: torch.Tensor, input: Any, which: torch.Tensor) -> torch.Tensor:
        model, emissions = self.model, h
        if model.crf is None:
            self._memory["scores"][which], self._memory["has_begun"][which] = emissions.double(), True
            return emissions
        chain = model.crf.scores(model.constraints)
        before = self._memory["scores"][which]
        begins = chain.start.expand_as(before)
        goes_on = (before.unsqueeze(2) + chain.transitions).amax(1)
        best = torch.where(self._memory["has_begun"][which].unsqueeze(1), goes_on, begins)
        self._memory["scores"][which], self._memory["has_begun"][which] = best + emissions.double(), True
        return emissions

    def best(self, rows: Rows | None = None) -> torch.Tensor:
        """The tag of the last step, `()` int64, or `(n,)` for n rows with `rows=N`; 0 before the first step."""
        which = self._which(rows)
        tags = self._memory["scores"][which].argmax(-1)
        return tags[0] if self.rows is None or is_one(rows) else tags
