"""Recordings in EDF, EDF+ and BDF, formats for sleep, brain and heart: channels with rates, and annotations.

Source: Kemp et al. 1992 and Kemp & Olivan 2003, "European data format 'plus' (EDF+)".
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.sources.lines import open_file, suffix_of
from ostinato.errors import DataError
from ostinato.extras import needed

EDF_SUFFIXES = (".edf", ".bdf")


def read_edf_file(path: str | Path, channels: tuple[str, ...] | None = None) -> Recordings:
    """Read one recording; a step is a sample of the fastest channel, and slower channels repeat their last value.

    An annotation is the label of the steps from its onset to its end. One without a duration lasts until the next
    begins, and where two overlap the later one counts. If all steps have the same label, it is also the label of the
    recording.

    Args:
        path: A file or URL.
        channels: The channels to read; None for all.

    Raises:
        DataError: The file cannot be read, is not continuous, or lacks one of the channels.
        MissingPackageError: edfio is not installed.
    """
    with needed():
        import edfio

    with open_file(path) as file:
        content = file.read()
    read: Any = edfio.read_bdf if suffix_of(path) == ".bdf" else edfio.read_edf
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # edfio warns of headers that deviate from the standard but can be read
            found = read(content)
            signals: list[Any] = list(found.signals)
            rates = [float(each.sampling_frequency) for each in signals]
            samples = [np.asarray(each.data, dtype=np.float64) for each in signals]
            notes = sorted((each.onset, each.duration, each.text.strip()) for each in found.annotations)
    except Exception as error:  # edfio has no error of its own for wrong bytes, so it may be any
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{path}: is no whole EDF file ({said}); fetch it again") from error
    if not getattr(found, "is_continuous", True):
        raise DataError(f"{path}: has pauses (EDF+D); expected one recording without: cut it into files")
    names = _names([each.label.strip() for each in signals])
    if channels is not None:
        if missing := [name for name in channels if name not in names]:
            raise DataError(f"{path}: has no channel {missing[0]!r}; its channels are {', '.join(names)}")
        order = [names.index(name) for name in channels]
        names, rates, samples = list(channels), [rates[at] for at in order], [samples[at] for at in order]
    if not samples or not max(map(len, samples)):
        raise DataError(f"{path}: has no sample; expected at least one channel with some")
    rate = max(rates)
    steps = max(len(each) for each, own in zip(samples, rates, strict=True) if own == rate)
    values = np.empty((steps, len(names)))
    for at, (own, each) in enumerate(zip(rates, samples, strict=True)):
        places = np.arange(steps) if own == rate else np.floor(np.arange(steps) * (own / rate) + 1e-9).astype(np.int64)
        values[:, at] = each[np.minimum(places, len(each) - 1)]
    labels = _labels(notes, steps, rate)
    label = labels[0] if labels is not None and len(set(labels)) == 1 else None
    item = Recording(Path(path).name, values, label, labels)
    return Recordings(tuple(names), (item,), rate=rate)


def _names(labels: list[str]) -> list[str]:
    """Return the names of the channels; those with the same name get a number."""
    found: list[str] = []
    for at, label in enumerate(labels):
        name = label or f"x{at}"
        found.append(name if labels.count(label) == 1 else f"{name} {labels[: at + 1].count(label)}")
    return found


def _labels(notes: list[tuple[float, float | None, str]], steps: int, rate: float) -> tuple[str | None, ...] | None:
    if not notes:
        return None
    found: list[str | None] = [None] * steps
    for at, (onset, duration, text) in enumerate(notes):
        begin = min(steps, max(0, int(np.ceil(onset * rate - 1e-6))))
        if duration:
            end = int(np.ceil((onset + duration) * rate - 1e-6))
        else:
            end = steps if at + 1 == len(notes) else int(np.ceil(notes[at + 1][0] * rate - 1e-6))
        for step in range(begin, min(max(begin, end), steps)):
            found[step] = text or None
    return tuple(found)
