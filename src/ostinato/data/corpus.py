"""A corpus: text that was tokenised once, cut into a training and a validation part.

The first `1 - validation_share` of the characters train, the rest validate; the cut falls on an exact character,
whatever the vocabulary, so that figures of different vocabularies are of the same text. The vocabulary is built from
the training part only.

Text of up to 64 MB is read once and stays in memory. Larger text is read two or three times in blocks (to count its
characters, to build the vocabulary, to tokenise it), and its tokens go to a memory-mapped file in `folder`, which is
used again as long as the text's names, sizes and times of change and the vocabulary are the same. Memory does not
grow with the text. For a large text behind a slow URL let fsspec keep a copy: `simplecache::https://...`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from ostinato.data.text import BLOCK_BYTES, Piece, Text, find_text
from ostinato.data.tokens import Tokens, TokenWriter, stored_about, stored_tokens
from ostinato.data.vocabulary import Vocabulary, vocabulary_class
from ostinato.errors import ConfigError, DataError

IN_MEMORY_BYTES = 64 * 2**20
_BPE_TRAINING_BYTES = 256 * 2**20
_LONGEST_WORD = 64 * 2**20

Progress = Callable[[int, int | None], None]
Block = tuple[int, str, bool]  # part (0 training, 1 validation), text, whether a document or a part begins here


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

    Raises:
        DataError: The text cannot be found, read, decoded or split, or it is large and there is no folder.
        ConfigError: An argument is out of range.
    """
    chosen = vocabulary_class(kind) if vocabulary is None else type(vocabulary)
    if not 0 <= validation_share < 1:
        raise ConfigError(f"validation_share must be at least 0 and less than 1; got {validation_share}")
    text = find_text(data)
    about = {
        "text": text.fingerprint(),
        "validation_share": validation_share,
        "request": [kind, vocabulary_size] if vocabulary is None else None,
    }
    if text.size is None or text.size > IN_MEMORY_BYTES:
        if folder is None and text.size is not None:
            raise _needs_folder(text.name)
        stored = None if folder is None else _stored(text, folder, about, vocabulary)
        if stored is not None:
            return stored
    reading = _Reading(text, 3 if vocabulary is None and kind != "byte" else 2, on_progress)
    if reading.is_large and folder is None:
        raise _needs_folder(text.name)
    boundary = _boundary(text.name, reading.characters, validation_share)

    def blocks() -> Iterator[Block]:
        return _whole_tokens(chosen.cut, _by_part(reading.pieces(), boundary), text.name)

    if vocabulary is None:
        training = (block for part, block, _ in blocks() if part == 0)
        if kind == "bpe":  # its counts of words grow with the text, so a long one is sampled evenly
            training = islice(training, 0, None, 1 + reading.size // _BPE_TRAINING_BYTES)
        vocabulary = chosen.build(training, vocabulary_size)
    with TokenWriter(vocabulary.dtype, folder if reading.is_large else None) as writer:
        words = _tokenise(blocks(), vocabulary, writer)
        about["vocabulary"] = vocabulary.to_dict()
        parts = writer.finish(about, (boundary, reading.characters - boundary), words)
    return Corpus(text.name, vocabulary, *parts)


def _stored(text: Text, folder: Path, about: dict[str, Any], vocabulary: Vocabulary | None) -> Corpus | None:
    """The corpus in the token file of `folder`, if it is of the same text, cut the same, in the same vocabulary."""
    stored = stored_about(folder)
    if stored is None:
        return None
    if vocabulary is None:
        fits = about.items() <= stored.items()
        vocabulary = vocabulary_class(stored["vocabulary"]["kind"]).from_dict(stored["vocabulary"])
    else:
        wanted = {**about, "request": stored["request"], "vocabulary": vocabulary.to_dict()}
        fits = wanted == stored
    return Corpus(text.name, vocabulary, *stored_tokens(folder)) if fits else None


def _tokenise(blocks: Iterable[Block], vocabulary: Vocabulary, writer: TokenWriter) -> tuple[int, int]:
    """Write the ids of `blocks`; the words in both parts."""
    words = [0, 0]
    in_word = False
    for part, text, begins in blocks:
        if begins:
            writer.begin_document(part)
        words[part] += len(text.split()) - (in_word and not begins and not text[0].isspace())
        in_word = not text[-1].isspace()
        writer.append(part, vocabulary.encode(text))
    return words[0], words[1]


class _Reading:
    """A text that is read more than once: kept from the first reading if small, else read again from its source."""

    def __init__(self, text: Text, readings: int, on_progress: Progress | None):
        self.characters = 0
        self.size = 0
        self._text = text
        self._kept: list[Piece] | None = []
        self._on_progress = on_progress
        self._done, self._total = 0, None if text.size is None else text.size * readings
        for piece in self._reported(text.pieces(BLOCK_BYTES)):
            self.characters += len(piece.text)
            self.size += piece.size
            if self.size > IN_MEMORY_BYTES:
                self._kept = None
            if self._kept is not None:
                self._kept.append(piece)

    @property
    def is_large(self) -> bool:
        return self._kept is None

    def pieces(self) -> Iterator[Piece]:
        return self._reported(self._text.pieces(BLOCK_BYTES) if self._kept is None else self._kept)

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


def _by_part(pieces: Iterable[Piece], boundary: int) -> Iterator[Block]:
    """Cut the text at character `boundary`; the validation part begins a document there."""
    done = 0
    for piece in pieces:
        left = boundary - done
        done += len(piece.text)
        if left > 0:
            yield 0, piece.text[:left], piece.begins_document
        if left < len(piece.text):
            yield 1, piece.text[max(left, 0) :], piece.begins_document or left >= 0


def _whole_tokens(cut: Callable[[str], int], blocks: Iterable[Block], name: str) -> Iterator[Block]:
    """The same text in blocks that end where `cut` allows, or where a document or a part ends."""
    held: Block | None = None
    for part, text, begins in blocks:
        if held is not None and begins:
            yield held
        elif held is not None:
            text, begins = held[1] + text, held[2]
        end = cut(text)
        if end:
            yield part, text[:end], begins
        if len(text) - end > _LONGEST_WORD:
            raise DataError(
                f"{name}: no white space in {_LONGEST_WORD:,} characters; take characters or bytes for such text"
            )
        held = (part, text[end:], begins and not end) if end < len(text) else None
    if held is not None:
        yield held
