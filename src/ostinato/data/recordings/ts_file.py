"""Files of the UCR and UEA archives: `.ts`, as aeon and sktime write it, and the older tables, a recording a row.

A `.ts` file has a header of lines that begin with @, and after @data a line for each recording: colons separate its
channels, commas the values of a channel, and the class is at the end. If the header says so, each value comes with its
time: (0.5,17),(0.7,18).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NoReturn

import numpy as np

from ostinato.data.recordings.recording import Recording, Recordings, channel_names, too_large
from ostinato.data.sources.hidden import visible
from ostinato.data.sources.lines import COMPRESSIONS, numbered_lines, suffix_of
from ostinato.errors import DataError

_MISSING = "?"
_REMARKS = ("#", "%")  # % is from the .arff files that many of these files were made from
_PARTS = re.compile(r"(.+)_(train|test)(\.ts|\.tsv|\.txt)", re.IGNORECASE)
_KINDS = (".ts", ".tsv", ".txt")  # the archive has the same data in each of these; the first says the most
_BETWEEN_PAIRS = re.compile(r"\)\s*,\s*\(")
_OUTSIDE_PAIRS = re.compile(r":(?![^(]*\))")


@dataclass
class _Header:
    """The header: what the lines before the data say.

    Attributes:
        dimensions: How many channels; None if the header does not say.
        univariate: Whether there is one channel.
        times: Whether each value comes with its time.
        equal: Whether all recordings have the same number of steps.
        length: Steps of each recording; None if the header does not say.
        labelled: Whether a line ends with a class; None if the header has not said so far.
        classes: Names of the classes; empty if the file does not name them.
    """

    dimensions: int | None = None
    univariate: bool = False
    times: bool = False
    equal: bool = False
    length: int | None = None
    labelled: bool | None = None
    classes: tuple[str, ...] = ()

    def read(self, key: str, rest: str, place: str) -> None:
        """Read one line: `key` is the word after its @, in lower case, and `rest` the rest of the line."""
        if key in ("timestamps", "univariate", "equallength"):
            name = {"timestamps": "times", "equallength": "equal"}.get(key, key)
            setattr(self, name, _truth(key, rest, place))
        elif key in ("dimensions", "dimension", "serieslength"):
            if not rest.isascii() or not rest.isdigit() or int(rest) < 1:
                raise DataError(
                    f"{place}: expected a number from 1 on after @{key}, got {rest[:40]!r}; mend the header"
                )
            setattr(self, "length" if key == "serieslength" else "dimensions", int(rest))
        elif key == "classlabel":
            first, *names = rest.split() or [""]
            self.labelled, self.classes = _truth(key, first, place), tuple(names)
        elif key == "targetlabel":
            self.labelled = _truth(key, (rest.split() or [""])[0], place) or self.labelled or False

    def check(self, place: str) -> None:
        """Check at @data, the end of the header, that it is complete and consistent."""
        if self.labelled is None:
            raise DataError(
                f"{place}: expected a line @classLabel before @data, and there is none; write '@classLabel true' and the names "
                "of the classes, or '@classLabel false' where the lines end without one"
            )
        if self.univariate and (self.dimensions or 1) != 1:
            raise DataError(
                f"{place}: the header says @univariate true and @dimensions {self.dimensions}; expected one of both, mend it"
            )
        self.dimensions = 1 if self.univariate else self.dimensions


def read_ts(path: str | Path) -> Recordings:
    """Read the recordings of a .ts file, compressed or not.

    A channel that is shorter than the others of its recording is filled with NaN at its end. If channels have different
    times, the recording has all times, and NaN where a channel has no value. The channel is called x; several are
    called x0, x1, ... If the lengths in the header do not agree with the data, `notes` says so; what the header says
    about missing values is ignored.

    Raises:
        DataError: The file cannot be read or is no .ts file, or a line contradicts the header.
    """
    header = _Header()
    items: list[Recording] = []
    lines = ((number, line.strip()) for number, line in numbered_lines(path))
    lines = ((number, line) for number, line in lines if line and line[0] not in _REMARKS)
    _read_header(header, lines, path)
    for number, line in lines:
        items.append(_case(line, str(len(items) + 1), header, f"{path}, line {number}"))
        header.dimensions = items[0].values.shape[1]
    if not items:
        raise DataError(
            f"{path}: expected recordings after @data, a line each, and there are none; fetch the file again"
        )
    notes: list[str] = []
    if header.equal:
        length = header.length or len(items[0])
        if other := [item for item in items if len(item) != length]:
            first = f"recording {other[0].id} has {len(other[0]):,}"
            said = f"its header says that all recordings have {length:,} steps"
            notes = [f"{path}: {said}, but {len(other):,} have not: {first}"]
    return Recordings(channel_names(items[0].values.shape[1]), tuple(items), tuple(notes))


def read_ucr_table(path: str | Path) -> Recordings:
    """Read a table of the UCR archive of 2018: each row has the class of a recording, then its values, after tabs.

    NaN at the end of a row pads it to the longest row and is cut off; elsewhere NaN is a missing value. Rows without
    tabs are separated by spaces.

    Raises:
        DataError: The file cannot be read, a row has another number of cells than the first, or a cell is not a number.
    """
    items: list[Recording] = []
    width = 0
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        place, cells = f"{path}, line {number}", _cells(line)
        width = width or len(cells)
        if len(cells) != width or width < 2:
            raise DataError(
                f"{place}: expected a class and {max(width - 1, 1):,} values parted by tabs, got {len(cells):,} cells; fill "
                "shorter rows with NaN at their end, or fetch the file again"
            )
        values = _numbers(cells[1:], place)
        there = np.flatnonzero(~np.isnan(values))
        if not len(there):
            raise DataError(f"{place}: expected at least one value beside the class, got only NaN; leave the row out")
        label = _class_number(cells[0], place)
        items.append(Recording(str(len(items) + 1), values[: there[-1] + 1, None], label))
    if not items:
        raise DataError(f"{path}: expected recordings, a row each, and the file is empty; fetch it again")
    return Recordings(channel_names(1), tuple(items))


def is_ucr_table(path: str | Path) -> bool:
    """Tell whether a file is a table of the UCR archive: its name and its first row, only numbers, are of that form.

    The name is NAME_TRAIN or NAME_TEST with .tsv or .txt.

    False for a file that cannot be read: the reader reports the error.
    """
    found = _PARTS.fullmatch(_uncompressed(Path(path).name))
    if found is None or suffix_of(path) not in (".tsv", ".txt"):
        return False
    try:
        lines = numbered_lines(path)
        _, first = next(lines, (1, ""))
        cells = _cells(first)
        _numbers(cells, "")
    except DataError:
        return False
    return len(cells) >= 3


def find_ts_parts(folder: Path) -> dict[str, Path]:
    """Find the files of a folder that holds one data set of the archive, by part: "train" and "test".

    They are called NAME_TRAIN.ts and NAME_TEST.ts, in upper or lower case, compressed or not; if there are none, files
    in the older form of `read_ucr_table` are looked for. The result is empty if there is not one file for each part.

    Raises:
        DataError: There are two data sets, or two files for one part.
    """
    files = [(file, _PARTS.fullmatch(_uncompressed(file.name))) for file in visible(folder.iterdir()) if file.is_file()]
    for kind in _KINDS:
        named = [(file, found) for file, found in files if found is not None and found[3].lower() == kind]
        if kind != ".ts":
            named = [(file, found) for file, found in named if is_ucr_table(file)]
        parts: dict[str, Path] = {}
        stems: dict[str, Path] = {}
        for file, found in named:
            part = found[2].lower()
            stems.setdefault(found[1].lower(), file)
            other = next(iter(stems.values())) if len(stems) > 1 else parts.get(part)
            if other is not None:
                what = "belong to two data sets" if len(stems) > 1 else f"could both be the {part} part"
                raise DataError(f"{folder}: {other.name} and {file.name} {what}; name the file")
            parts[part] = file
        if len(parts) == 2:
            return {"train": parts["train"], "test": parts["test"]}
    return {}


def _uncompressed(name: str) -> str:
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in COMPRESSIONS else name


def _truth(key: str, word: str, place: str) -> bool:
    if word.lower() not in ("true", "false"):
        raise DataError(f"{place}: expected true or false after @{key}, got {word[:40]!r}; mend the header")
    return word.lower() == "true"


def _read_header(header: _Header, lines: Iterator[tuple[int, str]], path: str | Path) -> None:
    for number, line in lines:
        place = f"{path}, line {number}"
        if not line.startswith("@"):
            raise DataError(
                f"{place}: expected a line of the header, which begins with @, or @data, got {line[:40]!r}; check that it is a .ts "
                "file of recordings"
            )
        key, _, rest = line[1:].replace("\t", " ").partition(" ")
        if key.lower() == "data":
            header.check(place)
            return
        header.read(key.lower(), rest.strip(), place)
    raise DataError(f"{path}: expected a line @data before the recordings, and there is none; fetch the file again")


def _case(line: str, name: str, header: _Header, place: str) -> Recording:
    channels = _OUTSIDE_PAIRS.split(line) if header.times else line.split(":")
    label = None
    if header.labelled:
        label = _label(channels.pop().strip(), header, place)
    count = header.dimensions or len(channels)
    if len(channels) != count or not channels:
        after = " and a class" if header.labelled else " without a class, as @classLabel false says,"
        raise DataError(
            f"{place}: expected {max(count, 1)} channels{after} parted by colons, got {len(channels)} channels; check the line and "
            "@dimensions"
        )
    if header.times:
        values, times = _on_one_axis([_pairs(channel, place) for channel in channels])
    else:
        values, times = _side_by_side([_split(channel) for channel in channels], place), None
    if not len(values):
        raise DataError(f"{place}: expected at least one value, got none; leave the line out")
    return Recording(name, values, label, times=times)


def _label(text: str, header: _Header, place: str) -> str | None:
    """Return the class, as the header writes it; None if the line has ? instead."""
    if not header.classes and text not in ("", _MISSING):
        return text
    if text in header.classes:
        return text
    if text == _MISSING:
        return None
    number = _as_number(text)
    same = next((name for name in header.classes if number is not None and _as_number(name) == number), None)
    if same is None:
        names = ", ".join(header.classes[:10]) + ", ..." * (len(header.classes) > 10)
        raise DataError(
            f"{place}: expected one of the classes {names or 'of the data'} after the last colon, got {text[-40:]!r}; "
            "name the class in @classLabel, or mend the line"
        )
    return same  # 1 for 1.0


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _split(text: str) -> list[str]:
    return text.split(",") if text.strip() else []


def _cells(line: str) -> list[str]:
    return line.strip("\r\n").split("\t") if "\t" in line.strip() else line.split()


def _numbers(cells: list[str], place: str) -> np.ndarray:
    """Read cells as (T,) float64, NaN where a value is missing."""
    narrow = _finite(_floats(cells, place, "a number, NaN or ?"))
    if np.isinf(narrow).any():
        _refuse(cells, int(np.isinf(narrow).argmax()), place, "a number within ±3.4e38, NaN or ?")
    return narrow


def _floats(cells: list[str], place: str, what: str) -> np.ndarray:
    found = _quickly(cells)
    if found is None:
        numbers = ["" if "_" in cell else cell.strip() for cell in cells]
        bad = next(at for at, cell in enumerate(numbers) if cell != _MISSING and _as_number(cell) is None)
        _refuse(cells, bad, place, what)
    return found


def _quickly(cells: list[str]) -> np.ndarray | None:
    """Read cells as (T,) float64 all at once; None if that fails and cells must be checked one by one."""
    if any("_" in cell for cell in cells):  # Python's own way to write thousands
        return None
    if any(_MISSING in cell for cell in cells):
        cells = ["nan" if cell.strip() == _MISSING else cell for cell in cells]
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        return None


def _finite(values: np.ndarray) -> np.ndarray:
    """Replace numbers beyond the range of float32 by infinity, which the callers refuse."""
    return np.where(too_large(values), np.inf, values)


def _refuse(cells: list[str], at: int, place: str, what: str) -> NoReturn:
    raise DataError(f"{place}: expected {what} as value {at + 1} of the channel, got {cells[at][:40]!r}; mend the line")


def _pairs(text: str, place: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the times (T,) float64 and the values (T,) float64 of a channel."""
    text = text.strip()
    pairs = _BETWEEN_PAIRS.split(text[1:-1]) if text else []
    if text and not (text.startswith("(") and text.endswith(")") and all(pair.count(",") == 1 for pair in pairs)):
        wrong = next((pair for pair in pairs if pair.count(",") != 1), text)
        raise DataError(
            f"{place}: expected (time,value),(time,value),... as @timeStamps true says, got {wrong[:40]!r}; mend the line, or the "
            "header"
        )
    cells = [cell for pair in pairs for cell in pair.split(",")]
    moments = cells[0::2]
    times = _floats(moments, place, "a time that is a number (write dates as seconds from a first one)")
    wrong = ~np.isfinite(times)
    wrong[1:] |= ~(np.diff(times) > 0)
    if wrong.any():
        _refuse(moments, int(wrong.argmax()), place, "a time that is larger than the one before")
    return times, _numbers(cells[1::2], place)


def _side_by_side(channels: list[list[str]], place: str) -> np.ndarray:
    steps = max(map(len, channels))
    if all(len(cells) == steps for cells in channels):  # all at once, because many short channels are slow one by one
        found = _quickly(list(chain.from_iterable(channels)))
        if found is not None and not np.isinf(narrow := _finite(found)).any():
            return np.ascontiguousarray(narrow.reshape(len(channels), steps).T)
    values = np.full((steps, len(channels)), np.nan)
    for at, cells in enumerate(channels):
        values[: len(cells), at] = _numbers(cells, place)
    return values


def _on_one_axis(channels: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    times = np.unique(np.concatenate([own for own, _ in channels]))
    values = np.full((len(times), len(channels)), np.nan)
    for at, (own, channel) in enumerate(channels):
        values[np.searchsorted(times, own), at] = channel
    return values, times


def _class_number(cell: str, place: str) -> str:
    number = _as_number(cell)
    if number is None or not number.is_integer():
        raise DataError(
            f"{place}: expected the number of a class first, got {cell[:40]!r}; only classes are read: write them as whole numbers"
        )
    return str(int(number))
