"""Writing data in memory into files that the readers of tasks read.

| data | become |
| --- | --- |
| a frame of polars or pandas, an Arrow table, columns by name, rows as dicts | `.parquet` |
| arrays by name (x, y, lengths, groups, ...), `(x, y)`, one array (N, T, ...) | `.npz` |
| recordings | `.npz` with lengths, times, groups and names of channels |
| one series of numbers, or a list of such | `.parquet`, a row a step |
| pairs (text, label) or (source, target) | `.parquet` with these columns |
| pairs (words, tags), or a frame with such columns | `.conll`, a word a line |
| pairs (array or image, label), or (array, labels of steps) | `.npz` |
| pairs (array or image, caption or captions) | a folder of pictures and `captions.jsonl` |
| pairs (image of a line, text), for a transcriber | a folder of pictures and `labels.jsonl` |
| texts, for a language model | a folder, a file for each |
| anything with a length and an index, such as a torch Dataset | the same as the list of its items |
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.records.brightness import as_eight_bits, white_of
from ostinato.data.records.captions import pixels_of
from ostinato.data.records.conll import Sentence
from ostinato.data.records.pairs import Pair, Pairs
from ostinato.data.sources.tables import Example
from ostinato.errors import DataError
from ostinato.recipes.in_python.frames import as_frame, is_column, is_frame
from ostinato.recipes.in_python.kinds import is_array, is_list, is_picture, items_of, numbers_of, told

if TYPE_CHECKING:
    import polars

PAIR = ("text", "label")
SENTENCES, PICTURES, LINES = ("words", "tags"), ("image", "caption"), ("line", "text")


def keep(given: Any, folder: Path, name: str, pair: tuple[str, str] | None = PAIR) -> Path:
    """Writes data into a file or folder that a reader of tasks can read.

    Args:
        given: the data, see the table above.
        folder: the folder to write to; it is made.
        name: the name of the file or folder in it, without a suffix.
        pair: what the two sides of a pair are; None if data are texts alone.

    Returns:
        The file or folder that was written.

    Raises:
        DataError: the data are of no kind that a reader reads.
        OSError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if is_frame(given) or is_column(given):
        return _sentences_of(as_frame(given), folder / name, pair) or _table(given, folder / name)
    if isinstance(given, Recordings):
        return _recordings(given.items, folder / name, given.channels)
    if isinstance(given, Pairs):
        given = given.pairs
    if isinstance(given, Mapping):
        if any(_is_block(each) for each in given.values()):
            return _arrays(given, folder / name)
        return _sentences_of(as_frame(given), folder / name, pair) or _table(given, folder / name)
    if isinstance(given, tuple) and len(given) == 2 and is_array(given[0]):
        if pair == LINES and (x := numbers_of(given[0])) is not None and x.ndim == 3 and x.dtype == np.uint8:
            _check_counts(x, given[1], folder / name)
            return _lines(list(zip(x, items_of(given[1]), strict=True)), folder / name)
        return _arrays({"x": given[0], "y": given[1]}, folder / name)
    if (numbers := numbers_of(given)) is not None and numbers.size and numbers.ndim:
        return (
            _table({"value": numbers}, folder / name) if numbers.ndim == 1 else _arrays({"x": numbers}, folder / name)
        )
    items = _items(given, name)
    first = items[0]
    if isinstance(first, Recording):
        return _recordings(items, folder / name)
    if isinstance(first, Mapping):
        columns = dict.fromkeys(key for row in items for key in row)
        return _table({column: [row.get(column) for row in items] for column in columns}, folder / name)
    if isinstance(first, str) and pair is None:
        return _texts(items, folder / name)
    if (series := numbers_of(first)) is not None and series.ndim == 1 and not isinstance(first, tuple):
        return _series(items, folder / name)
    return _pairs([_as_pair(each, name, pair or PAIR) for each in items], folder / name, pair or PAIR)


