"""Folders of texts, a file for each text and a folder for each class, as `pos/1.txt`; or in parts, `train/pos/1.txt`.

The movie reviews of Maas et al. 2011 (aclImdb) and 20 Newsgroups have this form.
"""

from __future__ import annotations

from pathlib import Path

from ostinato.data.sources.hidden import visible
from ostinato.data.sources.lines import COMPRESSIONS, PART_NAMES, decoded, open_file, suffix_of
from ostinato.errors import DataError

_WITHOUT_CLASS = ("unsup", "unlabeled", "unlabelled")  # folders of texts without labels, such as in aclImdb


def part_folders(folder: Path) -> dict[str, Path]:
    """Find the folders called train, validation (valid, val, dev) and test, by part; the last word of a name counts.

    Raises:
        DataError: Two folders could be the same part.
    """
    found: dict[str, Path] = {}
    for each in visible(folder.iterdir()):
        word = each.name.lower().replace("_", "-").replace(".", "-").split("-")[-1]
        part = next((part for part, names in PART_NAMES.items() if word in names), None)
        if part is None or not each.is_dir():
            continue
        if part in found:
            raise DataError(f"{folder}: {found[part].name} and {each.name} could both be the {part} part; rename one")
        found[part] = each
    return found


def is_text_folder(folder: Path) -> bool:
    """Tell whether a folder contains folders of texts, or parts that contain these."""
    parts = part_folders(folder)
    places = [parts["train"]] if "train" in parts else [folder, *parts.values()]
    return any(_texts(each) for place in places for each in visible(place.iterdir()) if each.is_dir())


def read_text_folder(folder: Path, *, with_labels: bool = True) -> list[tuple[str, str | None]]:
    """Read the texts of the folders in a folder with their labels, by name; without labels, also the texts in it.

    Args:
        folder: The folder with the folders of the classes.
        with_labels: Whether labels are wanted.

    Raises:
        DataError: There is no text, or one is not UTF-8.
    """
    found: list[tuple[str, str | None]] = [] if with_labels else [(_read(file), None) for file in _texts(folder)]
    for each in visible(folder.iterdir()):
        if each.is_dir() and not (with_labels and each.name.lower() in _WITHOUT_CLASS):
            found += [(_read(file), each.name.strip() if with_labels else None) for file in _texts(each)]
    if not found:
        raise DataError(f"{folder}: expected a folder for each class with texts (.txt) in it, found none")
    return found


def _texts(folder: Path) -> list[Path]:
    """Return the files that end in .txt, compressed or not, or whose names have no ending, as in 20 Newsgroups."""
    return [each for each in visible(folder.iterdir()) if suffix_of(each) in (".txt", "") and each.is_file()]


def _read(path: Path) -> str:
    if path.suffix.lower() in COMPRESSIONS:
        with open_file(path) as file:
            content = file.read()
    else:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); check the file and the rights") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        for number, line in enumerate(content.split(b"\n"), start=1):
            decoded(line, path, number)
        raise
    return text.strip()
