"""Reading a tagger's data: files of tagged sentences, plain lines, Python source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from ostinato.data.mapped.files import is_large
from ostinato.data.records.conll import Sentence, read_sentence_splits, read_sentences
from ostinato.data.records.splits import Splits, stratified_split
from ostinato.data.sources.lines import (
    PART_NAMES,
    bytes_of_stdin,
    find_parts,
    lines_of_stdin,
    numbered_lines,
    suffix_of,
)
from ostinato.data.sources.syntax import Highlighted, highlight, python_source
from ostinato.data.sources.text import Document, find_text
from ostinato.data.stored.sentences import map_sentences
from ostinato.data.tokens.words import without_marks_around
from ostinato.errors import ConfigError, DataError
from ostinato.recipes.tag.data import Part, Sentences, cut
from ostinato.recipes.tag.settings import TagReadingSettings

_COLUMNS = (".conllu", ".conll", ".tsv", ".bio")
_TAGGED = (*_COLUMNS, ".txt")


def read_splits(
    data: str | None,
    reading: TagReadingSettings,
    kept: Path | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> Splits[Part]:
    """The data to learn from; source code is cut into pieces for training.

    Args:
        data: the path of the data; None for the standard library of Python.
        reading: how they are read.
        kept: the folder for sentences too large for memory; None for a temporary one, deleted when nothing uses it any
            more.
        on_progress: for such sentences, called with the bytes read so far, and the bytes there are.

    Raises:
        DataError: the data cannot be read.
        ConfigError: a column or a share is out of range, or source code is given files of its own for validation or test.
    """
    if data is not None and not is_python(data):
        splits: Splits[Any] = read_sentence_splits(
            data,
            reading.validation,
            reading.test,
            column=reading.column,
            word_column=reading.word_column,
            validation_share=reading.validation_share,
            test_share=reading.test_share,
            read=partial(_sentences, kept=kept, on_progress=on_progress),
        )
        return Splits(splits.name, splits.train, splits.validation, splits.test)
    for name in ("validation", "test", "column", "vectors"):
        if getattr(reading, name) is not None:
            raise ConfigError(f"reading.{name}: is for tagged sentences, but the data are source code; leave it out")
    if data is None:
        splits = python_source(reading.built_in_characters)
    else:
        files = read_source(data, labelled=True)
        rows = stratified_split([0] * len(files), reading.validation_share, reading.test_share, what="files")
        splits = Splits(data, *(tuple(files[row] for row in part) for part in rows))
    return Splits(splits.name, cut(splits.train, reading.piece_length), splits.validation, splits.test)


def _sentences(
    path: str | Path,
    column: str | None = None,
    *,
    kept: Path | None,
    on_progress: Callable[[int, int | None], None] | None = None,
    **how: Any,
) -> Sentences:
    """The sentences of a file; large files are memory-mapped, see `is_large`."""
    if is_large(str(path)):
        return map_sentences(path, column, kept, **how, on_progress=on_progress)
    return read_sentences(path, column, **how)


def is_large_text(data: str, reading: TagReadingSettings) -> bool:
    """Whether data are tagged sentences with a part that is too large for memory, see `is_large`."""
    place = Path(data).expanduser()
    files = [data]
    if "://" not in data and place.is_dir():
        parts = find_parts(place, PART_NAMES, _TAGGED)
        if "train" not in parts:
            return False
        files = [*map(str, parts.values())]
    return not is_python(data) and any(map(is_large, filter(None, (*files, reading.validation, reading.test))))


def is_python(data: str) -> bool:
    """Whether data are Python source: a .py file, a glob of such, or a folder that has some and no tagged sentences."""
    place = Path(data).expanduser()
    if "://" not in data and place.is_dir():
        return "train" not in find_parts(place, PART_NAMES, _TAGGED) and any(place.rglob("*.py"))
    return suffix_of(data) == ".py"


def read_source(data: str, *, labelled: bool) -> tuple[Highlighted, ...]:
    """Files of source code; of a folder its .py files, without those that are not Python if labels are wanted.

    Args:
        data: a file, folder, glob or URL; "-" for standard input.
        labelled: whether `tokenize` says what each character is; then the files must be Python.

    Raises:
        DataError: a file cannot be read, there is none, or the only one is not Python.
    """
    if data == "-":
        text = _decoded(b"".join(bytes_of_stdin()), "standard input")
        return (Highlighted("-", text, highlight(text) if labelled else None),)
    documents = find_text(data).documents
    if len(documents) > 1:
        documents = tuple(document for document in documents if suffix_of(document.name) == ".py")
    found: list[Highlighted] = []
    for document in documents:
        text = _text(document)
        try:
            found.append(Highlighted(document.name, text, highlight(text) if labelled else None))
        except DataError as error:
            if len(documents) == 1:
                raise DataError(f"{document.name}: {error}") from error
    if not found:
        raise DataError(f"{data}: expected files of Python source (.py) there, got none; name a file or another folder")
    return tuple(found)


def _text(document: Document) -> str:
    with document.open() as file:
        return _decoded(file.read(), document.name)


def _decoded(raw: bytes, name: str) -> str:
    try:
        return raw.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: expected UTF-8, but byte {error.start + 1} is part of no character; convert it to UTF-8"
        ) from error


def read_words(data: str, reading: TagReadingSettings, kept: Path | None = None, *, tagged: bool) -> Sentences:
    """Sentences; to predict for, also plain text, a sentence a line.

    Args:
        data: a file or URL. To predict for, standard input ("-") and files not called .conllu, .conll, .tsv or .bio are
            plain text.
        reading: where the tags are.
        kept: the folder for sentences too large for memory; None for a temporary one, deleted when nothing uses it any
            more.
        tagged: whether tags are wanted.

    Raises:
        DataError: the sentences cannot be read, or have no tags although `tagged`.
    """
    if not tagged and data == "-":
        return plain_sentences(lines_of_stdin())
    if not tagged and suffix_of(data) not in _COLUMNS:
        return plain_sentences(numbered_lines(data))
    # A file to predict for need not have the column of the tags.
    column = reading.column if tagged or suffix_of(data) == ".conllu" else None
    return _sentences(data, column, kept=kept, word_column=reading.word_column, tagged=tagged)


def plain_sentences(lines: Iterable[tuple[int, str]]) -> tuple[Sentence, ...]:
    """A sentence a line, words between white space; marks at a word's ends are separate words, equal ones together.

    Args:
        lines: the lines with their numbers.
    """
    found: list[Sentence] = []
    for number, line in lines:
        words = tuple(word for written in line.split() for word in without_marks_around(written))
        found.append(Sentence(words, (None,) * len(words), number))
    return tuple(found)
