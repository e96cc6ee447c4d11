"""Recordings in NumPy's files: an array in .npy, or an archive .npz that also has labels, lengths, groups and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ostinato.data.recordings.recording import Recording, Recordings, channel_names, too_large
from ostinato.data.sources.archives import archive_names, first_of, names_for, read_archive, read_array
from ostinato.data.sources.lines import PART_NAMES, suffix_of
from ostinato.errors import DataError

_STEMS = {
    "values": ("x", "data", "values", "series", "recordings"),
    "labels": ("y", "labels", "label", "targets", "text", "texts", "transcripts"),
    "lengths": ("lengths",),
    "groups": ("groups", "group"),
    "channels": ("channels",),
    "times": ("times",),
}
_OF_ALL_PARTS = ("channels", "times")
_NO_OBJECTS = (
    "write recordings as numbers (N, T, C), filled up to the longest, with an array lengths (N,) beside them, or as a table with "
    "a row a step; write texts with a fixed width (numpy.asarray(labels, dtype=str))"
)


@dataclass(frozen=True)
class _Named:
    """An array with its name in the archive, and the path of the archive."""

    name: str
    array: np.ndarray
    path: str | Path

    def wrong(self, expected: str, came: str, advice: str) -> DataError:
        return DataError(f"{self.path}: expected {expected} in the array {self.name}, got {came}; {advice}")

    @property
    def shape(self) -> str:
        return f"{self.array.dtype} {self.array.shape}"


def read_arrays(path: str | Path, part: str = "") -> Recordings:
    """Read the recordings of a .npy or .npz file.

    Args:
        path: A file or a URL. A .npy file holds numbers (N, T, C), or (N, T) for one channel. A .npz archive holds the
            same in an array called x, data, values, series or recordings; and it may also hold
            - y, labels, label or targets (or text, texts, transcripts): a label for each recording, (N,) or (N, 1), or for each
              step, (N, T); numbers or texts. NaN and empty texts mean no label; for a step also -1;
            - lengths (N,): how many steps each recording has; the steps beyond are cut off;
            - groups or group (N,): the group of each recording;
            - channels (C,): the names of the channels, else x, or x0, x1, ...;
            - times (T,) or (N, T): numbers that increase.
        part: "train", "validation" or "test", for an archive whose arrays are named by part: x_train, y_train, x_val,
            ...; the parts may share channels and times.

    Raises:
        DataError: The file cannot be read, lacks an array, or an array has another shape, type or value than described
            here.
    """
    if part and part not in PART_NAMES:
        raise DataError(f"{path}: expected the part {', '.join(PART_NAMES)}, got {part!r}")
    found = _of_one_array(path, part) if suffix_of(path) == ".npy" else _of_archive(path, part)
    values = _values(found["values"])
    count, steps = values.shape[:2]
    lengths = _lengths(found.get("lengths"), count, steps)
    _refuse_infinite(found["values"], values, lengths)
    channels = _channels(found.get("channels"), values.shape)
    labels, of_steps = _labels(found.get("labels"), count, steps, lengths)
    groups = _texts_of_each(found.get("groups"), count, "a group for each recording")
    times = _times(found.get("times"), count, steps, lengths)
    items = tuple(
        Recording(str(at + 1), values[at, :length], label, steps_said, None if own is None else own[:length], group)
        for at, (length, label, steps_said, own, group) in enumerate(
            zip(lengths.tolist(), labels, of_steps, times, groups, strict=True)
        )
    )
    notes = () if "lengths" in found else _note_of_filling(path, values)
    return Recordings(channels, items, notes)


def read_values(path: str | Path, part: str = "") -> np.ndarray:
    """Read only the numbers of the recordings, (N, T, C); for arguments and errors see `read_arrays`."""
    return _values((_of_one_array(path, part) if suffix_of(path) == ".npy" else _of_archive(path, part))["values"])


def parts_of(path: str | Path) -> tuple[str, ...]:
    """Find which of "train", "validation" and "test" an archive has, by the names of its arrays; none for a .npy file.

    Raises:
        DataError: The file is no archive, or cannot be read.
    """
    if suffix_of(path) == ".npy":
        return ()
    return _parts_among(archive_names(path))


def _parts_among(names: Sequence[str]) -> tuple[str, ...]:
    there = {name.lower() for name in names}
    return tuple(part for part, words in PART_NAMES.items() if there & set(names_for(_STEMS["values"], words)))


def _of_one_array(path: str | Path, part: str) -> dict[str, _Named]:
    if part:
        raise DataError(f"{path}: expected the part {part}, but a .npy file has no parts; write a .npz with x_{part}")
    return {"values": _Named(Path(path).name, read_array(path, objects=_NO_OBJECTS), path)}


def _of_archive(path: str | Path, part: str) -> dict[str, _Named]:
    words = PART_NAMES[part] if part else ()
    wanted = {what: names_for(stems, words) for what, stems in _STEMS.items()}
    for what in _OF_ALL_PARTS if part else ():
        wanted[what] += names_for(_STEMS[what])
    every = {name for names in wanted.values() for name in names}
    names: list[str] = []

    def is_wanted(name: str) -> bool:
        names.append(name)
        return name.lower() in every

    arrays = read_archive(path, is_wanted, objects=_NO_OBJECTS)
    found = {what: _Named(*one, path) for what, names in wanted.items() if (one := first_of(arrays, names)) is not None}
    if "values" not in found:
        parts = _parts_among(names)
        advice = f"; it has the parts {', '.join(parts)}" if parts else ""
        expected = f"x_{part}" if part else "x (or data, values, series, recordings)"
        raise DataError(f"{path}: expected an array called {expected}, got {', '.join(names) or 'none'}{advice}")
    there = {name.lower(): name for name in names}
    for what, stems in _STEMS.items() if part else ():
        if what not in found and (whole := next((there[stem] for stem in stems if stem in there), None)):
            raise DataError(
                f"{path}: expected an array called {whole}_{part} beside {found['values'].name}, got {whole}, which does not "
                "say its part; name it so"
            )
    return found


def _values(named: _Named) -> np.ndarray:
    """Return the numbers as (N, T, C) float32, or float64 if float32 would round their type."""
    array = named.array
    if array.dtype.kind not in "uifb" or array.ndim not in (2, 3) or 0 in array.shape:
        raise named.wrong(
            "recordings as numbers (N, T, C), or (N, T) of one channel,",
            named.shape,
            "N are the recordings, T their steps, C the channels",
        )
    exact = np.float32 if np.can_cast(array.dtype, np.float32) else np.float64
    values = array.astype(exact, copy=False)
    return values if array.ndim == 3 else values[:, :, None]


def _lengths(named: _Named | None, count: int, steps: int) -> np.ndarray:
    if named is None:
        return np.full(count, steps)
    if named.array.shape != (count,) or named.array.dtype.kind not in "ui":
        raise named.wrong(f"a whole number for each recording, ({count},),", named.shape, "say how many steps each has")
    wrong = (named.array < 1) | (named.array > steps)
    if wrong.any():
        at = int(wrong.argmax())
        raise named.wrong(
            f"lengths from 1 to {steps:,}",
            f"{named.array[at]} of recording {at + 1}",
            "leave out recordings without steps",
        )
    return named.array


def _refuse_infinite(named: _Named, values: np.ndarray, lengths: np.ndarray) -> None:
    if not too_large(values).any():
        return
    for at, length in enumerate(lengths.tolist()):
        places = np.argwhere(too_large(values[at, :length]))
        if len(places):
            step, channel = places[0].tolist()
            raise named.wrong(
                "numbers within ±3.4e38, or NaN for what is missing,",
                f"{named.array.reshape(values.shape)[at, step, channel]} at [{at}, {step}, {channel}]",
                "write NaN there, or scale the values",
            )


def _channels(named: _Named | None, shape: tuple[int, ...]) -> tuple[str, ...]:
    _, steps, width = shape
    if named is None:
        return channel_names(width)
    if named.array.shape != (width,):
        turned = named.array.shape == (steps,)
        advice = "turn the recordings, if they are (N, C, T): x.transpose(0, 2, 1)" if turned else "name each channel"
        raise named.wrong(f"a name for each channel, ({width},),", named.shape, advice)
    names = tuple(name or "" for name in _texts(named))
    if "" in names or len(set(names)) < width:
        raise named.wrong("names that differ", ", ".join(map(repr, names)), "name each channel")
    return names


def _labels(
    named: _Named | None, count: int, steps: int, lengths: np.ndarray
) -> tuple[Sequence[str | None], Sequence[tuple[str | None, ...] | None]]:
    """Return the labels of the recordings, and the labels of their steps; at least one of both is all None."""
    nothing = [None] * count
    if named is None or named.array.shape in ((count,), (count, 1)):
        return _texts_of_each(named, count, ""), nothing
    if named.array.shape != (count, steps):
        raise named.wrong(
            f"a class for each recording, ({count},), or for each step, ({count}, {steps}),",
            named.shape,
            "of a row of scores, or of zeros and a one, take the place of the largest: y.argmax(axis=-1)",
        )
    every = _texts(named)
    if named.array.dtype.kind in "if":
        every = [None if text == "-1" else text for text in every]
    return nothing, [tuple(every[at * steps : at * steps + length]) for at, length in enumerate(lengths.tolist())]


def _texts_of_each(named: _Named | None, count: int, expected: str) -> Sequence[str | None]:
    if named is None:
        return [None] * count
    if named.array.shape not in ((count,), (count, 1)):
        raise named.wrong(f"{expected}, ({count},),", named.shape, "write one for each")
    return _texts(named)


def _texts(named: _Named) -> list[str | None]:
    """Return the values of an array as texts, flattened: "3" for 3 and 3.0; None for NaN and empty texts."""
    array = named.array.reshape(-1)
    if array.dtype.kind == "S":
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise named.wrong(
                "texts in UTF-8", "other bytes", "write them with numpy.asarray(texts, dtype=str)"
            ) from error
    if array.dtype.kind == "f":
        if np.isinf(array).any():
            at = int(np.isinf(array).argmax())
            raise named.wrong(
                "numbers that are finite, or texts", f"{array[at]} as number {at + 1}", "write NaN for none"
            )
        whole = bool((np.isnan(array) | (array == np.trunc(array))).all())
        return [None if value != value else str(int(value) if whole else value) for value in array.tolist()]
    if array.dtype.kind not in "uibU":
        raise named.wrong("whole numbers or texts", named.shape, "write them with numpy.asarray(texts, dtype=str)")
    return [str(value) or None for value in array.tolist()]


def _times(named: _Named | None, count: int, steps: int, lengths: np.ndarray) -> Sequence[np.ndarray | None]:
    if named is None:
        return [None] * count
    if named.array.shape not in ((steps,), (count, steps)) or named.array.dtype.kind not in "uif":
        dates = named.array.dtype.kind in "mM"
        advice = (
            "of dates write (times - times[0]) / numpy.timedelta64(1, 's')" if dates else "write a time for each step"
        )
        raise named.wrong(f"times as numbers, ({steps},) or ({count}, {steps}),", named.shape, advice)
    times = np.broadcast_to(named.array.astype(np.float64), (count, steps))
    own = np.arange(steps) < lengths[:, None]
    wrong = ~np.isfinite(times)
    wrong[:, 1:] |= ~(times[:, 1:] > times[:, :-1])
    if (wrong & own).any():
        at, step = np.argwhere(wrong & own)[0].tolist()
        raise named.wrong(
            "times that increase",
            f"{times[at, step]} at step {step + 1} of recording {at + 1}",
            "put the steps in order",
        )
    return list(times)


def _note_of_filling(path: str | Path, values: np.ndarray) -> tuple[str, ...]:
    ends = int(np.isnan(values[:, -1]).all(axis=1).sum())
    if not ends:
        return ()
    said = f"{ends:,} of {len(values):,} recordings end with steps that have no value, which are read as missing"
    return (f"{path}: {said}; if they only fill up, say so with an array lengths",)