def _items(given: Any, name: str) -> list[Any]:
    if is_list(given):
        found = items_of(given)
    elif hasattr(given, "__getitem__") and hasattr(given, "__len__") and not isinstance(given, str | bytes):
        found = [given[at] for at in range(len(given))]
    elif isinstance(given, Iterable) and not isinstance(given, str | bytes):
        found = list(given)
    else:
        raise DataError(
            f"{name}: expected a path, a frame, arrays, a list of pairs or a Dataset, got {told(given)}; "
            "docs/own_data.md shows each"
        )
    if not found:
        raise DataError(f"{name}: expected at least one example, got none")
    return found


def _is_block(given: Any) -> bool:
    """Whether it has more than one column: numbers of two dimensions or more, or arrays of several lengths."""
    numbers = numbers_of(given)
    if numbers is not None:
        return numbers.ndim > 1
    return is_list(given) and len(items := items_of(given)) > 0 and is_array(items[0])


def _as_pair(given: Any, name: str, pair: tuple[str, str]) -> tuple[Any, Any]:
    if isinstance(given, Example):
        return given.text, given.label
    if isinstance(given, Pair):
        return given.source, given.target
    if isinstance(given, Sentence):
        return given.words, given.tags
    if isinstance(given, list | tuple) and len(given) == 2:
        return given[0], given[1]
    raise DataError(
        f"{name}: expected pairs ({pair[0]}, {pair[1]}), got {told(given)}; give a list of such pairs, or a frame"
    )


def _pairs(pairs: list[tuple[Any, Any]], path: Path, named: tuple[str, str]) -> Path:
    first, second = pairs[0]
    if named == PICTURES:
        return _captions(pairs, path)
    if named == LINES and any(_is_line(each) for each, _ in pairs):
        return _lines(pairs, path)
    if isinstance(first, str):
        if wrong := [each for each, _ in pairs if not isinstance(each, str)]:
            raise DataError(f"{path.name}: expected a text in every pair, got {told(wrong[0])}")
        return _table(dict(zip(named, map(list, zip(*pairs, strict=True)), strict=True)), path)
    if is_list(first) and is_list(second) and all(isinstance(each, str) for each in items_of(first)):
        return _sentences(pairs, path)
    x = [_picture(each) if is_picture(each) else numbers_of(each) for each, _ in pairs]
    if wrong := [pair[0] for pair, numbers in zip(pairs, x, strict=True) if numbers is None or not numbers.ndim]:
        raise DataError(
            f"{path.name}: expected texts, token lists, arrays or images in all pairs, got {told(wrong[0])}"
        )
    labels = [_label(label) for _, label in pairs]
    x = _as_deep([each for each in x if each is not None])
    return _arrays({"x": x, **({} if all(each is None for each in labels) else {"y": labels})}, path)


def _as_deep(x: list[np.ndarray]) -> list[np.ndarray]:
    """Reduces deeper pictures to eight bits if some pictures have eight, which would look black beside them."""
    deep = [each for each in x if each.dtype != np.uint8]
    if not deep or len(deep) == len(x):
        return x
    white = white_of(deep)
    return [each if each.dtype == np.uint8 else as_eight_bits(each, white) for each in x]


def _label(given: Any) -> Any:
    numbers = None if isinstance(given, str) or given is None else numbers_of(given)
    return given if numbers is None else numbers.tolist()


def _table(given: Any, path: Path) -> Path:
    frame = as_frame(given)
    path = path.with_name(f"{path.name}.parquet")
    frame.write_parquet(path)
    return path


def _series(items: Sequence[Any], path: Path) -> Path:
    """Writes series of numbers into a table, one after the other, each with a name."""
    rows: list[tuple[str, float]] = []
    for at, each in enumerate(items, start=1):
        numbers = numbers_of(each)
        if numbers is None or numbers.ndim != 1:
            raise DataError(f"{path.name}: expected series of numbers (T,), got {told(each)}")
        rows += ((str(at), float(value)) for value in numbers)
    return _table({"series": [id for id, _ in rows], "value": [value for _, value in rows]}, path)


