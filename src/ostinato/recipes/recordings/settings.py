"""The settings for recordings; in a module without torch, so that a wrong flag is reported at once."""

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
        window_label: the label of a window whose steps have several: majority, or last for that of its last step.
        ignore: columns of a table that are not read, as if they were not there.
        features: for sound, what a step is: log-mel (the energies of a frame in bands, in decibels), mfcc (mel cepstra of a frame)
            or none (a sample); auto is log-mel of sound files and none of others.
        window_ms: for features, how long a frame is.
        hop_ms: for features, the time from one frame to the next.
        bands: for features, bands of the mel scale.
        coefficients: for mfcc, how many a frame has.
        sampling_rate: samples a second, to which recordings of another rate are resampled; null for that of the first file.
        skip_broken: for many files, leave out those that are broken or empty, and say which; predict always does.
    """

    id: str | None = None
    time: str | None = None
    group: str | None = None
    channels: list[str] | None = None
    window: int | None = None
    stride: int | None = None
    stack: int | None = None
    window_label: Literal["majority", "last"] = "majority"
    ignore: list[str] | None = None
    features: Literal["auto", "log-mel", "mfcc", "none"] = "auto"
    window_ms: float = 25.0
    hop_ms: float = 10.0
    bands: int = 40
    coefficients: int = 13
    sampling_rate: float | None = None
    skip_broken: bool = False

    def __post_init__(self):
        for name in ("window_ms", "hop_ms", "sampling_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1e12:
                raise ConfigError(f"recording.{name}: expected a number above 0, got {value}")
        for name in ("window", "stride", "stack", "bands", "coefficients"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"recording.{name}: expected at least 1, got {value}")
        if self.stride is not None and self.window is None:
            raise ConfigError("recording.stride: expected recording.window beside it, which it moves")
