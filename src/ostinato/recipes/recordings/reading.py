"""Reading recordings for tasks: in three parts, with labels of recordings or of steps, in windows."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.recordings import reading as files
from ostinato.data.recordings.arrays import parts_of
from ostinato.data.recordings.columns import Columns
from ostinato.data.recordings.recording import Recordings, check_channels
from ostinato.data.recordings.scaling import Scaling
from ostinato.data.recordings.simulated import gestures, gestures_in_a_row
from ostinato.data.recordings.sound import Sound
from ostinato.data.recordings.splits import cut, draw_splits, draw_validation, windows
from ostinato.data.records.splits import Splits
from ostinato.data.records.targets import SEVERAL, DrawnBy, target_of
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.lines import suffix_of
from ostinato.errors import DataError
from ostinato.recipes.recordings.settings import RecordingSettings

GESTURES = "gestures"  # the name of the built-in recordings, unless there is such a file
TEXT_LABELS = ("text", "transcript", "transcription", "sentence", "label", "labels")  # names of columns of texts
_FAR, _LOOKED_AT = 100.0, 50  # deviations from training's mean; steps that are looked at
_PIECE = 128  # steps of the pieces of training recordings for a tagger


class RecordingReader:
    """Reads recordings for a task.

    Args:
        settings: the settings for recordings.
        reading: the task's settings for reading: label, validation, test, shares.
        of_steps: whether steps have labels, as for tag; else recordings have, as for classify.
        dialect: the form of CSV or TSV files.
        target: what labels are, if a run has learnt it; "text" for transcribe, where labels are no classes that
            recordings share.
    """

    def __init__(
        self,
        settings: RecordingSettings,
        reading: Any,
        *,
        of_steps: bool,
        dialect: Dialect | None = None,
        target: DrawnBy | None = None,
    ):
        self.settings, self.reading, self.of_steps, self.dialect = settings, reading, of_steps, dialect
        channels = None if settings.channels is None else tuple(settings.channels)
        ignored = tuple(settings.ignore or ())
        # Texts are drawn without shares of each label, like numbers.
        self.target: DrawnBy = target or reading.target
        if self.target != "text" and SEVERAL in (reading.label or ""):
            self.target = "several"
        self.columns = Columns(
            settings.id,
            settings.time,
            settings.group,
            channels,
            reading.label,
            ignored=ignored,
            several=self.target == "several",
        )
        self.sound = Sound(
            settings.features,
            settings.window_ms,
            settings.hop_ms,
            settings.bands,
            settings.coefficients,
            settings.sampling_rate,
        )
        # If steps have labels, a row is a step; and rows of a few sensors are not recordings from which windows can be
        # cut.
        fewest = sys.maxsize if of_steps else max(settings.window or 0, self.columns.fewest_wide)
        self.columns = dataclasses.replace(self.columns, fewest_wide=fewest)
        if self.target == "text":
            self.columns = dataclasses.replace(self.columns, label_names=TEXT_LABELS, label_flag="--reading.text")

    def reads(self, data: str | None) -> bool:
        """Whether data are recordings."""
        if data is None:
            return False
        if is_built_in(data):
            return True
        if getattr(self.reading, "text", None) is not None:
            return False  # a user who names a column of texts has texts
        return files.are_recordings(data, self.columns, self.dialect)

    def splits(self, data: str) -> Splits[Recordings]:
        """Reads three parts: those of the data, or drawn from them.

        Raises:
            DataError: the data cannot be read.
            ConfigError: shares are out of range.
        """
        reading, name = self.reading, Path(data).name
        if is_built_in(data):
            drawn = gestures_in_a_row() if self.of_steps else gestures()
            return Splits(drawn.name, *(self._cut(part, at) for at, part in enumerate(_parts(drawn))))
        places = {part: (place, "") for part, place in files.parts_at(data).items()}
        if list(places) == ["train"] and suffix_of(data) == ".npz":
            places |= {part: (data, part) for part in parts_of(data)}
        own = {part: getattr(reading, part) for part in ("validation", "test")}
        places |= {part: (place, "") for part, place in own.items() if place is not None}
        by_time = self.of_steps or self.settings.window is not None
        train = self._read(*places.pop("train"))
        if not self.of_steps and self.target != "text":
            self.target = target_of([each.label for each in train.items], self.target)
        if len(train) == 1 and not by_time:
            raise DataError(
                f"{data}: is one recording; name the column that tells recordings apart with --recording.id, or set "
                "--recording.window to classify pieces of it"
            )
        found = {part: self._read(*where, expected=train.channels, rate=train.rate) for part, where in places.items()}
        found = {part: check_channels(each, train.channels, places[part][0]) for part, each in found.items()}
        if "validation" in found and "test" in found:
            splits = Splits(name, train, found["validation"], found["test"])
        elif "validation" in found:
            drawn = draw_splits(train, name, 0.0, reading.test_share, by_time=by_time, target=self.target)
            splits = Splits(name, drawn.train, found["validation"], drawn.test)
        elif "test" in found:
            splits = Splits(
                name,
                *draw_validation(train, reading.validation_share, by_time=by_time, target=self.target),
                found["test"],
            )
        else:
            splits = draw_splits(
                train, name, reading.validation_share, reading.test_share, by_time=by_time, target=self.target
            )
        train, *others = (self._cut(part, at) for at, part in enumerate(_parts(splits)))
        others = (self._with_labels(part, data) for part in others)  # parts that may be empty
        return Splits(name, _some(self._with_labels(train, data), data), *others)

    def part(self, data: str, scaling: Scaling, *, labelled: bool) -> Recordings:
        """Reads recordings to evaluate on, or to predict for; of data with parts the test part.

        Raises:
            DataError: the data cannot be read, or lack labels that are wanted, or channels.
        """
        if is_built_in(data):
            found = (gestures_in_a_row() if self.of_steps else gestures()).test
        elif data == "-":
            raise DataError(
                "recordings are read from a file, and not from standard input; write them to one, such as a.csv"
            )
        else:
            places, part = files.parts_at(data), ""
            if suffix_of(data) == ".npz":
                part = "test" if "test" in (parts := parts_of(data)) else next(iter(parts), "")
            place = places.get("test", places["train"])
            found = self._read(place, part, labelled=labelled, expected=scaling.channels, rate=scaling.rate)
        found = self._cut(check_channels(found, scaling.channels, data), 2)
        found = dataclasses.replace(found, notes=(*found.notes, *_far(found, scaling, data)))
        return _some(self._with_labels(found, data), data) if labelled else found

    def _read(
        self,
        place: str,
        part: str,
        *,
        labelled: bool = True,
        expected: tuple[str, ...] = (),
        rate: float | None = None,
    ) -> Recordings:
        # In data to predict for, a column of labels is no channel.
        columns = dataclasses.replace(self.columns, expected=expected)
        sound = dataclasses.replace(self.sound, rate=rate or self.sound.rate)
        found = files.read_recordings(
            place,
            columns,
            labels=labelled,
            part=part,
            dialect=self.dialect,
            sound=sound,
            skip_broken=self.settings.skip_broken or not labelled,
        )
        if not labelled:
            return files.without_labels(found)
        if self.of_steps:
            if all(each.labels is None for each in found.items):
                raise DataError(
                    f"{place}: its recordings have a label each, and their steps have none; train classify on them, or label steps"
                )
            return found
        if self.settings.window is None:
            varied = next((each for each in found.items if each.label is None and _differ(each.labels)), None)
            if varied is not None:
                which = f"recording {varied.id!r}" if varied.id else "the recording"
                raise DataError(
                    f"{place}: the label changes within {which}; train tag to label each step, set --recording.window to "
                    "classify pieces, or name the column that tells recordings apart with --recording.id, or that of "
                    "texts with --reading.text"
                )
        return found

    def _with_labels(self, found: Recordings, data: str) -> Recordings:
        """Leaves out recordings without labels, which are no use in training or judging; a note counts them."""
        if self.target == "text":
            return found  # an empty text may mean that there is nothing to write
        if self.target == "several" and not self.of_steps:  # an empty list of labels is a label
            items = tuple(dataclasses.replace(each, label=each.label or "") for each in found.items)
            return dataclasses.replace(found, items=items)
        if self.of_steps:
            items = tuple(each for each in found.items if any(said is not None for said in each.labels or ()))
        else:
            items = tuple(each for each in found.items if each.label is not None)
        if left := len(found) - len(items):
            what = "windows" if self.settings.window is not None and not self.of_steps else "recordings"
            note = f"{data}: {left:,} of {len(found):,} {what} have no label, and are left out"
            return dataclasses.replace(found, items=items, notes=(*found.notes, note))
        return found

    def _cut(self, found: Recordings, part: int) -> Recordings:
        length = self.settings.window
        if self.of_steps:
            return cut(found, length or _PIECE) if part == 0 else found
        if length is None:
            return found
        if found.items and all(len(each) < length for each in found.items):
            longest = max(map(len, found.items))
            note = f"no recording is as long as a window of {length:,} steps, the longest has {longest:,}: each is one window"
            found = dataclasses.replace(found, notes=(*found.notes, note))
        return windows(found, length, self.settings.stride or max(1, length // 2), self.settings.window_label)


def _some(found: Recordings, data: str) -> Recordings:
    if not len(found):
        raise DataError(f"{data}: none of its recordings has a label; fill in the column of labels, or name another")
    return found


def _far(found: Recordings, scaling: Scaling, data: str) -> list[str]:
    """A line for each channel that is far from its values in training, for example because of another unit."""
    if not len(found):
        return []
    values = np.concatenate([each.values[:: max(1, len(each) // _LOOKED_AT)] for each in found.items])
    lines: list[str] = []
    for name, column, mean, deviation in zip(
        scaling.channels, values.T, scaling.means, scaling.deviations, strict=True
    ):
        there = column[~np.isnan(column)].astype(np.float64)
        if len(there) and (away := float(np.median(np.abs(there - mean))) / deviation) > _FAR:
            lines.append(
                f"{data}: channel {name!r} lies about {np.median(there):.4g}, {away:,.0f} deviations from the mean of training, "
                f"{mean:.4g}; is it in another unit?"
            )
    return lines


def is_built_in(data: str) -> bool:
    """Whether it is the name of the built-in recordings, and not of a file."""
    return data == GESTURES and not Path(data).exists()


def _parts(splits: Splits[Recordings]) -> Iterable[Recordings]:
    return splits.train, splits.validation, splits.test


def _differ(labels: tuple[str | None, ...] | None) -> bool:
    return labels is not None and len(set(labels)) > 1


def notes_of(splits: Splits[Recordings]) -> list[str]:
    """What a user should know about the data."""
    lines = list(dict.fromkeys(note for part in _parts(splits) for note in part.notes))
    groups = {each.group for each in splits.train.items if each.group is not None}
    lines.append(f"{splits.name}: channels {', '.join(splits.train.channels)}")
    if groups:
        lines.append(f"{splits.name}: recordings of one group stay in one part; {len(groups)} groups to train on")
    return lines
