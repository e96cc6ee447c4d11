"""Tagged files written again with other tags: all other bytes of the file stay the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ostinato.data.records.conll import CONLLU_COLUMNS, WordLines
from ostinato.data.sources.lines import open_file
from ostinato.errors import DataError, OstinatoError

_BOM = "\ufeff"


def retagged_conllu(path: str | Path, column: str, tags: Iterable[Sequence[str]]) -> Iterator[str]:
    """Give the lines of a CoNLL-U file with new tags for its words.

    Comments, the lines of multiword tokens and of empty nodes, other columns, and the line ends stay as they are.

    Args:
        path: A file or URL that `read_conllu` reads, compressed or not.
        column: The column of the tags, one of `CONLLU_COLUMNS`.
        tags: For each sentence, a tag for each word, in the order of the file.

    Yields:
        A line with its end; the lines of a sentence as soon as its tags are available.

    Raises:
        DataError: There are not as many tags as words.
    """
    wanted, sentences = CONLLU_COLUMNS.index(column), iter(tags)
    for block in _blocks(_lines(path)):
        words = [at for at, (body, _) in enumerate(block) if _is_word(body)]
        found = _of_sentence(path, sentences, len(words))
        for at, tag in zip(words, found, strict=True):
            body, end = block[at]
            cells = body.split("\t")
            cells[wanted] = _cell(path, tag)
            block[at] = ("\t".join(cells), end)
        yield from (body + end for body, end in block)


def retagged_columns(
    path: str | Path,
    tag_column: int,
    word_column: int,
    tags: Iterable[Sequence[str]],
    known: Callable[[str], bool],
) -> Iterator[str]:
    """Give the lines of a file of columns with new tags for its words; if it has no column of tags, add one at the end.

    Args:
        path: A file or URL that `read_columns` reads, compressed or not.
        tag_column: The column of the tags, from 0 on or from the end.
        word_column: The column of the words, likewise.
        tags: For each sentence, a tag for each word, in the order of the file.
        known: Tells whether a cell is a tag; if less than half of the cells in `tag_column` are, it is no column of
            tags.

    Yields:
        A line with its end.

    Raises:
        DataError: There are not as many tags as words.
    """
    lines = list(_lines(path))
    numbered = [(number, body.removeprefix(_BOM) if number == 1 else body) for number, (body, _) in enumerate(lines, 1)]
    reader = WordLines.of(path, numbered, tag_column, word_column)
    places = [places for rows in reader.sentences if (places := [number - 1 for number in rows])]
    cells = [reader.tag_of(lines[at][0]) for each in places for at in each]
    replaces = reader.width > 1 and sum(map(known, cells)) * 2 >= len(cells)
    sentences = iter(tags)
    for each in places:
        for at, tag in zip(each, _of_sentence(path, sentences, len(each)), strict=True):
            body, end = lines[at]
            tag = _cell(path, tag)
            lines[at] = (_replaced(body, reader, tag) if replaces else f"{body}{reader.separator}{tag}", end)
    yield from (body + end for body, end in lines)


def new_conllu(column: str, sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Iterator[str]:
    """Give the lines of a new CoNLL-U file for words and tags.

    Args:
        column: The column of the tags.
        sentences: The words and the tags of each sentence.
    """
    wanted = CONLLU_COLUMNS.index(column)
    for number, (words, tags) in enumerate(sentences, start=1):
        yield f"# sent_id = {number}\n"
        yield f"# text = {' '.join(words)}\n"
        for id, (word, tag) in enumerate(zip(words, tags, strict=True), start=1):
            cells = [str(id), word, *["_"] * (len(CONLLU_COLUMNS) - 2)]
            cells[wanted] = tag
            yield "\t".join(cells) + "\n"
        yield "\n"


def new_columns(sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Iterator[str]:
    """Give the lines of a new file of columns: word, tab and tag in a line, and an empty line after a sentence."""
    for words, tags in sentences:
        yield from (f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True))
        yield "\n"


def _of_sentence(path: str | Path, sentences: Iterator[Sequence[str]], count: int) -> Sequence[str]:
    if not count:
        return ()
    found = next(sentences, None)
    if found is None or len(found) != count:
        got = "none" if found is None else str(len(found))
        raise DataError(
            f"{path}: expected {count} tags for a sentence, got {got}; has the file changed since it was read?"
        )
    return found


def _cell(path: str | Path, tag: str) -> str:
    if not tag or any(mark in tag for mark in "\t\r\n"):
        raise OstinatoError(f"{path}: expected a tag that fits a column, got {tag!r}; write .jsonl instead")
    return tag


def _is_word(body: str) -> bool:
    id = body.removeprefix(_BOM).partition("\t")[0]
    return bool(id) and not body.removeprefix(_BOM).startswith("#") and "-" not in id and "." not in id


def _replaced(body: str, reader: WordLines, tag: str) -> str:
    """Replace the tag in a line; the blanks around it stay."""
    cells = list(re.finditer(r"[^\t]+|(?<=\t)(?=\t|$)|^(?=\t)" if reader.by_tabs else r"[^ \t]+", body))
    cell = cells[reader.tag]
    inside = cell[0].strip(" ")
    start = cell.start() + (cell[0].index(inside) if inside else 0)
    return body[:start] + tag + body[start + len(inside) :]


def _blocks(lines: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Cut lines into blocks, each of which ends with an empty line."""
    block: list[tuple[str, str]] = []
    for line in lines:
        block.append(line)
        if not line[0].strip():
            yield block
            block = []
    if block:
        yield block


def _lines(path: str | Path) -> Iterator[tuple[str, str]]:
    """Give the lines of a file and their ends, split as `numbered_lines` does it; a byte order mark stays."""
    with open_file(path) as file:
        for number, raw in enumerate(file):
            if number == 0 and b"\r" in raw and not raw.endswith(b"\n"):  # line ends of old Macs
                parts = re.split("(\r)", raw.decode())
                yield from zip(parts[::2], [*parts[1::2], ""], strict=True)
                continue
            line = raw.decode()
            body = line.removesuffix("\n").removesuffix("\r")
            yield body, line[len(body) :]
