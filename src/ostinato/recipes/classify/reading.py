"""Reading a classifier's data: tables and folders of texts, of any size, and images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.mapped.files import find_tables, is_large
from ostinato.data.records.images import Images, read_image_splits, read_images
from ostinato.data.records.splits import Splits
from ostinato.data.sources.cells import TABLE_SUFFIXES
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.hidden import visible
from ostinato.data.sources.lines import PART_NAMES, find_parts, lines_of_stdin, numbered_lines, suffix_of
from ostinato.data.sources.tables import Example, is_folder, labelled, read_examples, read_labelled
from ostinato.data.sources.text_folders import is_text_folder, part_folders
from ostinato.data.stored.texts import MappedTexts, map_examples, map_labelled
from ostinato.errors import DataError
from ostinato.recipes.classify.data import ClassifyKnown, Part, TextPart
from ostinato.recipes.classify.settings import ClassifyReadingSettings


def large_texts(data: str, reading: ClassifyReadingSettings) -> dict[str, str] | None:
    """Finds the parts of texts too large for memory: where each part is; None if no part is large, or for other data.

    The parts are "train", and those of validation and test that are not drawn from it. A part is large if `is_large`
    says so: a table in several files, in a folder or a glob, or in one file of more than 64 MB.
    """
    places = {"train": data}
    if is_folder(data):
        folder = Path(data).expanduser()
        found = _parts(folder)
        if found is None:
            return None
        places = {part: str(place) for part, place in found.items()}
    elif suffix_of(data) not in TABLE_SUFFIXES and not (is_large(data) and _are_tables(data)):
        return None
    places |= {part: place for part in ("validation", "test") if (place := getattr(reading, part)) is not None}
    return places if any(map(is_large, places.values())) else None


def _parts(folder: Path) -> dict[str, Path] | None:
    """The parts of a folder of tables; None if it holds something else."""
    if any(_are_tables(str(each)) for each in folder.iterdir() if each.is_file()):
        files = find_parts(folder, PART_NAMES, TABLE_SUFFIXES, numbered=True)
        return files if "train" in files else {"train": folder}
    if is_text_folder(folder):
        return None
    if below := _parts_below(folder):
        return below
    folders = part_folders(folder)
    if "train" in folders:
        return folders if all(_are_tables(str(each)) for each in folders.values()) else None
    return {"train": folder} if _are_tables(str(folder)) else None


def _parts_below(folder: Path) -> dict[str, Path]:
    """The parts in a subfolder, the layout of data sets that have a page beside their data; empty if there are none."""
    places = [each for each in visible(folder.iterdir()) if each.is_dir()]
    found = [(each, find_parts(each, PART_NAMES, TABLE_SUFFIXES, numbered=True)) for each in places]
    whole = [(each, parts) for each, parts in found if "train" in parts]
    if len(whole) > 1:
        raise DataError(
            f"{folder}: {whole[0][0].name} and {whole[1][0].name} both have parts called train; name one of them with --data"
        )
    return whole[0][1] if whole else {}


def _are_tables(data: str) -> bool:
    try:
        find_tables(data)
    except DataError:
        return False
    return True


def read_all(
    data: str,
    reading: ClassifyReadingSettings,
    places: dict[str, str] | None = None,
    kept: Path | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> Splits[tuple[Example, ...]] | Splits[MappedTexts]:
    """Texts and labels in three parts; large ones are memory-mapped.

    Args:
        data: the path of the data.
        reading: how they are read.
        places: the result of `large_texts`.
        kept: the folder for the mapped files of large texts; None for a temporary one, deleted when nothing uses it any
            more.
        on_progress: called with the bytes read so far, and the bytes there are.
    """
    how: dict[str, Any] = {"text": reading.text, "label": reading.label, "target": reading.target}
    how |= {"validation_share": reading.validation_share, "test_share": reading.test_share}
    how |= {"dialect": Dialect(reading.separator, reading.header)}
    if places is None:
        return read_labelled(data, reading.validation, reading.test, **how)
    return map_labelled(places, Path(data).name, kept, **how, on_progress=on_progress)


def is_texts(data: str) -> bool:
    """Whether data are texts: a table, or a folder with a table called train or with a folder of texts for each class."""
    if is_folder(data):
        folder = Path(data).expanduser()
        return "train" in find_parts(folder, PART_NAMES, TABLE_SUFFIXES, numbered=True) or is_text_folder(folder)
    return suffix_of(data) in TABLE_SUFFIXES


def read_texts(data: str, reading: ClassifyReadingSettings, kept: Path | None = None, *, with_labels: bool) -> TextPart:
    """Reads texts of a table or a folder; of data with parts the test part.

    To predict for, lines of a .txt file or of stdin ("-") are read too. A large table is memory-mapped from files in
    the folder `kept`; None for a temporary one, deleted when nothing uses it any more.

    Raises:
        DataError: the data cannot be read, or lack the labels.
    """
    if not with_labels and data == "-":
        return tuple(Example(line, None) for _, line in lines_of_stdin())
    if not with_labels and suffix_of(data) == ".txt" and not is_folder(data):
        return tuple(Example(line, None) for _, line in numbered_lines(data))
    dialect = Dialect(reading.separator, reading.header)
    several = reading.target == "several"
    how: dict[str, Any] = {"text": reading.text, "label": reading.label, "with_labels": with_labels}
    how |= {"dialect": dialect, "several": several}
    places = large_texts(data, dataclasses.replace(reading, validation=None, test=None))
    if places is not None:
        data = places.get("test", places["train"])
        found: TextPart = map_examples(data, kept, **how)
    else:
        if is_folder(data):
            folder = Path(data).expanduser()
            data = str(part_folders(folder).get("test", folder))
        found = read_examples(data, **how)
    if with_labels:
        labelled(found[:1], data)
    return found


def blanks_told(splits: Splits[Part]) -> list[str]:
    """A line with how many labels had blanks around them; the blanks are removed, so that they make no new class."""
    parts = splits.train, splits.validation, splits.test
    number = sum(
        part.blanks() if isinstance(part, MappedTexts) else sum(each.had_blanks for each in part)
        for part in parts
        if isinstance(part, tuple | MappedTexts)
    )
    return [f"{splits.name}: {number:,} labels have blanks around them, which are left out"] if number else []


def read_pictures(data: str, known: ClassifyKnown, *, with_labels: bool) -> Images:
    """Images of a file; of a folder with MNIST's files, the test images.

    Raises:
        DataError: the images cannot be read, lack the labels, or have rows of another size than those of training.
    """
    images = read_image_splits(data).test if is_folder(data) else read_images(data)
    if with_labels and images.labels is None:
        raise DataError(f"{data}: expected labels for the images; put the file of labels beside them")
    row = int(np.prod(images.pixels.shape[2:]))
    if row != known.row:
        raise DataError(
            f"{data}: expected images whose rows have {known.row} values, like those of training, got {row}"
        )
    return dataclasses.replace(images, white=known.white)
