"""A corpus: text that was tokenised once, cut into a training and a validation part.

The first `1 - validation_share` of the characters train, the rest validate; the cut falls on an exact character,
whatever the vocabulary, so that figures of different vocabularies are of the same text. The vocabulary is built from
the training part only.

Text of up to 64 MB is read once and stays in memory. Larger text is read two or three times in blocks (to count its
characters, to build the vocabulary, to tokenise it), and its tokens go to a memory-mapped file in `folder`, which is
used again as long as the text's names, sizes and times of change and the vocabulary are the same. One process reads
and writes, in order; the others turn blocks into tokens. Neither memory nor the result depends on the size of the text
or on the number of processes. What is killed while it tokenises goes on at the last whole shard (see `token_file`).
For a large text behind a slow URL let fsspec keep a copy: `simplecache::https://...`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from ostinato.data.blocks import Block, by_part, whole_tokens
from ostinato.data.pool import Pool, cores
from ostinato.data.text import BLOCK_BYTES, Piece, Text, find_text
from ostinato.data.token_file import Place, TokenFile, stored_about, stored_tokens, unfinished
from ostinato.data.tokens import TokenList, Tokens
from ostinato.data.vocabulary import Vocabulary, WordVocabulary, vocabulary_class
from ostinato.data.worker import counted_words, encoded
from ostinato.errors import ConfigError, DataError

IN_MEMORY_BYTES = 64 * 2**20
_BPE_TRAINING_BYTES = 256 * 2**20

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Corpus:
    """A tokenised text.

    Attributes:
        name: For people: "Python 3.11 standard library, 612 files".
        vocabulary: What the ids stand for.
        train: The first part.
        validation: The rest; empty for `validation_share=0`.
    """

    name: str
    vocabulary: Vocabulary
    train: Tokens
    validation: Tokens


def open_corpus(
    data: str | None = None,
    *,
    kind: str = "char",
    vocabulary_size: int = 10_000,
    validation_share: float = 0.1,
    folder: Path | None = None,
    vocabulary: Vocabulary | None = None,
    on_progress: Progress | None = None,
    workers: int | None = None,
) -> Corpus:
    """Find, read, split and tokenise a text.

    Args:
        data: A file, a folder, a glob or an fsspec URL (see `ostinato.data.text`); None for the built-in text.
        kind: Kind of the vocabulary that is built: "char", "byte", "word" or "bpe".
        vocabulary_size: The most tokens it may have; for "word" and "bpe" only.
        validation_share: Share of the characters that validate, at the end of the text; 0 <= share < 1.
        folder: Where the token file goes if the text is larger than 64 MB; it holds one corpus.
        vocabulary: Use this one; `kind` and `vocabulary_size` are then not looked at.
        on_progress: Called with the bytes done and those to do in all (None if unknown), summed over the readings.
        workers: Processes that tokenise a text larger than 64 MB; None for as many as there are cores.

    Raises:
        DataError: The text cannot be found, read, decoded or split, or it is large and there is no folder.
        ConfigError: An argument is out of range.
    """
    chosen = vocabulary_class(kind) if vocabulary is None else type(vocabulary)
    if not 0 <= validation_share < 1:
        raise ConfigError(f"validation_share must be at least 0 and less than 1; got {validation_share}")
    workers = cores() if workers is None else workers
    if workers < 1:
        raise ConfigError(f"workers must be at least 1; got {workers}")
    text = find_text(data)
    about = {
        "text": text.fingerprint(),
        "validation_share": validation_share,
        "request": [kind, vocabulary_size] if vocabulary is None else None,
    }
    readings = 3 if vocabulary is None and kind != "byte" else 2
    begun = None
    if text.size is None or text.size > IN_MEMORY_BYTES:
        if folder is None and text.size is not None:
            raise _needs_folder(text.name)
        if folder is not None:
            stored = _of_this(stored_about(folder), about, vocabulary)
            if stored is not None:
                return Corpus(text.name, _vocabulary(stored), *stored_tokens(folder))
            begun = _of_this(unfinished(folder), about, vocabulary)
    if folder is not None and begun is not None:
        reading = _Reading(text, readings, on_progress, begun["characters"])
        return _mapped(reading, vocabulary or _vocabulary(begun), begun, folder, workers)
    reading = _Reading(text, readings, on_progress)
    if reading.is_large and folder is None:
        raise _needs_folder(text.name)
    boundary = _boundary(text.name, reading.characters, validation_share)
    if vocabulary is None:
        blocks = reading.blocks(chosen, boundary)
        vocabulary = _build(chosen, vocabulary_size, blocks, reading, workers)
    if folder is None or not reading.is_large:
        return _in_memory(reading, vocabulary, boundary)
    about |= {"vocabulary": vocabulary.to_dict(), "characters": reading.characters, "boundary": boundary}
    return _mapped(reading, vocabulary, about, folder, workers)


def _of_this(
    stored: dict[str, Any] | None, about: dict[str, Any], vocabulary: Vocabulary | None
) -> dict[str, Any] | None:
    """`stored`, if it is of the same text, cut the same, in the same vocabulary."""
    if stored is None:
        return None
    # A vocabulary that was built and is then given makes the same corpus.
    wanted = (
        about if vocabulary is None else {**about, "request": stored["request"], "vocabulary": vocabulary.to_dict()}
    )
    return stored if wanted.items() <= stored.items() else None


def _vocabulary(about: dict[str, Any]) -> Vocabulary:
    return vocabulary_class(about["vocabulary"]["kind"]).from_dict(about["vocabulary"])


def _build(chosen: type[Vocabulary], size: int, blocks: Iterable[Block], reading: _Reading, workers: int) -> Vocabulary:
    training = (block.text for block in blocks if block.part == 0)
    if chosen.kind == "bpe":  # its counts of words grow with the text, so a long one is sampled evenly
        training = islice(training, 0, None, 1 + reading.size // _BPE_TRAINING_BYTES)
    if chosen is WordVocabulary and reading.is_large:
        with Pool(None, workers) as pool:
            counts = (counted_words(result) for _, result in pool.map((None, text) for text in training))
            return WordVocabulary.from_counts(counts, size)
    return chosen.build(training, size)


def _in_memory(reading: _Reading, vocabulary: Vocabulary, boundary: int) -> Corpus:
    tokens, words, in_word = TokenList(vocabulary.dtype), (0, 0), False
    for block in reading.blocks(type(vocabulary), boundary):
        words = _add_words(words, block, in_word, len(block.text.split()))
        in_word = not block.text[-1].isspace()
        tokens.append(block.part, vocabulary.encode(block.text), block.begins_document)
    characters = (boundary, reading.characters - boundary)
    return Corpus(reading.name, vocabulary, *tokens.finish(characters, words))


def _mapped(reading: _Reading, vocabulary: Vocabulary, about: dict[str, Any], folder: Path, workers: int) -> Corpus:
    boundary = about["boundary"]
    with TokenFile(folder, vocabulary.dtype, about) as file, Pool(vocabulary, workers) as pool:
        blocks = reading.blocks(type(vocabulary), boundary, file.place)
        for block, result in pool.map((block, block.text) for block in blocks):
            found, ids = encoded(result, vocabulary)
            place = Place(
                block.document,
                block.start + len(block.text.encode()),
                file.place.characters + len(block.text),
                _add_words(file.place.words, block, file.place.in_word, found),
                not block.text[-1].isspace(),
            )
            file.append(block.part, ids, block.begins_document, place)
        parts = file.finish((boundary, about["characters"] - boundary))
    return Corpus(reading.name, vocabulary, *parts)


def _add_words(words: tuple[int, int], block: Block, in_word: bool, found: int) -> tuple[int, int]:
    found -= in_word and not block.begins_document and not block.text[0].isspace()
    return (words[0] + found, words[1]) if block.part == 0 else (words[0], words[1] + found)


class _Reading:
    """A text that is read more than once: kept from the first reading if small, else read again from its source.

    Args:
        text: The text.
        readings: How often it is read in all.
        on_progress: See `open_corpus`.
        characters: Of the text, if it was read before and is large; only the last reading is left to do.
    """

    def __init__(self, text: Text, readings: int, on_progress: Progress | None, characters: int | None = None):
        self.name = text.name
        self.characters, self.size = characters or 0, 0
        self._text = text
        self._kept: list[Piece] | None = [] if characters is None else None
        self._on_progress = on_progress
        self._total = None if text.size is None else text.size * readings
        self._done = 0 if characters is None or text.size is None else text.size * (readings - 1)
        if characters is None:
            self._read_first()

    def _read_first(self) -> None:
        for piece in self._reported(self._text.pieces(BLOCK_BYTES)):
            self.characters += len(piece.text)
            self.size += piece.size
            if self.size > IN_MEMORY_BYTES:
                self._kept = None
            if self._kept is not None:
                self._kept.append(piece)

    @property
    def is_large(self) -> bool:
        return self._kept is None

    def blocks(self, kind: type[Vocabulary], boundary: int, place: Place | None = None) -> Iterator[Block]:
        """The text from `place` on, cut at character `boundary` and for the rest as tokens of this kind allow."""
        place = place or Place()
        pieces = self._kept
        if pieces is None:
            pieces = self._text.pieces(BLOCK_BYTES, place.document, place.offset)
            before = sum(document.size or 0 for document in self._text.documents[: place.document])
            self._done += before + place.offset
        return whole_tokens(kind.cut, by_part(self._reported(pieces), boundary, place.characters), self.name)

    def _reported(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            yield piece
            self._done += piece.size
            if self._on_progress is not None:
                self._on_progress(self._done, self._total)


def _needs_folder(name: str) -> DataError:
    return DataError(
        f"{name}: larger than {IN_MEMORY_BYTES // 2**20} MB, so its tokens go to a file: "
        "say where with folder=, or take less text"
    )


def _boundary(name: str, characters: int, validation_share: float) -> int:
    if characters == 0:
        raise DataError(f"{name}: no text in it; expected at least one character")
    # In decimal, as the share was written: 0.1 of 10 characters is one character, whatever 0.1 is in binary.
    boundary = int(characters * (1 - Fraction(str(validation_share))))
    if boundary == 0:
        raise DataError(
            f"{name}: {characters} characters cannot be split; give more text or a smaller validation_share"
        )
    return boundary
