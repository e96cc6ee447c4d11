"""Scoring the units after each prefix of a transcriber's beam by a language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ostinato.models.parts.states import map_state
from ostinato.models.text.language_model import LanguageModel


class LanguageScorer:
    """A `PrefixScorer`: all prefixes that have grown are read together, in one step of the model.

    A text begins as after a line end, and ends with one.

    Args:
        model: a language model of characters or words.
        tokens: for each unit, the model's token; for unit 0 that of a line end.
    """

    def __init__(self, model: LanguageModel, tokens: Sequence[int]):
        self._model = model
        self._device = model.embedding.weight.device
        self._tokens = torch.tensor(list(tokens), device=self._device)
        self._state: Any = None
        self._said = np.zeros((0, 0), dtype=np.float32)

    def begin(self, count: int) -> np.ndarray:
        """See `PrefixScorer.begin`."""
        said, state = self._read(self._tokens[:1], None)
        self._state = map_state(lambda v: v.repeat_interleave(count, dim=1), state)
        self._said = np.repeat(said, count, axis=0)
        return self._said

    def go_on(self, origins: np.ndarray, units: np.ndarray) -> np.ndarray:
        """See `PrefixScorer.go_on`."""
        chosen = torch.from_numpy(origins).to(self._device)
        self._state = map_state(lambda v: v[:, chosen], self._state)
        self._said = self._said[origins]
        grown = np.flatnonzero(units)
        if len(grown):
            rows = torch.from_numpy(grown).to(self._device)
            before = map_state(lambda v: v[:, rows], self._state)
            said, after = self._read(self._tokens[torch.from_numpy(units[grown]).to(self._device)], before)
            self._said[grown] = said
            _put(self._state, after, rows)
        return self._said

    def _read(self, tokens: torch.Tensor, state: Any) -> tuple[np.ndarray, Any]:
        with self._model.reading():
            logits, after = self._model(tokens[None], state)
        return logits[0].float().log_softmax(-1)[:, self._tokens].cpu().numpy(), after


def _put(state: Any, part: Any, rows: torch.Tensor) -> None:
    if isinstance(state, torch.Tensor):
        state[:, rows] = part.to(state.dtype)
        return
    for whole, given in zip(state, part, strict=True):
        _put(whole, given, rows)
