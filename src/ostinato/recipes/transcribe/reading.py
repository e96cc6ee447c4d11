"""Reading a transcriber's data: recordings, pictures of lines, or the built-in data."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ostinato.data.recordings.digit_rows import DIGITS, digit_rows
from ostinato.data.recordings.drawn import LINES, drawn_lines
from ostinato.data.recordings.line_pictures import are_line_pictures, folders_of_parts, read_line_pictures
from ostinato.data.recordings.recording import Recordings
from ostinato.data.recordings.splits import draw_splits, draw_validation
from ostinato.data.records.splits import Splits
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.tables import is_folder
from ostinato.errors import DataError
from ostinato.recipes.recordings.reading import TEXT_LABELS, RecordingReader
from ostinato.recipes.transcribe.data import TranscribeKnown
from ostinato.recipes.transcribe.settings import TranscribeSettings

_BUILT_IN = {LINES: drawn_lines, DIGITS: digit_rows}


def read_splits(settings: TranscribeSettings) -> Splits[Recordings]:
    """Reads the data of a run in three parts."""
    data = settings.data
    if (made := _built_in(data)) is not None:
        return made
    assert data is not None
    found = _pictures(settings, data) if are_line_pictures(data) else _reader(settings).splits(data)
    parts = (found.train, found.validation, found.test)
    return Splits(found.name, *(with_texts(part, settings, data) for part in parts))


def read_part(settings: TranscribeSettings, known: TranscribeKnown, data: str, *, labelled: bool) -> Recordings:
    """Data to evaluate on, or to transcribe; of data with parts the test part.

    Raises:
        DataError: the data cannot be read, or are not like those of training.
    """
    if data in _BUILT_IN and not Path(data).exists():
        found = _BUILT_IN[data]().test
        if found.channels != known.scaling.channels:
            raise DataError(
                f"{data}: expected channels {', '.join(known.scaling.channels[:3])}, ..., like those of training"
            )
        return found
    if known.height is not None:
        folder = Path(data).expanduser()
        place = str(folders_of_parts(folder).get("test", folder)) if is_folder(data) else data
        found = _lines_of(settings, place, known.height, labelled)
    else:
        found = _reader(settings).part(data, known.scaling, labelled=labelled)
    return with_texts(found, settings, data) if labelled else found


def with_texts(found: Recordings, settings: TranscribeSettings, data: str) -> Recordings:
    """Leaves out recordings without text, with a note; with `reading.keep_empty` gives them an empty text instead."""
    if settings.reading.keep_empty:
        return dataclasses.replace(
            found, items=tuple(dataclasses.replace(each, label=each.label or "") for each in found.items)
        )
    items = tuple(each for each in found.items if each.label is not None)
    left = len(found) - len(items)
    if not left:
        return found
    if not items:
        raise DataError(f"{data}: none of its recordings has a text; fill in the column of texts, or name another")
    note = (
        f"{data}: {left:,} of {len(found):,} recordings have no text, and are left out; --reading.keep_empty true says that "
        "there is nothing to write in them"
    )
    return dataclasses.replace(found, items=items, notes=(*found.notes, note))


def height_of(settings: TranscribeSettings, train: Recordings) -> int | None:
    """The height of pictures; None for recordings."""
    if settings.data is None or settings.data in _BUILT_IN or are_line_pictures(settings.data):
        return len(train.channels)
    return None


def _built_in(data: str | None) -> Splits[Recordings] | None:
    if data is None:
        return drawn_lines()
    return _BUILT_IN[data]() if data in _BUILT_IN and not Path(data).exists() else None


def _pictures(settings: TranscribeSettings, data: str) -> Splits[Recordings]:
    reading, height = settings.reading, settings.reading.height
    name = Path(data).name
    places = folders_of_parts(Path(data).expanduser()) if is_folder(data) else {}
    places = {part: str(place) for part, place in places.items()} or {"train": data}
    places |= {part: place for part in ("validation", "test") if (place := getattr(reading, part)) is not None}
    found = {part: _lines_of(settings, place, height, True) for part, place in places.items()}
    train = found["train"]
    if "validation" in found:
        share = 0.0 if "test" in found else reading.test_share
        drawn = draw_splits(train, name, 0.0, share, by_time=False, target="text")  # texts need no shares in the parts
        return Splits(name, drawn.train, found["validation"], found.get("test", drawn.test))
    if "test" in found:
        return Splits(
            name, *draw_validation(train, reading.validation_share, by_time=False, target="text"), found["test"]
        )
    return draw_splits(train, name, reading.validation_share, reading.test_share, by_time=False, target="text")


def _lines_of(settings: TranscribeSettings, place: str, height: int, labelled: bool) -> Recordings:
    skip = settings.recording.skip_broken or not labelled
    return read_line_pictures(
        place, height, text=settings.reading.text, names=TEXT_LABELS, labels=labelled, skip_broken=skip
    )


def _reader(settings: TranscribeSettings) -> RecordingReader:
    reading = settings.reading
    dialect = Dialect(reading.separator, reading.header)
    return RecordingReader(settings.recording, reading, of_steps=False, dialect=dialect, target="text")
