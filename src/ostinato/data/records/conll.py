"""Tagged sentences: CoNLL-U treebanks, and files of columns, a word a line and an empty line between sentences.

Read by our own few lines rather than by the conllu package: its errors name no line, and it makes a dictionary for
every token of a treebank where a tagger needs two columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import TypeAlias

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
        words: In order.
        tags: One of each word; None where the file gives none.
        line: Where in the file the sentence begins, from 1 on.
    """

    words: tuple[str, ...]
    tags: tuple[str | None, ...]
    line: int


def read_sentences(
    path: str | Path, column: str | int | None = None, *, word_column: int = 0, tagged: bool = True
) -> tuple[Sentence, ...]:
    """The sentences of a CoNLL-U file (.conllu) or of a file of columns, compressed or not.

    Args:
        path: A file or URL.
        column: Where the tags are: of CoNLL-U one of `CONLLU_COLUMNS`, None for upos; else a number from 0 on, or from
            the end (-1 is the last), None for the last.
        word_column: Where the words of a file of columns are, likewise.
        tagged: Whether tags are expected; else a file of words will do, as for what is predicted.

    Raises:
        DataError: The file is not of this form, or has no sentence or no tag; the message names the line.
        ConfigError: There is no such column.
    """
    if suffix_of(path) == ".conllu":
        if isinstance(column, int):
            raise ConfigError(f"column of a CoNLL-U file must be one of {', '.join(CONLLU_COLUMNS)}; got {column}")
        return read_conllu(path, column or "upos", tagged=tagged)
    try:
        tag_column = -1 if column is None else int(column)
    except ValueError as error:
        raise ConfigError(f"column must be a number from 0 on or -1 for the last; got {column!r}") from error
    return read_columns(path, tag_column, word_column, tagged=tagged)


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
) -> Splits[tuple[Sentence, ...]]:
    """Tagged sentences in three parts.

    Args:
        train: A file, or a folder that holds files whose names say train, validation (dev, val, valid) and test, as those of
            Universal Dependencies do.
        validation: A file; None to draw `validation_share` of the training sentences.
        test: A file; None to draw `test_share` of the training sentences.
        column: As for `read_sentences`.
        word_column: As for `read_sentences`.
        validation_share: 0 <= share < 1; not used where there is a file.
        test_share: The same for test.
        seed: Of the draw.

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
    sentences = read_sentences(train, column, word_column=word_column)
    rows = stratified_split(
        [0] * len(sentences),
        validation_share if validation is None else 0.0,
        test_share if test is None else 0.0,
        seed=seed,
        what="sentences",
    )
    drawn = [tuple(sentences[int(index)] for index in indices) for indices in rows]
    own = [
        None if path is None else read_sentences(path, column, word_column=word_column) for path in (validation, test)
    ]
    return Splits(name, drawn[0], own[0] or drawn[1], own[1] or drawn[2])


def read_conllu(path: str | Path, column: str = "upos", *, tagged: bool = True) -> tuple[Sentence, ...]:
    """The sentences of a CoNLL-U file, as the guidelines of Universal Dependencies mean them to be tagged.

    Tags belong to *syntactic words*, the lines whose id is a whole number. The line of a multiword token (id 1-2: "del") says
    how its words ("de", "el") are written together, and an empty node (id 8.1) is no word of the sentence: both are passed over.

    Args:
        path: A file or URL, compressed or not.
        column: One of `CONLLU_COLUMNS`; "_" in it is no tag. ("_" as form and lemma is an underscore.)
        tagged: Whether tags are expected.

    Raises:
        DataError: A line has not 10 columns, ids do not count from 1, the whole column is empty, or there is no sentence.
        ConfigError: CoNLL-U has no such column.
    """
    if column not in CONLLU_COLUMNS:
        raise ConfigError(f"column must be one of CoNLL-U's {', '.join(CONLLU_COLUMNS)}; got {column!r}")
    wanted = CONLLU_COLUMNS.index(column)
    sentences: list[Sentence] = []
    for block in _blocks(path):
        words: list[str] = []
        tags: list[str | None] = []
        rows = [row for row in block if not row[1].startswith("#")]  # no line of a word begins with it
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
            sentences.append(Sentence(tuple(words), tuple(tags), rows[0][0]))
    return _some(path, sentences, column, tagged)


def read_columns(
    path: str | Path, tag_column: int = -1, word_column: int = 0, *, tagged: bool = True
) -> tuple[Sentence, ...]:
    """The sentences of a file with a word a line, its columns between tabs or blanks, and an empty line between sentences.

    Tabs part the columns if every line of a word has one; else any number of blanks and tabs does. Blanks around a cell are left
    out. Lines that begin with `-DOCSTART-` (CoNLL-2003) are passed over, and so are comments: lines before the first word of a
    sentence that begin with `#` and are not a word and its tag, such as `# id 7  domain=en` (MultiCoNER) or `# text = ...`.

    Args:
        path: A file or URL, compressed or not.
        tag_column: From 0 on, or from the end; -1 is the last.
        word_column: The same for the words.
        tagged: Whether tags are expected; else one column of words will do.

    Raises:
        DataError: A line has another number of columns than the first, a word or a tag is empty, the column of the words counts
            them, or there is no sentence.
        ConfigError: There is no such column.
    """
    blocks = [[row for row in rows if not row[1].startswith("-DOCSTART-")] for rows in _blocks(path)]
    columns = _Columns.of(path, blocks, tag_column, word_column, tagged)
    sentences: list[Sentence] = []
    for rows in blocks:
        cells = columns.cells(rows)
        if cells:
            words, tags = zip(*(pair for _, pair in cells), strict=True)
            sentences.append(Sentence(words, tags, cells[0][0]))
    if columns.width > 1 and _counts(sentences):
        raise DataError(
            f"{path}, line {sentences[0].line}: column {word_column} counts the words; name the column that has them: "
            "--reading.word_column"
        )
    return _some(path, sentences, str(tag_column), tagged)


@dataclass(frozen=True)
class _Columns:
    """How the lines of a file are parted.

    Attributes:
        path: Of the file.
        by_tabs: Whether tabs alone part cells.
        width: Columns.
        tag: The column of the tags.
        word: That of the words.
        tagged: Whether tags are expected.
        tags: Those of lines that are certainly no comments.
    """

    path: str | Path
    by_tabs: bool
    width: int
    tag: int
    word: int
    tagged: bool
    tags: frozenset[str]

    @classmethod
    def of(cls, path: str | Path, blocks: list[list[Row]], tag: int, word: int, tagged: bool) -> _Columns:
        """Looks at the lines that cannot be comments."""
        lines = [row for block in blocks for row in block]
        rows = [row for row in lines if not row[1].startswith("#")] or lines
        by_tabs = all("\t" in line for _, line in rows)
        number, first = (rows[0][0], _parted(rows[0][1], by_tabs)) if rows else (0, [])
        width = len(first)
        if width > 1 or (tagged and rows):
            _check_columns(f"{path}, line {number}", width, tag, word)
        inside = [_parted(line, by_tabs) for block in blocks for _, line in block[_head(block) :]]
        tags = frozenset(cells[tag] for cells in inside if len(cells) == width > 1)
        return cls(path, by_tabs, width, tag, word, tagged, tags)

    def cells(self, rows: list[Row]) -> list[tuple[int, tuple[str, str | None]]]:
        """The word and the tag of each line of a sentence, and the number of the line."""
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
    """Which lines of a file of columns are words: for those who write it again.

    Attributes:
        sentences: Of each sentence the numbers of its lines of words.
        width: Columns.
        by_tabs: Whether tabs alone part them.
        tag: The column of the tags.
        separator: What parts a column that is added from those before it.
    """

    def __init__(self, columns: _Columns, sentences: list[list[int]], separator: str):
        self.width, self.by_tabs, self.tag = columns.width, columns.by_tabs, columns.tag
        self.sentences, self.separator = sentences, separator

    @classmethod
    def of(cls, path: str | Path, lines: Iterable[Row], tag_column: int, word_column: int) -> WordLines:
        """As `read_columns` tells them, of all lines with their numbers."""
        blocks = [[row for row in rows if not row[1].startswith("-DOCSTART-")] for rows in _parted_blocks(lines)]
        columns = _Columns.of(path, blocks, tag_column, word_column, tagged=False)
        sentences = [[number for number, _ in columns.cells(rows)] for rows in blocks]
        blank = any(" " in line for rows in blocks for _, line in rows[:1]) and not columns.by_tabs
        return cls(columns, sentences, " " if blank else "\t")

    def tag_of(self, line: str) -> str:
        """The tag of a line of a word."""
        return _parted(line, self.by_tabs)[self.tag] if self.width > 1 else ""


def _head(block: list[Row]) -> int:
    """How many lines at the beginning of a sentence may be comments."""
    return sum(1 for _ in takewhile(lambda row: row[1].startswith("#"), block))


def _parted(line: str, by_tabs: bool) -> list[str]:
    """Cells; other blanks than that of ASCII may be part of a word."""
    if by_tabs:
        return [cell.strip(" ") for cell in line.split("\t")]
    return [cell for cell in line.replace("\t", " ").split(" ") if cell]


def _counts(sentences: list[Sentence]) -> bool:
    """Whether the words of every sentence are numbers that count them."""
    longest = max((len(sentence.words) for sentence in sentences), default=0)
    return longest > 1 and any(
        all(list(each.words) == [str(n) for n in range(first, first + len(each.words))] for each in sentences)
        for first in (0, 1)
    )


def _blocks(path: str | Path) -> Iterator[list[Row]]:
    """Lines between empty lines, with their numbers."""
    return _parted_blocks(numbered_lines(path))


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


def _some(path: str | Path, sentences: list[Sentence], column: str, tagged: bool) -> tuple[Sentence, ...]:
    if not sentences:
        raise DataError(f"{path}: there is no sentence in it; expected a word a line")
    if tagged and all(tag is None for sentence in sentences for tag in sentence.tags):
        raise DataError(f"{path}: column {column} is empty in all lines; name another, --reading.column")
    return tuple(sentences)
