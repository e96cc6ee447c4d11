"""Recordings of sound, and their spectra, at the sampling rate of training."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ostinato.data.recordings.recording import Recording, Recordings, channel_names
from ostinato.data.recordings.spectra import cepstra, frame_sizes, log_mel
from ostinato.data.sources.lines import open_file, suffix_of
from ostinato.errors import ConfigError, DataError
from ostinato.extras import needed

SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au")
FeaturesName = Literal["auto", "log-mel", "mfcc", "none"]


@dataclass(frozen=True)
class Sound:
    """How sound is read.

    Attributes:
        features: what a step is: the log-mel energies of a frame ("log-mel"), its mel cepstra ("mfcc"), or a sample
            ("none"); "auto" is log-mel for sound files, and none for others.
        window_ms: the length of a frame.
        hop_ms: the time from one frame to the next.
        bands: bands of the mel scale.
        coefficients: cepstra of a frame.
        rate: samples a second; recordings of another rate are resampled. None for the rate of the first recording.
    """

    features: FeaturesName = "auto"
    window_ms: float = 25.0
    hop_ms: float = 10.0
    bands: int = 40
    coefficients: int = 13
    rate: float | None = None


AS_IT_COMES = Sound()


def read_sound(path: str | Path) -> Recordings:
    """Read one recording: each step is a sample from -1 to 1, and the channels are those of the file.

    Raises:
        DataError: the file is no sound that libsndfile reads, or has no sample.
        MissingPackageError: soundfile is not installed.
    """
    with needed():
        import soundfile  # pyright: ignore[reportMissingTypeStubs]

    with open_file(path) as file:
        content = io.BytesIO(file.read())
    try:
        values, rate = soundfile.read(content, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        said = " ".join(str(error).split()).replace(repr(content), "it")
        raise DataError(
            f"{path}: expected sound as WAV, FLAC, OGG or MP3, which it is not, or not whole ({said}); convert it, or take it out"
        ) from error
    if not len(values):
        raise DataError(f"{path}: has no sample; expected at least one: take the file out")
    if not np.isfinite(values).all():
        at = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise DataError(f"{path}: sample {at + 1:,} is no finite number; write the file again")
    return Recordings(channel_names(values.shape[1]), (Recording(Path(path).name, values),), rate=float(rate))


def as_steps(found: Recordings, how: Sound, path: str | Path) -> Recordings:
    """Bring recordings to the wanted sampling rate, and turn sound into spectra.

    Args:
        found: the recordings as they were read; `found.rate` is the rate of their steps, None if it is not known.
        how: the wanted features and rate.
        path: the path of the recordings, for messages.

    Raises:
        DataError: spectra are wanted of several channels, of steps at unknown rates, or of sound with values missing.
        ConfigError: window, hop, bands or coefficients do not fit the rate.
    """
    features = how.features
    if features == "auto":
        features = "log-mel" if suffix_of(path) in SOUND_SUFFIXES else "none"
    if found.rate is None:
        found = replace(found, rate=how.rate)
    elif how.rate is not None and found.rate != how.rate:
        found = _resampled(found, how.rate, path)
    if features == "none":
        return found
    if found.rate is None:
        raise DataError(
            f"{path}: recording.features {features} needs the samples a second, which the data do not say; give "
            "--recording.sampling_rate"
        )
    if len(found.channels) != 1:
        raise DataError(
            f"{path}: expected one channel for recording.features {features}, got {len(found.channels)}; mix them into one, as "
            "`sox in.wav out.wav remix -` does, or read samples with --recording.features none"
        )
    items = tuple(_spectra(each, found.rate, features, how, path) for each in found.items)
    name = "mel" if features == "log-mel" else "mfcc"
    return replace(found, channels=tuple(f"{name}{at}" for at in range(items[0].values.shape[1])), items=items)


def _spectra(each: Recording, rate: float, features: FeaturesName, how: Sound, path: str | Path) -> Recording:
    if np.isnan(each.values).any():
        raise DataError(
            f"{path}: recording {each.id!r} has samples missing; of these there is no spectrum, fill them in"
        )
    if each.times is not None and np.ptp(np.diff(each.times)) > 1e-3 * abs(float(each.times[-1])):
        raise DataError(f"{path}: recording {each.id!r} has uneven times; a spectrum needs samples at one rate")
    values = log_mel(each.values[:, 0], rate, window_ms=how.window_ms, hop_ms=how.hop_ms, bands=how.bands)
    if features == "mfcc":
        values = cepstra(values, how.coefficients)
    _, hop = frame_sizes(rate, how.window_ms, how.hop_ms)
    labels = each.labels
    if labels is not None:
        labels = tuple(labels[min(at * hop, len(labels) - 1)] for at in range(len(values)))
    return replace(each, values=values, labels=labels, times=None)


def _resampled(found: Recordings, rate: float, path: str | Path) -> Recordings:
    """Resample recordings; frequencies above half of the lower rate are removed (scipy's `resample_poly`)."""
    with needed():
        from scipy import signal  # pyright: ignore[reportMissingTypeStubs]

    resample: Any = signal.resample_poly  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    before = found.rate
    assert before is not None
    ratio = Fraction(rate).limit_denominator(10**6) / Fraction(before).limit_denominator(10**6)
    if max(ratio.numerator, ratio.denominator) > 10**5:
        raise ConfigError(
            f"recording.sampling_rate: {path} has {before:g} samples a second, no simple fraction of {rate:g}; resample it"
        )
    items: list[Recording] = []
    for each in found.items:
        if np.isnan(each.values).any():
            raise DataError(
                f"{path}: has {before:g} samples a second and values missing; resample it to {rate:g} by yourself"
            )
        values: np.ndarray = resample(each.values.astype(np.float64), ratio.numerator, ratio.denominator, axis=0)
        old: list[int] = [min(int(at / ratio), len(each) - 1) for at in range(len(values))]
        labels = None if each.labels is None else tuple(each.labels[at] for at in old)
        items.append(replace(each, values=values.astype(each.values.dtype), labels=labels, times=None))
    note = f"recordings with {before:g} samples a second are resampled to {rate:g}"
    return replace(found, items=tuple(items), rate=rate, notes=(*found.notes, note))
