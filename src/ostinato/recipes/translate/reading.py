"""Reading a translator's data: files of pairs, of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ostinato.data.mapped.files import is_large
from ostinato.data.records.dates import dates_to_iso
from ostinato.data.records.pairs import (
    NAMED_COLUMNS,
    Pair,
    Pairs,
    draw_pair_splits,
    read_pair_splits,
    read_pairs,
    read_sources,
)
from ostinato.data.records.splits import Splits
from ostinato.data.sources.lines import PART_NAMES, lines_of_stdin, numbered_lines, part_of_name, suffix_of
from ostinato.data.sources.tables import is_folder
from ostinato.data.stored.pairs import MappedPairs, draw_mapped_splits, is_named, map_pairs
from ostinato.errors import DataError
from ostinato.recipes.translate.settings import TranslateReadingSettings


@dataclass(frozen=True)
class Kept:
    """Where pairs that are too large for memory are stored.

    Attributes:
        folder: the folder; None for a temporary one, deleted when nothing uses it any more.
        on_progress: called with the bytes read so far, and the bytes there are.
    """

    folder: Path | None = None
    on_progress: Callable[[int, int | None], None] | None = None


NOWHERE = Kept()


def read(data: str | None, reading: TranslateReadingSettings, kept: Kept = NOWHERE) -> Splits[Pairs]:
    """Reads the data to learn from.

    Args:
        data: two files, a table, or a folder of such; None for the built-in dates.
        reading: how they are read.
        kept: where pairs that are too large for memory are stored.

    Raises:
        DataError: the data cannot be read, or do not fit the settings.
    """
    if data is None:
        if reading.validation or reading.test:
            raise DataError(
                "the built-in data have parts for validation and test; leave out reading.validation and reading.test"
            )
        return dates_to_iso()
    validation = None if reading.validation is None else read_file(reading.validation, reading, kept)
    test = None if reading.test is None else read_file(reading.test, reading, kept, keep_empty=True)
    if is_folder(data) and not _is_one_table(data):
        given = {"validation": validation, "test": test}
        return read_pair_splits(data, reading.source, reading.target, **given, read=partial(_pairs, kept))
    pairs = read_file(data, reading, kept)
    shares = (0.0 if validation else reading.validation_share, 0.0 if test else reading.test_share)
    draw = draw_mapped_splits if isinstance(pairs.pairs, MappedPairs) else draw_pair_splits
    parts = draw(pairs, *shares)
    return Splits(parts.name, parts.train, validation or parts.validation, test or parts.test)


def read_part(data: str, reading: TranslateReadingSettings, kept: Kept = NOWHERE, *, labelled: bool) -> Pairs:
    """Pairs to evaluate on, every line one of them; or texts to translate, a line each, from standard input too ("-").

    Raises:
        DataError: the data cannot be read.
    """
    if labelled:
        if is_folder(data) and not _is_one_table(data):
            return read_pair_splits(data, reading.source, reading.target, read=partial(_pairs, kept)).test
        return read_file(data, reading, kept, keep_empty=True)
    if data != "-" and suffix_of(data) in NAMED_COLUMNS:
        return Pairs(data, tuple(Pair(text.strip(), "") for text in read_sources(data, reading.source)), (), 0)
    lines = (line for _, line in (lines_of_stdin() if data == "-" else numbered_lines(data)))
    if data != "-" and suffix_of(data) == ".tsv":
        lines = (line.partition("\t")[0] for line in lines)
    return Pairs(data, tuple(Pair(line.strip(), "") for line in lines), (), 0)


def read_file(
    data: str,
    reading: TranslateReadingSettings | None = None,
    kept: Kept = NOWHERE,
    *,
    keep_empty: bool = False,
) -> Pairs:
    """Reads pairs of two files, as data.de,data.en, of a .tsv file, or of a table with columns that `reading` names."""
    source, comma, target = data.partition(",")
    columns = None if reading is None or reading.source is None else (reading.source, reading.target or "")
    if Path(data).expanduser().exists() or not comma:
        return _pairs(kept, data, columns=columns, keep_empty=keep_empty)
    if "," in target or not target:
        raise DataError(f"{data}: expected two files with a comma between them, as data.de,data.en, or a .tsv file")
    return _pairs(kept, source, target, keep_empty=keep_empty)


def _pairs(kept: Kept, *sides: str | Path, **how: Any) -> Pairs:
    """The pairs of a part; large ones are memory-mapped, see `is_large`."""
    if any(is_large(str(side)) for side in sides):
        return map_pairs(*sides, folder=kept.folder, **how, on_progress=kept.on_progress)
    return read_pairs(*sides, **how)


def _is_one_table(data: str) -> bool:
    """Whether a folder holds the files of one table, none of which is named as the training part."""
    files = [each for each in Path(data).expanduser().iterdir() if each.is_file()]
    return is_named(data) and not any(part_of_name(each.name.split(".")[0], PART_NAMES) == "train" for each in files)
