"""Tagged sentences from files larger than memory: read once into columns on disk, which are mapped."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from typing_extensions import override

from ostinato.data.records.conll import (
    CONLLU_COLUMNS,
    Row,
    Sentence,
    column_sentences,
    conllu_sentences,
    number_of_column,
)
from ostinato.data.sources.lines import numbered, open_document, suffix_of
from ostinato.data.sources.text import Document, find_text
from ostinato.data.stored.folder import ColumnWriter, KeptColumns, columns_beside, kept_columns
from ostinato.data.stored.ragged import BLOCK, Ragged, RaggedTexts, mapped_ragged, write_texts
from ostinato.data.stored.rows import Progress, Told
from ostinato.errors import ConfigError, DataError


class MappedSentences(Sequence[Sentence]):
    """Tagged sentences on disk; a sentence is read when it is accessed.

    Args:
        columns: The columns that hold the sentences.
        rows: (K,) integers, the rows of these sentences in the columns; None for all.

    Attributes:
        names: The different tags.
        codes: For each sentence (T,) int32, indices into `names`; -1 for no tag.
    """

    def __init__(self, columns: KeptColumns, rows: np.ndarray | None = None):
        self.columns, self.rows = columns, rows
        self.names: tuple[str, ...] = tuple(columns.found["names"])
        self.codes = mapped_ragged(columns, "tag").take(rows)
        self._words = RaggedTexts(columns, "word")
        self._names: tuple[str | None, ...] = (*self.names, None)

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, at: int) -> Sentence: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Sentence, ...]: ...
    @override
    def __getitem__(self, at: int | slice) -> Sentence | tuple[Sentence, ...]:
        """Return one sentence, or several."""
        if isinstance(at, slice):
            return tuple(self[row] for row in range(*at.indices(len(self))))
        at = range(len(self))[at]
        begin, end = self.codes.bounds(np.array([at]))
        line = self.columns["line"][at if self.rows is None else self.rows[at]]
        words = tuple(self._words[int(begin[0]) : int(end[0])])
        return Sentence(words, self._tags(self.codes[at]), int(line))

    @override
    def __iter__(self) -> Iterator[Sentence]:
        return (self[at] for at in range(len(self)))

    def _tags(self, codes: np.ndarray) -> tuple[str | None, ...]:
        found: list[int] = codes.tolist()
        return tuple(self._names[code] for code in found)

    def take(self, rows: np.ndarray) -> MappedSentences:
        """Return the sentences with these indices."""
        rows = rows.astype(np.int32) if len(self.columns["line"]) < 2**31 else rows
        return MappedSentences(self.columns, rows if self.rows is None else self.rows[rows])

    def tags(self) -> Iterator[tuple[str | None, ...]]:
        """Give the tags of each sentence."""
        return map(self._tags, self.codes)

    def words(self) -> Iterator[str]:
        """Give all words, one after the other."""
        if self.rows is None:
            yield from self._words
            return
        for at in range(0, len(self), BLOCK):
            begins, ends = self.codes.bounds(np.arange(at, min(at + BLOCK, len(self))))
            for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
                yield from self._words[begin:end]

    def tag_counts(self) -> Counter[str]:
        """Count how often each tag occurs."""
        counts = np.zeros(len(self.names) + 1, np.int64)
        for codes, _ in self.codes.blocks():
            counts += np.bincount(codes + 1, minlength=len(counts))
        there = zip(self.names, counts[1:].tolist(), strict=True)
        return Counter({name: count for name, count in there if count})

    def ids(self, find: Any, how: Any) -> Ragged:
        """Return the ids of the words of each sentence, (T,) int32, which are stored beside the sentences.

        Args:
            find: Takes words and returns their ids, (B,).
            how: Everything that the ids depend on, in JSON's types.
        """

        def make(writer: ColumnWriter) -> dict[str, Any]:
            words, column = iter(self._words), writer.column("ids", np.dtype(np.int32))
            while block := list(itertools.islice(words, BLOCK)):
                column.append(find(block))
            return {}

        kept = columns_beside(self.columns, "ids", how, make)
        return Ragged(kept["ids"], self.columns["tag-ends"], self.rows, kept)


def map_sentences(
    path: str | Path,
    column: str | int | None = None,
    folder: str | Path | None = None,
    *,
    word_column: int = 0,
    tagged: bool = True,
    on_progress: Progress | None = None,
) -> MappedSentences:
    """Read the sentences of files that may be larger than memory; the sentences are those of `read_sentences`.

    Args:
        path: A file, a folder, a glob (also `**`) or a URL of one of these.
        column: As for `read_sentences`.
        folder: The folder for the columns, which are used again as long as the names, sizes and times of change of the
            files are the same. None for a temporary folder, which is removed with the last use of the sentences.
        word_column: As for `read_sentences`.
        tagged: As for `read_sentences`.
        on_progress: Called with the bytes that are read, and the bytes in all.

    Raises:
        DataError: As for `read_sentences`; the message names the file and the line.
        ConfigError: There is no such column.
    """
    documents = find_text(str(path), binary=True).documents
    files = [[each.name, each.stored, each.modified] for each in documents]
    how = {"column": column, "word_column": word_column, "tagged": tagged}
    sizes = [each.size for each in documents]
    told = Told(on_progress, None if None in sizes else sum(size or 0 for size in sizes))

    def make(writer: ColumnWriter) -> dict[str, Any]:
        found = (_sentences(each, column, word_column, tagged, told) for each in documents)
        return _write(writer, itertools.chain.from_iterable(found))

    return MappedSentences(kept_columns(folder, str(path), files, how, make, on_progress))


def _sentences(
    document: Document, column: str | int | None, word_column: int, tagged: bool, told: Told
) -> Iterator[Sentence]:
    name = document.name
    if suffix_of(name) == ".conllu":
        if isinstance(column, int) or (column or "upos") not in CONLLU_COLUMNS:
            raise ConfigError(f"column of a CoNLL-U file must be one of {', '.join(CONLLU_COLUMNS)}; got {column}")
        return conllu_sentences(name, _lines(document, told), column or "upos", tagged=tagged)
    # The form of a file is found before it is read; progress counts only passes after the first.
    passes = itertools.count()
    lines = lambda: _lines(document, told if next(passes) else None)  # noqa: E731
    return column_sentences(name, lines, number_of_column(column), word_column, tagged=tagged)


def _lines(document: Document, told: Told | None) -> Iterator[Row]:
    with open_document(document) as content:
        yield from numbered(content if told is None else told.lines(content), document.name)


def _write(writer: ColumnWriter, sentences: Iterable[Sentence]) -> dict[str, Any]:
    left, names = iter(sentences), dict[str | None, int]()
    tags, ends, line = (
        writer.column(name, np.dtype(dtype))
        for name, dtype in (("tag", np.int32), ("tag-ends", np.int64), ("line", np.int64))
    )
    while block := list(itertools.islice(left, BLOCK)):
        begin = tags.count
        write_texts(writer, "word", [word for each in block for word in each.words])
        codes = [-1 if tag is None else names.setdefault(tag, len(names)) for each in block for tag in each.tags]
        tags.append(np.array(codes, np.int32))
        ends.append(begin + np.cumsum([len(each.words) for each in block], dtype=np.int64))
        line.append(np.array([each.line for each in block], np.int64))
    if not line.count:
        raise DataError("there is no sentence in the files; expected a word a line")
    return {"names": list(names)}
