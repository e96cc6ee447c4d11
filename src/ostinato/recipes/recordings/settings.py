"""What a user can set about recordings; apart from what reads them, so that a wrong flag need not wait for torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ostinato.errors import ConfigError


@dataclass(frozen=True)
class RecordingSettings:
    """Of recordings (sequences of numbers), which columns of a table they are in, and how they are cut.

    Args:
        id: the column that tells recordings apart; without it, the one whose name says so, else the table is one recording.
        time: the column of times, by which steps are put in order; without it, the one whose name says so, else the rows' order.
        group: the column that says whose a recording is: all of one group stay in one part; without it, the one whose name says so
            (subject, person, patient, ...).
        channels: the columns that are read; without them, all others that hold numbers.
        window: steps of the pieces that recordings are cut into; null for whole recordings (to classify), or for pieces of 128 in
            training (to tag).
        stride: steps from the beginning of one window to the next, to classify; null for half a window.
        stack: to classify, steps that the network reads at once, side by side; null for so many that some 64 of these make a usual
            recording.
        window_label: of a window whose steps have several labels: majority, or last for that of its last step.
    """

    id: str | None = None
    time: str | None = None
    group: str | None = None
    channels: list[str] | None = None
    window: int | None = None
    stride: int | None = None
    stack: int | None = None
    window_label: Literal["majority", "last"] = "majority"

    def __post_init__(self):
        for name in ("window", "stride", "stack"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"recording.{name}: expected at least 1, got {value}")
        if self.stride is not None and self.window is None:
            raise ConfigError("recording.stride: expected recording.window beside it, which it moves")
