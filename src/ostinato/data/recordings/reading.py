"""Recordings from any source: a table, an archive of arrays, a file of the UCR or UEA archive, or a folder of these.

| data | are |
| --- | --- |
| `.csv`, `.tsv`, `.jsonl`, `.parquet` whose columns hold numbers | a table, see `tables` |
| `.jsonl`, `.parquet` with lists in a cell | a recording in each row, see `lists` |
| `.npy`, `.npz` | arrays, see `arrays` |
| `.wav`, `.flac`, `.ogg`, `.mp3`, ... | one recording, see `sound` |
| `.edf`, `.bdf` | one recording, see `edf_file` |
| `.ts`; `NAME_TRAIN.tsv`, `NAME_TEST.tsv` that hold numbers only | files of the UCR and UEA archives, see `ts_file` |
| a folder with `NAME_TRAIN.ts` and `NAME_TEST.ts`, or with train, validation and test files or folders | parts |
| a folder with a folder of files for each class | a recording in each file, whose class is the name of its folder |
| a folder of files with `labels.csv` (file, label) | a recording in each file |
| a folder of other files | the recordings of each file, with the labels in it |
| a pattern such as `sounds/*.wav` or `calls/*/*.wav` | the files that match, treated as the files of a folder |

The files of a folder are tables, sound or EDF. Sound is turned into spectra, see `Sound`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ostinato.data.recordings.arrays import parts_of, read_arrays, read_values
from ostinato.data.recordings.columns import GROUP_NAMES, Columns, holds_recordings
from ostinato.data.recordings.edf_file import EDF_SUFFIXES, read_edf_file
from ostinato.data.recordings.lists import holds_lists, read_lists
from ostinato.data.recordings.recording import Recording, Recordings, check_channels
from ostinato.data.recordings.sound import AS_IT_COMES, SOUND_SUFFIXES, Sound, as_steps, read_sound
from ostinato.data.recordings.tables import read_recording_table
from ostinato.data.recordings.ts_file import find_ts_parts, is_ucr_table, read_ts, read_ucr_table
from ostinato.data.sources.archives import archive_names
from ostinato.data.sources.broken import in_one_line, leave_out, none_left, unread_note
from ostinato.data.sources.cells import JSON_SUFFIXES, PARQUET_SUFFIXES, TABLE_SUFFIXES, first_cells, read_cells
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.hidden import matching, root_of, visible
from ostinato.data.sources.lines import PART_NAMES, find_parts, suffix_of
from ostinato.data.sources.tables import is_folder, joined_label, several_labels
from ostinato.errors import DataError

_ARRAYS = (".npy", ".npz")
_FILES = (*TABLE_SUFFIXES, *_ARRAYS, ".ts")
_RECORDED = (*TABLE_SUFFIXES, *SOUND_SUFFIXES, *EDF_SUFFIXES)  # files of which each may be one recording of a folder
_OF_RECORDINGS = {"lengths", "groups", "group", "channels", "times"}
_LABELS = ("label", "class", "target", "y", "text", "transcript", "labels")
SKIP = leave_out("--recording.skip_broken")
_LABEL_FILES = ("labels", "label", "classes", "metadata")


def are_recordings(data: str, columns: Columns, dialect: Dialect | None = None) -> bool:
    """Tell recordings from texts and images: a table by its first rows, an archive of arrays by its numbers."""
    if (files := _matching(data)) is not None:
        return bool(files) and are_recordings(str(files[0]), columns, dialect)
    if is_folder(data):
        folder = Path(data).expanduser()
        if find_ts_parts(folder):
            return True
        train = find_parts(folder, PART_NAMES, _FILES).get("train") or _folders_of_parts(folder).get("train")
        if train is None:
            file = next(_files_of_classes(folder), None) or next(_labelled_files(folder, columns), None)
            if file is not None:
                return suffix_of(file[0]) in _RECORDED
            plain = next(iter(_recorded(folder)), None)
            return plain is not None and are_recordings(str(plain), columns, dialect)
        return are_recordings(str(train), columns, dialect)
    suffix = suffix_of(data)
    if suffix in (".ts", ".npy", *SOUND_SUFFIXES, *EDF_SUFFIXES) or (suffix in (".tsv", ".txt") and is_ucr_table(data)):
        return True
    if suffix == ".npz":
        return _are_measured(data)
    return suffix in TABLE_SUFFIXES and (holds_lists(data) or holds_recordings(data, columns, dialect))


def _are_measured(data: str) -> bool:
    """Tell whether the numbers of an archive are recordings and not images.

    They are if one is negative, NaN, or above 1 and not whole, because brightness is none of these; or if the archive
    has groups, lengths, channels or times, because images have none.
    """
    try:
        if {name.lower() for name in archive_names(data)} & _OF_RECORDINGS:
            return True
        part = next(iter(parts_of(data)), "")
        values = read_values(data, part)
    except DataError:
        return False  # the reader of images says what is wrong
    return any(bool((v < 0).any() or np.isnan(v).any() or ((v != np.rint(v)) & (v > 1)).any()) for v in values)


def parts_at(data: str) -> dict[str, str]:
    """Find the parts "train", "validation" and "test" of data, as far as they exist; without parts "train" is all."""
    if not is_folder(data):
        return {"train": data}
    folder = Path(data).expanduser()
    found = find_ts_parts(folder) or find_parts(folder, PART_NAMES, _FILES) or _folders_of_parts(folder)
    return {part: str(file) for part, file in found.items()} if "train" in found else {"train": data}


def read_recordings(
    data: str,
    columns: Columns,
    *,
    labels: bool = True,
    part: str = "",
    dialect: Dialect | None = None,
    sound: Sound = AS_IT_COMES,
    skip_broken: bool = False,
) -> Recordings:
    """Read the recordings of a file, a folder or a pattern.

    Args:
        data: A name as in the table at the top of this module, but no folder with parts: give the name of a part.
        columns: The columns of a table that a user named.
        labels: Whether labels are wanted.
        part: Which part to read, if `data` is an archive of arrays with parts.
        dialect: How CSV or TSV is written.
        sound: How sound is read; and the sampling rate of all recordings.
        skip_broken: Whether to leave out files that cannot be read, if there are several; `unread` then names them.

    Raises:
        DataError: The data cannot be read, there is no recording, or labels are wanted and there are none.
    """
    reader = _Reader(columns, labels, dialect, sound, [] if skip_broken else None)
    files = _matching(data)
    if files is not None:
        found = reader.pattern(data, files)
    elif is_folder(data):
        found = reader.folder(Path(data).expanduser())
    else:
        found = reader.file(data, part)
    if not len(found):
        if reader.unread:
            raise none_left(data, reader.unread)
        raise DataError(f"{data}: there is no recording in it; expected at least one")
    if labels and not any(each.label is not None or each.labels is not None for each in found.items):
        raise DataError(f"{data}: none of its recordings has a {columns.label_names[0]}; {_advice(data, columns)}")
    return with_unread(found, data, reader.unread or ())


def with_unread(found: Recordings, data: str, unread: Sequence[str]) -> Recordings:
    """Add the lines about files that could not be read to `found`, and a note that tells of them."""
    if not unread:
        return found
    return replace(found, unread=tuple(unread), notes=(*found.notes, unread_note(data, unread)))


def _advice(data: str, columns: Columns) -> str:
    """Say how to give labels to recordings in the form of `data`; the end of an error message."""
    what, suffix = columns.label_names[0], suffix_of(data)
    if suffix == ".npy":
        return "write .npz with x (N, T, C) and y (N,) (docs/sensors.md)"
    if suffix in (*JSON_SUFFIXES, *PARQUET_SUFFIXES):
        names, _ = first_cells(data)
        return (
            f"expected a key {what} in each (or {', '.join(columns.label_names[1:4])}, ...), got {', '.join(names)}; name it with "
            f"{columns.label_flag}"
        )
    return f"put {what}s beside them (docs/sensors.md)"


def _recorded(folder: Path) -> list[Path]:
    return [file for file in visible(folder.iterdir()) if file.is_file() and suffix_of(file) in _RECORDED]


def _folders_of_parts(folder: Path) -> dict[str, Path]:
    """Find folders called train, validation and test, as far as they exist; none if there is no train."""
    inside = {each.name.lower(): each for each in visible(folder.iterdir()) if each.is_dir()}
    found = {part: inside[name] for part, names in PART_NAMES.items() for name in names if name in inside}
    return found if "train" in found else {}


def _files_of_classes(folder: Path) -> Iterator[tuple[Path, str, str | None]]:
    for each in visible(folder.iterdir()):
        if each.is_dir():
            yield from ((file, each.name, None) for file in _recorded(each))


def _labelled_files(folder: Path, named: Columns) -> Iterator[tuple[Path, str, str | None]]:
    """Give each file that a table of labels in the folder names, its label, and its group if a column tells groups."""
    table = next(filter(_is_label_file, visible(folder.iterdir())), None)
    if table is None:
        return
    columns, rows = read_cells(table)
    lower = {name.lower(): name for name in columns}
    file = next(
        (lower[name] for name in ("file", "filename", "file_name", "path", "name", "id") if name in lower), columns[0]
    )
    names = several_labels(named.label, columns)
    for name in (*(names or [named.label]), named.group):
        if name is not None and name not in columns:
            raise DataError(f"{table}: has no column {name!r}; its columns are {', '.join(columns)}")
    label = named.label or next((lower[name] for name in _LABELS if name in lower), columns[-1])
    group = named.group or next((lower[name] for name in GROUP_NAMES if name in lower and lower[name] != label), None)
    for place, row in rows:
        name = str(row.get(file) or "").strip()
        found = next(
            (f for f in (folder / name, *(folder / f"{name}{s}" for s in _RECORDED)) if name and f.is_file()), None
        )
        if found is None:
            raise DataError(
                f"{table}, {place}: there is no file {name!r} in {folder}; put it there or leave the row out"
            )
        whose = "" if group is None else str(row.get(group) or "").strip()
        place = f"{table}, {place}"
        said = str(row.get(label) or "").strip() if names is None else joined_label(row, names, place)
        yield found, said, whose or None


class _Reader:
    """Reader of several files, one after the other; the first one determines the sampling rate and the channels of all.

    Args:
        columns, labels, dialect, sound: See `read_recordings`.
        unread: A list that gets a line for each file that cannot be read; None if such a file is an error.
    """

    def __init__(self, columns: Columns, labels: bool, dialect: Dialect | None, sound: Sound, unread: list[str] | None):
        self.columns, self.labels, self.dialect, self.sound, self.unread = columns, labels, dialect, sound, unread

    def file(self, data: str | Path, part: str = "", *, bare: bool = False) -> Recordings:
        """Read one file; with `bare` its columns of labels, ids and groups are ignored, as the caller knows them."""
        columns = replace(self.columns, label=None, id=None, group=None) if bare else self.columns
        suffix = suffix_of(data)
        if suffix in _ARRAYS:
            found = read_arrays(data, part)
        elif suffix in SOUND_SUFFIXES:
            found = read_sound(data)
        elif suffix in EDF_SUFFIXES:
            found = read_edf_file(data, columns.channels or columns.expected or None)
        elif suffix == ".ts":
            found = read_ts(data)
        elif suffix in (".tsv", ".txt") and is_ucr_table(data):
            found = read_ucr_table(data)
        elif holds_lists(data):
            found = read_lists(data, columns)
        else:
            found = read_recording_table(data, columns, labels=self.labels and not bare, dialect=self.dialect)
        found = as_steps(found, self.sound, data)
        self.sound = replace(self.sound, rate=self.sound.rate or found.rate)
        return found

    def folder(self, folder: Path) -> Recordings:
        """Read the recordings of a folder."""
        files = list(_files_of_classes(folder)) or list(_labelled_files(folder, self.columns))
        if files:
            return self._of_labelled(files, folder)
        if plain := _recorded(folder):
            return self._of_own(plain)
        raise DataError(
            f"{folder}: expected a folder for each class with files in it (tables, sound, EDF), files with labels.csv beside them, "
            "or files called train and test; found none"
        )

    def pattern(self, data: str, files: list[Path]) -> Recordings:
        """Read the files that match a pattern."""
        if not files:
            raise DataError(f"{data}: no file has such a name; check it, and put it between quotes in a shell")
        labelled = _labels_of(files, self.columns)
        return self._of_labelled(labelled, root_of(Path(data).expanduser())) if labelled else self._of_own(files)

    def _of_labelled(self, files: list[tuple[Path, str, str | None]], folder: Path) -> Recordings:
        """Read files of one recording each, whose labels and groups are given in `files`."""
        items: list[Recording] = []
        notes: list[str] = []
        channels: tuple[str, ...] | None = None
        for file, label, group in files:
            found = self._tried(file, bare=True)
            if found is None:
                continue
            channels = channels or found.channels
            found = check_channels(found, channels, file)
            if len(found) > 1:
                raise DataError(
                    f"{file}: expected one recording a file, got {len(found)} (told apart by a column of ids); name the file "
                    "itself with --data"
                )
            whose = found[0].group if group is None else group
            id = str(file.relative_to(folder))
            items.append(replace(found[0], id=id, label=label or None, labels=None, group=whose))
            notes += (note for note in found.notes if "resampled" in note)
        return Recordings(channels or (), tuple(items), tuple(dict.fromkeys(notes)), self.sound.rate)

    def _of_own(self, files: list[Path]) -> Recordings:
        """Read all recordings of files that contain their own labels; each id begins with the name of the file."""
        items: list[Recording] = []
        notes: list[str] = []
        for file in files:
            try:
                found = self._tried(file)
                if found is None:
                    continue
                self.columns = replace(self.columns, expected=self.columns.expected or found.channels)
                found = check_channels(found, self.columns.expected, file)
            except DataError as error:
                hint = ". Or lay files of a class into a folder of its name, or put labels.csv beside them"
                raise DataError(f"{error}{hint * self.labels}") from error
            items += (
                replace(each, id=file.name if len(found) == 1 else f"{file.name} {each.id}") for each in found.items
            )
            notes += found.notes
        return Recordings(self.columns.expected, tuple(items), tuple(dict.fromkeys(notes)), self.sound.rate)

    def _tried(self, file: Path, *, bare: bool = False) -> Recordings | None:
        """Read one of several files; return None if it cannot be read and is left out."""
        try:
            return self.file(file, bare=bare)
        except DataError as error:
            if self.unread is None:
                is_broken = suffix_of(file) in (*SOUND_SUFFIXES, *EDF_SUFFIXES)
                raise DataError(f"{error}{SKIP * is_broken}") from error
            self.unread.append(in_one_line(error))
            return None


def _labels_of(files: list[Path], columns: Columns) -> list[tuple[Path, str, str | None]]:
    """Pair each file with its label and group.

    They come from a table beside the files, else the label is the name of the folder; the list is empty if all files
    are in one folder without such a table.
    """
    folders = list(dict.fromkeys(file.parent for file in files))
    said = {file: (label, group) for each in folders for file, label, group in _labelled_files(each, columns)}
    if any(file in said for file in files):
        return [(file, *said.get(file, ("", None))) for file in files]
    return [(file, file.parent.name, None) for file in files] if len(folders) > 1 else []


def _matching(data: str) -> list[Path] | None:
    """Find the files of recordings that match a pattern; None if `data` is no pattern."""
    files = matching(data)
    if files is None:
        return None
    return [file for file in files if suffix_of(file) in (*_RECORDED, *_FILES) and not _is_label_file(file)]


def _is_label_file(file: Path) -> bool:
    return file.stem.lower() in _LABEL_FILES and suffix_of(file) in TABLE_SUFFIXES


def without_labels(found: Recordings) -> Recordings:
    """Return the same recordings without their labels."""
    return replace(found, items=tuple(replace(each, label=None, labels=None) for each in found.items))


def names_of_labels(found: Recordings) -> list[str]:
    """Return every label of a step or a recording once, sorted; numbers come first, by size."""
    names = {
        label for each in found.items for label in itertools.chain([each.label], each.labels or ()) if label is not None
    }
    return sorted(names, key=_order)


def _order(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