def _arrays(given: Mapping[str, Any], path: Path) -> Path:
    """Writes arrays by name into an archive; lists of arrays of several lengths are padded, with their lengths."""
    found: dict[str, np.ndarray] = {}
    for name, each in given.items():
        numbers = numbers_of(each)
        if numbers is None and is_list(each):
            ragged = [numbers_of(one) for one in items_of(each)]
            if ragged and all(one is not None and one.ndim for one in ragged):
                side, _, part = name.partition("_")
                found[name], lengths = _filled([one for one in ragged if one is not None], name)
                if lengths is not None and side in ("x", "values", "data"):
                    found.setdefault("lengths" + (f"_{part}" if part else ""), lengths)
                continue
            if is_list(each) and items_of(each) and is_list(items_of(each)[0]):  # labels of steps, in words
                found[name] = _filled_words(items_of(each))
                continue
            numbers = np.asarray(["" if one is None else str(one) for one in items_of(each)])
        if numbers is None:
            raise DataError(f"{path.name}: expected an array or a list as {name!r}, got {told(each)}")
        found[name] = _without_channel(numbers) if name.startswith("x") else numbers
    for name, labels in found.items():
        side, _, part = name.partition("_")
        if side in ("y", "labels", "groups") and (x := found.get(f"x_{part}" if part else "x")) is not None:
            _check_counts(x, labels, path, name)
    path = path.with_name(f"{path.name}.npz")
    np.savez(path, **found)  # pyright: ignore[reportArgumentType]
    return path


def _check_counts(x: np.ndarray, y: Any, path: Path, name: str = "y") -> None:
    """Checks that what belongs to examples, such as labels, has one item for each."""
    if len(x) != (count := len(y) if isinstance(y, np.ndarray) else len(items_of(y))):
        raise DataError(
            f"{path.name}: expected as many in {name} as examples in x, got {count:,} beside {len(x):,}; give one for each"
        )


def _without_channel(x: np.ndarray) -> np.ndarray:
    """Turns torch's images without colours, (N, 1, H, W), into (N, H, W)."""
    return x[:, 0] if x.ndim == 4 and x.shape[1] == 1 else x


