"""Tagged sentences: CoNLL-U treebanks, and files of columns with a word a line and an empty line between sentences.

They are read by the code of this module and not by the conllu package, whose errors name no line, and which makes a
dictionary for every token of a treebank although a tagger needs two columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ostinato.data.records.splits import Splits, stratified_split
from ostinato.data.sources.lines import PART_NAMES, find_parts, numbered_lines, suffix_of
from ostinato.errors import ConfigError, DataError

CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
Row: TypeAlias = tuple[int, str]
"""The number of a line, from 1 on, and its text."""

_MISSING = "_"
_ENDINGS = (".conllu", ".conll", ".tsv", ".txt", ".bio")


@dataclass(frozen=True)
class Sentence:
    """Words and their tags.

    Attributes:
        words: The words, in order.
        tags: The tag of each word; None for a word without a tag in the file.
        line: The number of the line where the sentence begins, from 1 on.
    """

    words: tuple[str, ...]
    tags: tuple[str | None, ...]
    line: int


def read_sentences(
    path: str | Path, column: str | int | None = None, *, word_column: int = 0, tagged: bool = True
) -> tuple[Sentence, ...]:
    """Read the sentences of a CoNLL-U file (.conllu) or of a file of columns, compressed or not.

    Args:
        path: A file or URL.
        column: The column of the tags. In CoNLL-U one of `CONLLU_COLUMNS`, None for upos; else a number from 0 on, or
            from the end (-1 is the last), None for the last.
        word_column: The number of the column of the words in a file of columns.
        tagged: Whether tags are expected; if not, a file of words is enough, as for predictions.

    Raises:
        DataError: The file is not of this form, or has no sentence or no tag; the message names the line.
        ConfigError: There is no such column.
    """
    if suffix_of(path) == ".conllu":
        if isinstance(column, int):
            raise ConfigError(f"column of a CoNLL-U file must be one of {', '.join(CONLLU_COLUMNS)}; got {column}")
        return read_conllu(path, column or "upos", tagged=tagged)
    return read_columns(path, number_of_column(column), word_column, tagged=tagged)


def number_of_column(column: str | int | None) -> int:
    """Return the number of the column of tags in a file of columns; -1, the last, for None.

    Raises:
        ConfigError: `column` is no number.
    """
    try:
        return -1 if column is None else int(column)
    except ValueError as error:
        raise ConfigError(f"column must be a number from 0 on or -1 for the last; got {column!r}") from error


def read_sentence_splits(
    train: str | Path,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    *,
    column: str | int | None = None,
    word_column: int = 0,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    read: Callable[..., Sequence[Sentence]] = read_sentences,
) -> Splits[Sequence[Sentence]]:
    """Read tagged sentences in three parts.

    Args:
        train: A file, or a folder with files whose names say train, validation (dev, val, valid) and test, as in
            Universal Dependencies.
        validation: A file; None to draw `validation_share` of the training sentences.
        test: A file; None to draw `test_share` of the training sentences.
        column: As for `read_sentences`.
        word_column: As for `read_sentences`.
        validation_share: 0 <= share < 1; not used if there is a file for validation.
        test_share: 0 <= share < 1; not used if there is a file for the test.
        seed: The seed of the draw.
        read: The function that reads the sentences of a file, with the arguments of `read_sentences`.

    Raises:
        DataError: As for `read_sentences`, or the folder holds no file for training.
        ConfigError: A share or a column is out of range.
    """
    name = Path(str(train)).name
    if "://" not in str(train) and Path(train).expanduser().is_dir():
        parts = find_parts(Path(train).expanduser(), PART_NAMES, _ENDINGS)
        if "train" not in parts:
            raise DataError(f"{train}: expected a file whose name says train and ends in {', '.join(_ENDINGS)} there")
        train, validation, test = parts["train"], validation or parts.get("validation"), test or parts.get("test")
    sentences = read(train, column, word_column=word_column)
    rows = stratified_split(
        np.zeros(len(sentences), np.int8),
        validation_share if validation is None else 0.0,
        test_share if test is None else 0.0,
        seed=seed,
        what="sentences",
    )
    drawn: list[Sequence[Sentence]] = [_some_of(sentences, indices) for indices in rows]
    own = [None if path is None else read(path, column, word_column=word_column) for path in (validation, test)]
    return Splits(name, drawn[0], own[0] or drawn[1], own[1] or drawn[2])


def _some_of(sentences: Sequence[Sentence], rows: np.ndarray) -> Sequence[Sentence]:
    take: Any = getattr(sentences, "take", None)  # only mapped sentences have it
    return tuple(sentences[int(row)] for row in rows) if take is None else take(rows)


def read_conllu(path: str | Path, column: str = "upos", *, tagged: bool = True) -> tuple[Sentence, ...]:
    """Read the sentences of a CoNLL-U file, by the guidelines of Universal Dependencies.

    Tags belong to *syntactic words*, the lines whose id is a whole number. The line of a multiword token (id 1-2: "del") says
    how its words ("de", "el") are written together, and an empty node (id 8.1) is no word of the sentence: both are
    skipped.

    Args:
        path: A file or URL, compressed or not.
        column: One of `CONLLU_COLUMNS`; "_" in it means no tag. (As form and lemma of one word, "_" is an underscore.)
        tagged: Whether tags are expected.

    Raises:
        DataError: A line does not have 10 columns, ids do not count from 1, the whole column is empty, or there is no
            sentence.
        ConfigError: CoNLL-U has no such column.
    """
    if column not in CONLLU_COLUMNS:
        raise ConfigError(f"column must be one of CoNLL-U's {', '.join(CONLLU_COLUMNS)}; got {column!r}")
    return tuple(conllu_sentences(path, numbered_lines(path), column, tagged=tagged))


def conllu_sentences(
    path: str | Path, lines: Iterable[Row], column: str = "upos", *, tagged: bool = True
) -> Iterator[Sentence]:
    """Give the sentences of `read_conllu` one after the other.

    Args:
        path: The name of the file in messages.
        lines: All lines, with their numbers.
        column: As for `read_conllu`.
        tagged: As for `read_conllu`.

    Raises:
        DataError: As for `read_conllu`; errors about the whole file are raised at the end.
    """
    seen, wanted = _Seen(), CONLLU_COLUMNS.index(column)
    for block in _parted_blocks(lines):
        words: list[str] = []
        tags: list[str | None] = []
        rows = [row for row in block if not row[1].startswith("#")]  # no line of a word begins with #
        for number, line in rows:
            cells = line.split("\t")
            if len(cells) != len(CONLLU_COLUMNS):
                raise DataError(
                    f"{path}, line {number}: expected {len(CONLLU_COLUMNS)} columns with a tab between, got {len(cells)}"
                )
            if "-" in cells[0] or "." in cells[0]:
                continue
            if cells[0] != str(len(words) + 1):
                raise DataError(
                    f"{path}, line {number}: expected the id {len(words) + 1}, got {cells[0]!r}; "
                    "is the empty line between two sentences missing?"
                )
            tag = cells[wanted].strip()
            for name, cell in (("form", cells[1]), (column, tag)):
                if not cell:
                    raise DataError(
                        f"{path}, line {number}: column {name} is empty; write {_MISSING} where there is nothing"
                    )
            words.append(cells[1])
            is_underscore = column == "lemma" and cells[1] == cells[2] == _MISSING
            tags.append(None if tag == _MISSING and not is_underscore else tag)
        if words:
            yield seen.sentence(tuple(words), tuple(tags), rows[0][0])
    seen.check(path, column, tagged)


def read_columns(
    path: str | Path, tag_column: int = -1, word_column: int = 0, *, tagged: bool = True
) -> tuple[Sentence, ...]:
    """Read a file with a word a line, its columns between tabs or blanks, and an empty line between sentences.

    Tabs separate the columns if every line of a word has one; else any number of blanks and tabs does. Blanks around a
    cell are removed. Lines that begin with `-DOCSTART-` (CoNLL-2003) are skipped, and so are comments: lines before the
    first word of a sentence that begin with `#` and are not a word and its tag, such as `# id 7  domain=en`
    (MultiCoNER) or `# text = ...`.

    Args:
        path: A file or URL, compressed or not.
        tag_column: The column of the tags, from 0 on, or from the end; -1 is the last.
        word_column: The column of the words, likewise.
        tagged: Whether tags are expected; if not, one column of words is enough.

    Raises:
        DataError: A line has another number of columns than the first, a word or a tag is empty, the column of words
            only counts them, or there is no sentence.
        ConfigError: There is no such column.
    """
    lines = [*numbered_lines(path)]
    return tuple(column_sentences(path, lambda: lines, tag_column, word_column, tagged=tagged))


def column_sentences(
    path: str | Path,
    lines: Callable[[], Iterable[Row]],
    tag_column: int = -1,
    word_column: int = 0,
    *,
    tagged: bool = True,
) -> Iterator[Sentence]:
    """Give the sentences of `read_columns` one after the other.

    Args:
        path: The name of the file in messages.
        lines: Gives all lines, with their numbers. It is called more than once: the form of the file is found before it
            is read.
        tag_column: As for `read_columns`.
        word_column: As for `read_columns`.
        tagged: As for `read_columns`.

    Raises:
        DataError: As for `read_columns`; errors about the whole file are raised at the end.
        ConfigError: There is no such column.
    """
    columns = _Columns.of(path, lambda: _without_marks(lines()), tag_column, word_column, tagged)
    seen = _Seen()
    for rows in _without_marks(lines()):
        cells = columns.cells(rows)
        if cells:
            words, tags = zip(*(pair for _, pair in cells), strict=True)
            yield seen.sentence(words, tags, cells[0][0])
    if columns.width > 1 and seen.are_numbers:
        raise DataError(
            f"{path}, line {seen.first}: column {word_column} counts the words; name the column that has them: "
            "--reading.word_column"
        )
    seen.check(path, str(tag_column), tagged)


def _without_marks(lines: Iterable[Row]) -> Iterator[list[Row]]:
    """Give the blocks of lines between empty lines, without lines that only say that a document begins."""
    return ([row for row in rows if not row[1].startswith("-DOCSTART-")] for rows in _parted_blocks(lines))


@dataclass(frozen=True)
class _Columns:
    """The form of a file: how its lines are split into cells, and which column is which.

    Attributes:
        path: The path of the file.
        by_tabs: Whether only tabs separate cells.
        width: The number of columns.
        tag: The column of the tags.
        word: The column of the words.
        tagged: Whether tags are expected.
        tags: The tags in lines that are certainly no comments.
    """

    path: str | Path
    by_tabs: bool
    width: int
    tag: int
    word: int
    tagged: bool
    tags: frozenset[str]

    @classmethod
    def of(
        cls, path: str | Path, blocks: Callable[[], Iterable[list[Row]]], tag: int, word: int, tagged: bool
    ) -> _Columns:
        """Find the form of a file by the lines that cannot be comments; by all lines if there are none."""
        first: list[Row | None] = [None, None]  # the first line that cannot be a comment, and the first of all
        by_tabs, has_comments = [True, True], False
        for row in (row for block in blocks() for row in block):
            is_comment = row[1].startswith("#")
            has_comments = has_comments or is_comment
            for kind in (0, 1)[is_comment:]:
                first[kind] = first[kind] or row
                by_tabs[kind] = by_tabs[kind] and "\t" in row[1]
        kind = int(first[0] is None)
        number, line = first[kind] or (0, "")
        cells = _parted(line, by_tabs[kind])
        width = len(cells) if first[kind] else 0
        if width > 1 or (tagged and width):
            _check_columns(f"{path}, line {number}", width, tag, word)
        tags = set[str]()
        if has_comments:  # the tags are only needed to tell comments from words
            inside = (_parted(line, by_tabs[kind]) for block in blocks() for _, line in block[_head(block) :])
            tags = {cells[tag] for cells in inside if len(cells) == width > 1}
        return cls(path, by_tabs[kind], width, tag, word, tagged, frozenset(tags))

    def cells(self, rows: list[Row]) -> list[tuple[int, tuple[str, str | None]]]:
        """Return, for each line of a sentence, its number, the word and the tag."""
        words = list(dropwhile(lambda row: self._is_comment(row[1]), rows))
        return [(number, self._pair(number, line)) for number, line in words]

    def _is_comment(self, line: str) -> bool:
        if not line.startswith("#"):
            return False
        cells = _parted(line, self.by_tabs)
        if len(cells) != self.width:
            return True
        if self.by_tabs:
            return cells[0].startswith("# ")
        return self.width > 1 and cells[0] == "#" and cells[self.tag] not in (*self.tags, "#")

    def _pair(self, number: int, line: str) -> tuple[str, str | None]:
        cells = _parted(line, self.by_tabs)
        place = f"{self.path}, line {number}"
        if len(cells) != self.width:
            raise DataError(
                f"{place}: expected {self.width} columns as in the lines before, got {len(cells)}; put an empty line between "
                "sentences, a tab between columns, and comments before the first word of a sentence"
            )
        word = cells[self.word if self.width > 1 else 0]
        tag = cells[self.tag] if self.width > 1 else None
        if not word:
            raise DataError(
                f"{place}: expected a word in column {self.word % self.width} (0 is the first), got an empty cell; "
                "name another column or fill it"
            )
        if self.tagged and not tag:
            filled = [column for column, cell in enumerate(cells) if cell and column != self.word]
            hint = f", or name another column: --reading.column {filled[-1]}" if filled else ""
            raise DataError(
                f"{place}: expected a tag in column {self.tag % self.width} (0 is the first), got an empty cell; "
                f"write the tag of {word!r}{hint}"
            )
        return word, tag


class WordLines:
    """The lines of a file of columns that are words, for code that writes the file again.

    Attributes:
        sentences: For each sentence, the numbers of its lines with words.
        width: The number of columns.
        by_tabs: Whether only tabs separate columns.
        tag: The column of the tags.
        separator: The text to put before an added column.
    """

    def __init__(self, columns: _Columns, sentences: list[list[int]], separator: str):
        self.width, self.by_tabs, self.tag = columns.width, columns.by_tabs, columns.tag
        self.sentences, self.separator = sentences, separator

    @classmethod
    def of(cls, path: str | Path, lines: Iterable[Row], tag_column: int, word_column: int) -> WordLines:
        """Find the lines with words by the rules of `read_columns`; `lines` are all lines with their numbers."""
        blocks = [*_without_marks(lines)]
        columns = _Columns.of(path, lambda: blocks, tag_column, word_column, tagged=False)
        sentences = [[number for number, _ in columns.cells(rows)] for rows in blocks]
        blank = any(" " in line for rows in blocks for _, line in rows[:1]) and not columns.by_tabs
        return cls(columns, sentences, " " if blank else "\t")

    def tag_of(self, line: str) -> str:
        """Return the tag in a line with a word; empty if the file has one column."""
        return _parted(line, self.by_tabs)[self.tag] if self.width > 1 else ""


def _head(block: list[Row]) -> int:
    """Return how many lines at the beginning of a sentence may be comments."""
    return sum(1 for _ in takewhile(lambda row: row[1].startswith("#"), block))


def _parted(line: str, by_tabs: bool) -> list[str]:
    """Split a line into cells at tabs and ASCII blanks only, as other white space may be part of a word."""
    if by_tabs:
        return [cell.strip(" ") for cell in line.split("\t")]
    return [cell for cell in line.replace("\t", " ").split(" ") if cell]


class _Seen:
    """Facts about all sentences of a file that are read one by one.

    Attributes:
        first: The line of the first sentence; 0 before there is one.
        has_tags: Whether any word has a tag.
    """

    def __init__(self) -> None:
        self.first, self.has_tags = 0, False
        self._longest, self._from = 0, [True, True]

    def sentence(self, words: tuple[str, ...], tags: tuple[str | None, ...], line: int) -> Sentence:
        """Make the next sentence, and take it into account."""
        self.first = self.first or line
        self.has_tags = self.has_tags or any(tag is not None for tag in tags)
        self._longest = max(self._longest, len(words))
        for begin in (0, 1):
            self._from[begin] = self._from[begin] and all(
                word == str(number) for number, word in enumerate(words, start=begin)
            )
        return Sentence(words, tags, line)

    @property
    def are_numbers(self) -> bool:
        """Whether the words of every sentence are only the numbers 0, 1, ... or 1, 2, ..."""
        return self._longest > 1 and any(self._from)

    def check(self, path: str | Path, column: str, tagged: bool) -> None:
        """Raise a DataError if there is no sentence, or if tags are expected and there is none."""
        if not self.first:
            raise DataError(f"{path}: there is no sentence in it; expected a word a line")
        if tagged and not self.has_tags:
            raise DataError(f"{path}: column {column} is empty in all lines; name another, --reading.column")


def _parted_blocks(lines: Iterable[Row]) -> Iterator[list[Row]]:
    block: list[Row] = []
    for number, line in lines:
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _check_columns(place: str, width: int, *columns: int) -> None:
    if width < 2:
        raise DataError(f"{place}: expected a word and its tag a line, got one column; is it a file of text?")
    for column in columns:
        if not -width <= column < width:
            raise ConfigError(f"{place}: has {width} columns; column must be 0 to {width - 1}, got {column}")
