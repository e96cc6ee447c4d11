"""Transcribing a recording that is still coming: raw values in, the text so far out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ostinato.data.recordings.online import OnlineFrames, step_of
from ostinato.errors import ConfigError


class LiveTranscript:
    """Gives the text of the steps so far after each step of a recording; what is written is never changed.

    Values come as they are measured; pictures of lines come as columns of pixels, from 0 for paper to 1 for ink. A
    frame is read when all of its steps have come; `end` gives the text if the recording ended here.

    Args:
        trained: a `Trained` of `ostinato train transcribe`, with one direction.

    Attributes:
        units: the units written so far.

    Raises:
        ConfigError: the model does not transcribe, or reads in both directions.
    """

    def __init__(self, trained: Any):
        self.known = trained.known
        if not hasattr(self.known, "stride"):
            raise ConfigError("expected a model that transcribes, got another; of recordings use recordings.live.Live")
        self.stream = trained.model.stream()
        self._frames = OnlineFrames(self.known.scaling, self.known.stack, self.known.stride)
        self.reset()

    def reset(self) -> None:
        """Begins a new recording."""
        self.units: list[int] = []
        self._state = self._frames.fresh(1)
        self.stream.reset()

    def __call__(self, values: Sequence[float | None], time: float | None = None) -> dict[str, Any]:
        """Reads one step.

        Args:
            values: C numbers, None or NaN for a missing one.
            time: the time of the step, if training had times; larger than the one before.

        Returns:
            "text", everything written so far, and "added", what this step has added.

        Raises:
            DataError: there are more or fewer values, or one is infinite. The step was not read then.
        """
        numbers = step_of(values, self._frames.channels)
        frame = self._frames.go_on(self._state, 0, numbers, time)
        added = [] if frame is None else _written(self.stream, [frame])
        self.units += added
        return self._told(added, self.units)

    def end(self) -> dict[str, Any]:
        """The result of `__call__` if the recording ended here; the recording may still go on."""
        added = _written(self.stream.copy(), self._frames.rest(self._state, 0))
        return self._told(added, [*self.units, *added])

    def _told(self, added: list[int], units: list[int]) -> dict[str, Any]:
        return {"text": self.known.said(units), "added": self.known.said(added)}


def _written(stream: Any, frames: Sequence[np.ndarray]) -> list[int]:
    found: list[int] = []
    for frame in frames:
        stream(torch.from_numpy(frame))
        if unit := int(stream.written()):
            found.append(unit)
    return found