def _filled(arrays: list[np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Arrays padded with zeros at the ends, (N, T, ...), and their lengths (N,) if these differ."""
    shapes = {each.shape[1:] for each in arrays}
    if len(shapes) > 1:
        raise DataError(
            f"{name}: expected arrays that differ in their length only, got {arrays[0].shape} and others; cut or scale them"
        )
    lengths = np.array([len(each) for each in arrays])
    filled = np.zeros((len(arrays), int(lengths.max()), *arrays[0].shape[1:]), np.result_type(*arrays))
    for row, each in zip(filled, arrays, strict=True):
        row[: len(each)] = each
    same = int(lengths.min()) == filled.shape[1]
    return (_without_channel(filled), None) if same else (filled, lengths)


def _filled_words(rows: list[Any]) -> np.ndarray:
    longest = max(len(row) for row in rows)
    return np.array(
        [[*("" if each is None else str(each) for each in row), *[""] * (longest - len(row))] for row in rows]
    )


def _recordings(items: Sequence[Any], path: Path, channels: Sequence[str] | None = None) -> Path:
    if wrong := [each for each in items if not isinstance(each, Recording)]:
        raise DataError(f"{path.name}: expected recordings only, got {told(wrong[0])} among them")
    x, lengths = _filled([each.values for each in items], "the recordings' values")
    found: dict[str, Any] = {"x": x, "lengths": np.full(len(items), x.shape[1]) if lengths is None else lengths}
    if any(each.label is not None for each in items):
        found["y"] = np.array([each.label or "" for each in items])
    elif any(each.labels is not None for each in items):
        found["y"] = _filled_words([list(each.labels or [None] * len(each)) for each in items])
    if all(each.group is not None for each in items):
        found["groups"] = np.array([each.group for each in items])
    if all(each.times is not None for each in items):
        steps = np.arange(x.shape[1], dtype=np.float64)
        times = [np.concatenate([each.times, each.times[-1] + 1 + steps[len(each) :] - len(each)]) for each in items]
        found["times"] = np.stack(times)
    if channels:
        found["channels"] = np.array(list(channels))
    path = path.with_name(f"{path.name}.npz")
    np.savez(path, **found)
    return path


def _sentences_of(frame: polars.DataFrame, path: Path, pair: tuple[str, str] | None) -> Path | None:
    """Writes a table with a sentence a row, as lists of words and of tags; None if it is none."""
    words = next((name for name in ("words", "tokens") if name in frame.columns), None)
    if pair != SENTENCES or words is None or "tags" not in frame.columns:
        return None
    return _sentences(list(zip(frame[words].to_list(), frame["tags"].to_list(), strict=True)), path)


def _sentences(pairs: list[tuple[Any, Any]], path: Path) -> Path:
    lines: list[str] = []
    for number, (words, tags) in enumerate(pairs, start=1):
        if not (is_list(words) and is_list(tags)):
            raise DataError(f"{path.name}: expected lists of words and tags, got {told(words)} and {told(tags)}")
        words, tags = items_of(words), items_of(tags)
        if len(words) != len(tags) or not words:
            raise DataError(
                f"{path.name}: expected a tag for each word, got {len(words)} words and {len(tags)} tags in sentence {number}"
            )
        for cell in (*words, *tags):
            if not isinstance(cell, str) or not cell.strip() or any(mark in cell for mark in "\t\r\n"):
                raise DataError(
                    f"{path.name}: expected words and tags without tabs and line ends, got {cell!r} in sentence {number}"
                )
        lines += (f"{word}\t{tag}" for word, tag in zip(words, tags, strict=True))
        lines.append("")
    path = path.with_name(f"{path.name}.conll")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _texts(texts: list[Any], path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise DataError(f"{path.name}: expected texts, got {told(text)} at place {number}")
        (path / f"{number:06}.txt").write_text(text, encoding="utf-8", newline="")
    return path


def _captions(pairs: list[tuple[Any, Any]], path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    for number, (given, said) in enumerate(pairs, start=1):
        lines.append(_caption(_saved(given, path, number, (np.uint8,)), said))
    (path / "captions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _lines(pairs: list[tuple[Any, Any]], path: Path) -> Path:
    """Writes pictures of lines, with their own depth, and the texts in them."""
    path.mkdir(parents=True, exist_ok=True)
    rows = [
        {"file": _saved(given, path, number, (np.uint8, np.uint16)), "text": None if said is None else str(said)}
        for number, (given, said) in enumerate(pairs, start=1)
    ]
    (path / "labels.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def _is_line(given: Any) -> bool:
    """Whether it is a picture of a line: an image of Pillow, or an array (height, width) of uint8."""
    return is_picture(given) or (isinstance(given, np.ndarray) and given.dtype == np.uint8 and given.ndim == 2)


def _saved(given: Any, path: Path, number: int, kinds: tuple[type, ...]) -> str:
    """Saves a picture in a folder, and returns the name of its file."""
    from ostinato.extras import needed

    with needed():
        import PIL.Image

    name = f"{number:06}.png"
    if is_picture(given):
        # Saved unchanged (depth, transparency, orientation), so that it is read like any other file.
        name = f"{number:06}.tif" if given.mode in ("I", "F", "CMYK", "LAB", "YCbCr", "RGBX") else name
        given.save(path / name, exif=given.getexif())
        return name
    pixels = numbers_of(given)
    if pixels is None or pixels.ndim not in (2, 3) or pixels.dtype not in kinds:
        raise DataError(
            f"{path.name}: expected images, or arrays (height, width) or (height, width, 3) of uint8, got {told(given)} at "
            f"place {number}"
        )
    PIL.Image.fromarray(pixels).save(path / name)
    return name


def _caption(name: str, said: Any) -> str:
    captions = [said] if isinstance(said, str) else items_of(said)
    return json.dumps({"file": name, "caption": captions}, ensure_ascii=False)


def _picture(image: Any) -> np.ndarray:
    """The pixels of an image: (height, width) without colours, else (height, width, 3); uint8, or its own depth."""
    found = pixels_of(image)
    return found.astype(np.int32) if image.mode.startswith("I") else found
