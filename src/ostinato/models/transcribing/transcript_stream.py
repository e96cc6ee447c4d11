"""A transcript that grows while frames come."""

from __future__ import annotations

from typing import Any

import torch

from ostinato.models.parts.model_stream import ModelStream
from ostinato.nn.streams.rows import Rows, is_one


class TranscriptStream(ModelStream):
    """`Stream(transcriber)`, of one direction: log p of each unit at each frame, `(V,)` or `(n, V)`; and `written()`.

    An input is a frame, `(I,)`, or `(n, I)` for n rows. The units that `written` gives one after the other, without 0,
    are the greedy transcript of all frames so far, and are never changed later.
    """

    _dims = 1

    def __init__(self, model: Any, **arguments: Any) -> None:
        super().__init__(model, output=model.output, **arguments)

    def _fresh(self, rows: int) -> dict[str, torch.Tensor]:
        where = self.model.output.weight.device
        return {name: torch.zeros(rows, dtype=torch.int64, device=where) for name in ("best", "written")}

    def _enter(self, input: Any, which: torch.Tensor) -> torch.Tensor:
        return input if isinstance(input, torch.Tensor) else torch.as_tensor(input, device="cpu")

    def _answer(self, h: torch.Tensor, input: Any, which: torch.Tensor) -> torch.Tensor:
        best = h.argmax(-1)
        # A unit that goes on is written once; after a blank it is written again.
        self._memory["written"][which] = best.masked_fill(best == self._memory["best"][which], 0)
        self._memory["best"][which] = best
        return h.log_softmax(-1)

    def written(self, rows: Rows | None = None) -> torch.Tensor:
        """The unit that the last frame added to the text, `()` int64, or `(n,)` with `rows=N`; 0 for none."""
        units = self._memory["written"][self._which(rows)]
        return units[0] if self.rows is None or is_one(rows) else units
