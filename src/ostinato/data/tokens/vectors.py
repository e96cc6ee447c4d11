"""Pretrained word vectors: word2vec (text and binary), GloVe and fastText's .vec, read into any embedding.

| form | first line | then, for each word |
| --- | --- | --- |
| word2vec text, fastText .vec | number of words, size of a vector | the word, its numbers in decimal |
| GloVe | none | the same |
| word2vec binary | number of words, size of a vector | the word, a blank, its numbers as float32, little-endian |

A file is read once from front to back, and only the vectors of wanted words are kept: it may be larger than memory.
Sources: Mikolov et al. 2013 (word2vec), Pennington et al. 2014 (GloVe), Bojanowski et al. 2017 (fastText).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ostinato.data.sources.lines import decoded, open_file
from ostinato.errors import DataError

if TYPE_CHECKING:
    import torch

_SHOWN = 5
_LONGEST_WORD_BYTES = 2**16
_AS_WRITTEN, _LOWER_CASE, _OTHER_CASE = range(3)


@dataclass(frozen=True)
class Coverage:
    """Which words of a vocabulary have vectors.

    Attributes:
        name: The name of the file.
        words: How many words were looked for.
        as_written: How many were found as they are written.
        in_other_case: How many were found in another case only: "Sat" as "sat", "london" as "London".
        missing: The words that were not found, in the order of the vocabulary.
        token_share: Share of the tokens of a text that have a vector; None if the counts of the words are not known.
    """

    name: str
    words: int
    as_written: int
    in_other_case: int
    missing: tuple[str, ...]
    token_share: float | None = None

    @property
    def share(self) -> float:
        """Share of the words that have a vector; 1 if there are no words."""
        return 1.0 if not self.words else 1 - len(self.missing) / self.words

    def __str__(self) -> str:
        found = self.as_written + self.in_other_case
        tokens = "" if self.token_share is None else f", {self.token_share:.1%} of the text"
        examples = ", ".join(self.missing[:_SHOWN]) + (", ..." if len(self.missing) > _SHOWN else "")
        missing = f"; without a vector {len(self.missing):,}: {examples}" if self.missing else ""
        return (
            f"{self.name}: vectors for {found:,} of {self.words:,} words ({self.share:.1%}{tokens}), "
            f"{self.in_other_case:,} of them in another case{missing}"
        )


def read_vectors(
    path: str | Path, words: Sequence[str], *, counts: Mapping[str, int] | None = None
) -> tuple[np.ndarray, np.ndarray, Coverage]:
    """Read the vectors of `words`, in their order.

    A word gets the vector of the word as it is written; else of its lower-case form; else of the first word of the file
    that differs by case only.

    Args:
        path: A file or URL, compressed or not.
        words: The words of a vocabulary.
        counts: How often each word occurs in a text, for `Coverage.token_share`.

    Returns:
        The vectors (V, size) float32, zeros for a word without one; which words have one, (V,) bool; the report.

    Raises:
        DataError: The file has none of the forms, is damaged or ends too early; the message names the line or the word.
    """
    wanted: dict[str, list[int]] = {}
    for index, word in enumerate(words):
        wanted.setdefault(word.lower(), []).append(index)
    rank = np.full(len(words), _OTHER_CASE + 1)
    vectors: np.ndarray | None = None
    for place, word, values in _entries(path):
        indices = wanted.get(word.lower())
        if vectors is None:
            vectors = np.zeros((len(words), values.size), np.float32)
        if indices is None:
            continue
        found = None
        for index in indices:
            own = words[index]
            here = _AS_WRITTEN if word == own else _LOWER_CASE if word == own.lower() else _OTHER_CASE
            if here < rank[index]:
                if found is None:
                    found = values.numbers(path, place)
                vectors[index], rank[index] = found, here
    if vectors is None:
        raise DataError(f"{path}: there is no vector in it; expected a word and its numbers a line")
    known = rank <= _OTHER_CASE
    missing = tuple(word for word, has in zip(words, known, strict=True) if not has)
    token_share = None
    if counts is not None:
        total = sum(counts.get(word, 0) for word in words)
        token_share = 1 - sum(counts.get(word, 0) for word in missing) / total if total else 1.0
    as_written = int((rank == _AS_WRITTEN).sum())
    name = Path(str(path)).name
    return vectors, known, Coverage(name, len(words), as_written, int(known.sum()) - as_written, missing, token_share)


def load_vectors(
    path: str | Path,
    embedding: torch.nn.Embedding,
    words: Sequence[str],
    *,
    counts: Mapping[str, int] | None = None,
) -> Coverage:
    """Put pretrained vectors into an embedding; rows of words without a vector stay as they are.

    Args:
        path: As for `read_vectors`.
        embedding: (V, size); changed in place.
        words: The word of each of its first rows, in order.
        counts: As for `read_vectors`.

    Raises:
        DataError: As for `read_vectors`; the vectors have another size than the embedding, or it has fewer rows than words.
    """
    import torch

    weight = embedding.weight
    rows, size = weight.shape
    if rows < len(words):
        raise DataError(f"the embedding has {rows} rows for {len(words)} words; expected a row for each word")
    vectors, known, coverage = read_vectors(path, words, counts=counts)
    if vectors.shape[1] != size:
        raise DataError(
            f"{path}: its vectors have {vectors.shape[1]} numbers, the embedding {size}; "
            f"make an embedding of size {vectors.shape[1]}"
        )
    with torch.no_grad():
        chosen = torch.as_tensor(np.flatnonzero(known), device=weight.device)
        weight[chosen] = torch.as_tensor(vectors[known], dtype=weight.dtype, device=weight.device)
    return coverage


@dataclass(frozen=True)
class _Numbers:
    """A vector whose numbers are parsed on demand, because most vectors of a file are not wanted."""

    raw: bytes
    size: int
    is_binary: bool

    def numbers(self, path: str | Path, place: str) -> np.ndarray:
        try:
            found = np.frombuffer(self.raw, "<f4") if self.is_binary else np.array(self.raw.split(), dtype=np.float32)
        except ValueError as error:
            raise DataError(f"{path}, {place}: expected {self.size} numbers after the word ({error})") from error
        if len(found) != self.size:
            raise DataError(f"{path}, {place}: expected {self.size} numbers after the word, got {len(found)}")
        if not np.isfinite(found).all():
            raise DataError(f"{path}, {place}: the vector has numbers that are not finite; the file is damaged")
        return found


def _entries(path: str | Path) -> Iterator[tuple[str, str, _Numbers]]:
    """Give the words of a file, each with its place for error messages, and its vector."""
    with open_file(path) as file:
        first = file.readline(_LONGEST_WORD_BYTES)
        header = first.split()
        if len(header) == 2 and all(part.isdigit() for part in header):
            count, size = map(int, header)
            if not size:
                raise DataError(f"{path}, line 1: says that vectors have no numbers; expected at least one")
            second = file.readline(_LONGEST_WORD_BYTES)
            if _is_text(second, size):
                yield from _text_entries(path, file, [second], 2, size, count)
            else:
                yield from _binary_entries(path, file, second, size, count)
        else:
            size = len(header) - 1
            if size < 1:
                raise DataError(f"{path}, line 1: expected a word and its numbers, got {first[:40]!r}")
            yield from _text_entries(path, file, [first], 1, size, None)


def _is_text(line: bytes, size: int) -> bool:
    parts = line.rstrip().rsplit(None, size)
    try:
        return not line or (len(parts) > size and all(np.isfinite(float(part)) for part in parts[-size:]))
    except ValueError:
        return False


def _text_entries(
    path: str | Path, file: BinaryIO, begun: list[bytes], number: int, size: int, count: int | None
) -> Iterator[tuple[str, str, _Numbers]]:
    read = 0
    lines: Iterator[bytes] = (line for part in (begun, file) for line in part)
    for line_number, line in enumerate(lines, start=number):
        line = line.rstrip()
        if not line:
            continue
        blanks = line.count(b" ") + line.count(b"\t")
        if blanks < size:
            raise DataError(
                f"{path}, line {line_number}: expected a word and {size} numbers, got {len(line.split())} parts; "
                "the file is cut off or damaged"
            )
        # In some files of GloVe a word contains blanks. Numbers never do, so they are counted from the right.
        word = line.split(None, 1)[0] if blanks == size else line.rsplit(None, size)[0]
        raw = line[len(word) :]
        read += 1
        yield f"line {line_number}", decoded(word, path, line_number), _Numbers(raw, size, False)
    if count is not None and read < count:
        raise DataError(f"{path}: says that it has {count:,} words, but ends after {read:,}; fetch it again")


def _binary_entries(
    path: str | Path, file: BinaryIO, begun: bytes, size: int, count: int
) -> Iterator[tuple[str, str, _Numbers]]:
    buffer, at = begun, 0
    for index in range(1, count + 1):
        place = f"word {index:,} of {count:,}"
        while (end := buffer.find(b" ", at)) < 0 or len(buffer) < end + 1 + 4 * size:
            more = file.read(2**20)
            if not more:
                raise DataError(f"{path}: says that it has {count:,} words, but ends at {place}; fetch it again")
            if end < 0 and len(buffer) - at > _LONGEST_WORD_BYTES:
                raise DataError(f"{path}, {place}: has no end; is it a file of word2vec in binary form?")
            buffer, at = buffer[at:] + more, 0
        # Some writers end each vector with a line end, others do not.
        word = buffer[at:end].lstrip(b"\n")
        at = end + 1 + 4 * size
        raw = buffer[end + 1 : at]
        try:
            text = word.decode()
        except UnicodeDecodeError:  # real files cut words in the middle of a character
            text = word.decode("utf-8", "replace")
        yield place, text, _Numbers(raw, size, True)
