"""Pictures of lines of text, each with its text: a folder of image files and a list of the texts.

| in the folder | what is read |
| --- | --- |
| `labels.csv` (also .tsv, .jsonl, .parquet) with `file` and `text`; or one `.jsonl` | the pictures that it names |
| `a.png` and `a.gt.txt` or `a.txt` | a picture, and the text that is written in it |
| folders `train`, `validation`, `test` | the parts |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ostinato.data.recordings.columns import GROUP_NAMES
from ostinato.data.recordings.pictures import channels_of, recording_of
from ostinato.data.recordings.reading import SKIP, with_unread
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.records.captions import PICTURE_SUFFIXES, grey_picture
from ostinato.data.sources.broken import in_one_line, none_left
from ostinato.data.sources.cells import JSON_SUFFIXES, TABLE_SUFFIXES, read_cells
from ostinato.data.sources.hidden import matching, visible
from ostinato.data.sources.lines import PART_NAMES, suffix_of
from ostinato.data.sources.tables import is_folder
from ostinato.errors import DataError

_LISTS = ("labels", "label", "texts", "transcripts", "metadata")
_FILE_NAMES = ("file", "file_name", "filename", "image", "picture", "path", "name", "id")
_WRITER_NAMES = ("writer", *GROUP_NAMES)
_BESIDE = (".gt.txt", ".txt")


def are_line_pictures(data: str) -> bool:
    """Tell whether data are pictures: one file, a pattern of names, or a folder with pictures in it or in its parts."""
    if not is_folder(data):
        return suffix_of(data) in PICTURE_SUFFIXES
    folder = Path(data).expanduser()
    parts = folders_of_parts(folder)
    return bool(_pictures_in(parts.get("train", folder))) or (
        not parts and any(_is_listed_picture(each) for each in _first_names(folder))
    )


def folders_of_parts(folder: Path) -> dict[str, Path]:
    """Find folders called train, validation and test, as far as they exist; none if there is no train."""
    inside = {each.name.lower(): each for each in visible(folder.iterdir()) if each.is_dir()}
    found = {part: inside[name] for part, names in PART_NAMES.items() for name in names if name in inside}
    return found if "train" in found else {}


def read_line_pictures(
    data: str,
    height: int,
    *,
    text: str | None,
    names: Sequence[str],
    labels: bool = True,
    skip_broken: bool = False,
) -> Recordings:
    """Read the pictures of a folder, of one file, or of a pattern such as `scans/*.png`.

    Args:
        data: A file, a pattern, or a folder as in the table at the top of this module, but no folder with parts.
        height: The height in pixels that all pictures are scaled to.
        text: The column of texts; None for the first of `names` that exists.
        names: The names that the column of texts may have.
        labels: Whether texts are wanted.
        skip_broken: Whether to leave out pictures that cannot be read, if there are several; `unread` then names them.

    Raises:
        DataError: There is no picture, one cannot be read, or texts are wanted and there is no list of them.
    """
    place = Path(data).expanduser()
    listed: list[tuple[Path, str | None, str | None]]
    if not place.is_dir():
        files = matching(data)
        files = [place] if files is None else files
        listed = [(file, _beside(file), None) for file in files]
    elif (list_file := _list_in(place)) is not None:
        listed = list(_listed(place, list_file, text, names))
    else:
        listed = [(file, _beside(file), None) for file in _pictures_in(place)]
    if not listed:
        raise DataError(f"{data}: there is no picture; expected files in {', '.join(PICTURE_SUFFIXES)}")
    if labels and all(said is None for _, said, _ in listed):
        raise DataError(
            f"{data}: nothing says what is written in its pictures; put labels.csv beside them, with columns file and text, or a "
            "text file for each, a.gt.txt for a.png"
        )
    items: list[Recording] = []
    unread: list[str] = []
    for file, said, group in listed:
        try:
            items.append(_read(file, said if labels else None, group, place, height))
        except DataError as error:
            if not skip_broken or len(listed) == 1:
                raise DataError(f"{error}{SKIP * (len(listed) > 1)}") from error
            unread.append(in_one_line(error))
    if not items:
        raise none_left(data, unread)
    return with_unread(Recordings(channels_of(height), tuple(items)), data, unread)


def _read(file: Path, said: str | None, group: str | None, place: Path, height: int) -> Recording:
    pixels = grey_picture(file)
    name = str(file.relative_to(place)) if place.is_dir() and file.is_relative_to(place) else file.name
    made = recording_of(np.asarray(pixels), height, name, said)
    return made if group is None else Recording(made.id, made.values, made.label, group=group)


def _pictures_in(folder: Path) -> list[Path]:
    return [file for file in visible(folder.iterdir()) if file.suffix.lower() in PICTURE_SUFFIXES]


def _list_in(folder: Path) -> Path | None:
    tables = [file for file in visible(folder.iterdir()) if file.is_file() and suffix_of(file) in TABLE_SUFFIXES]
    named = next((file for file in tables if file.name.split(".")[0].lower() in _LISTS), None)
    lines = [file for file in tables if suffix_of(file) in JSON_SUFFIXES]
    return named or (lines[0] if len(lines) == 1 else None)


def _first_names(folder: Path) -> Iterator[str]:
    """Give the first file name in the list of a folder, if there is a list with a row."""
    table = _list_in(folder)
    if table is None:
        return
    columns, rows = read_cells(table)
    file = _column(columns, _FILE_NAMES)
    for _, row in rows:
        if file is not None:
            yield str(row.get(file) or "")
        return


def _is_listed_picture(name: str) -> bool:
    return Path(name).suffix.lower() in PICTURE_SUFFIXES


def _column(columns: Sequence[str], known: Sequence[str]) -> str | None:
    lower = {name.lower(): name for name in reversed(list(columns))}
    return next((lower[name] for name in known if name in lower), None)


def _listed(
    folder: Path, table: Path, text: str | None, names: Sequence[str]
) -> Iterator[tuple[Path, str | None, str | None]]:
    columns, rows = read_cells(table)
    if text is not None and text not in columns:
        raise DataError(f"{table}: has no column {text!r}; its columns are {', '.join(columns)}")
    file, said = _column(columns, _FILE_NAMES) or columns[0], text or _column(columns, names)
    group = _column([name for name in columns if name not in (file, said)], _WRITER_NAMES)
    if said is None:
        raise DataError(
            f"{table}: none of the columns {', '.join(columns)} is called {names[0]}; name the one of texts with --reading.text"
        )
    for place, row in rows:
        name = str(row.get(file) or "").strip()
        found = next(
            (f for f in (folder / name, *(folder / f"{name}{s}" for s in PICTURE_SUFFIXES)) if f.is_file()), None
        )
        if not name or found is None:
            raise DataError(
                f"{table}, {place}: there is no file {name!r} in {folder}; put it there or leave the row out"
            )
        cell = row.get(said)
        whose = "" if group is None else str(row.get(group) or "").strip()
        yield found, None if cell is None else str(cell).strip() or None, whose or None


def _beside(file: Path) -> str | None:
    """Return the content of a text file of the same name, its lines joined into one; None if there is none."""
    for ending in _BESIDE:
        text = file.with_suffix(ending)
        if text.is_file():
            try:
                return " ".join(text.read_text(encoding="utf-8-sig").split()) or None
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(f"{text}: is not a text in UTF-8 that can be read ({error})") from error
    return None
