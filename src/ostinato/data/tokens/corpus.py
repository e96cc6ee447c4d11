"""A corpus: text that was tokenised once, in a training, a validation and a test part.

The parts are separate files, as `ostinato.data.sources.text_parts` finds them. If no file is for validation, the last
`validation_share` of the training text is cut off for it, between documents, lines or words (see
`ostinato.data.tokens.cuts`). The cut depends on the text alone, not on the vocabulary, so that figures of different
vocabularies are about the same text. The vocabulary is built from the training part only.

Text of up to 64 MB is read once and stays in memory. Larger text is read two or three times in blocks (to count its
characters, to build the vocabulary, to tokenise it), and its tokens go to a memory-mapped file in `folder`, which is
used again as long as the text's names, sizes and times of change and the vocabulary are the same. One process reads
and writes, in order; the others turn blocks into tokens. Neither memory nor the result depends on the size of the text
or on the number of processes. A process that is killed while it tokenises continues, when started again, after the last
whole shard (see `token_file`). For a large text behind a slow URL let fsspec keep a copy: `simplecache::https://...`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import Any

from ostinato.data.sources.text import BLOCK_BYTES, Piece, Text
from ostinato.data.sources.text_parts import TextParts, find_text_parts, find_text_to_score
from ostinato.data.tokens.blocks import Block, by_part, whole_tokens
from ostinato.data.tokens.cuts import CutPlaces, cut
from ostinato.data.tokens.pool import WorkerPool, cores
from ostinato.data.tokens.token_file import Place, TokenFile, stored_about, stored_tokens, unfinished
from ostinato.data.tokens.tokens import PARTS, TokenList, Tokens
from ostinato.data.tokens.vocabulary import Vocabulary, WordVocabulary, vocabulary_class, vocabulary_from_dict
from ostinato.data.tokens.worker import counted_words, encoded
from ostinato.errors import ConfigError, DataError

IN_MEMORY_BYTES = 64 * 2**20
_BPE_TRAINING_BYTES = 256 * 2**20

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Corpus:
    """A tokenised text.

    Attributes:
        name: A name for people to read, such as "Python 3.11 standard library, 612 files".
        vocabulary: What the ids stand for.
        train: The tokens to learn from.
        validation: The tokens that choose the model; empty if `validation_share` is 0 and no file is for validation.
        test: The tokens for the test at the end; empty if no file is for it.
        remark: One line that says which files are in which part; None if neither names nor arguments say.
    """

    name: str
    vocabulary: Vocabulary
    train: Tokens
    validation: Tokens
    test: Tokens
    remark: str | None = None


def open_corpus(
    data: str | None = None,
    *,
    validation: str | None = None,
    test: str | None = None,
    parts_by_name: bool = True,
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
        data: A file, a folder, a glob or an fsspec URL (see `ostinato.data.sources.text`); None for the built-in text.
        validation: As `data`, to validate with; None for the files whose names say so, or a share of the training text.
        test: As `data`, to test with; None for the files whose names say so.
        parts_by_name: Whether names such as `train.txt`, `wiki.valid.tokens` and `test/` tell the parts of a folder or a glob.
        kind: Kind of the vocabulary that is built: "char", "byte", "word" or "bpe".
        vocabulary_size: The most tokens that the vocabulary may have; for "word" and "bpe" only.
        validation_share: Share of the training text's characters, from its end, that validate if no file does; 0 <=
            share < 1.
        folder: Where the token file goes if the text is larger than 64 MB; it holds one corpus.
        vocabulary: The vocabulary to use instead of building one; `kind` and `vocabulary_size` are then ignored.
        on_progress: Called with the bytes done and the bytes to do in all (None if unknown), summed over the readings.
        workers: Processes that tokenise a text larger than 64 MB; None for as many as there are cores.

    Raises:
        DataError: The text cannot be found, read, decoded or split, or it is large and there is no folder.
        ConfigError: An argument is out of range.
    """
    if not 0 <= validation_share < 1:
        raise ConfigError(f"validation_share must be at least 0 and less than 1; got {validation_share}")
    workers = cores() if workers is None else workers
    if workers < 1:
        raise ConfigError(f"workers must be at least 1; got {workers}")
    parts = find_text_parts(data, validation, test, by_name=parts_by_name)
    return _open(parts, kind, vocabulary_size, validation_share, folder, vocabulary, on_progress, workers)


def open_to_score(
    data: str | None, vocabulary: Vocabulary, folder: Path | None = None, *, parts_by_name: bool = True
) -> tuple[str, Tokens]:
    """Return the name and the tokens of a text to evaluate a model on.

    If the text has parts, they are the tokens of the test part, or of the validation part if there is no test part.

    Args:
        data: As for `open_corpus`.
        vocabulary: The vocabulary of the model.
        folder: As for `open_corpus`.
        parts_by_name: As for `open_corpus`.

    Raises:
        DataError: As for `open_corpus`.
    """
    parts = find_text_to_score(data, by_name=parts_by_name)
    corpus = _open(parts, vocabulary.kind, len(vocabulary), 0.0, folder, vocabulary, None, cores())
    return corpus.name, corpus.train


def _open(
    parts: TextParts,
    kind: str,
    vocabulary_size: int,
    validation_share: float,
    folder: Path | None,
    vocabulary: Vocabulary | None,
    on_progress: Progress | None,
    workers: int,
) -> Corpus:
    chosen = vocabulary_class(kind) if vocabulary is None else type(vocabulary)
    text = parts.text
    about = {
        "text": text.fingerprint(),
        "parts": parts.sizes,
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
                return Corpus(text.name, _vocabulary(stored), *stored_tokens(folder), parts.remark)
            begun = _of_this(unfinished(folder), about, vocabulary)
    if folder is not None and begun is not None:
        reading = _Reading(text, readings, on_progress, begun["ends"][-1])
        return _mapped(reading, parts, vocabulary or _vocabulary(begun), begun, folder, workers)
    reading = _Reading(text, readings, on_progress)
    if reading.is_large and folder is None:
        raise _needs_folder(text.name)
    ends = _ends(parts, reading, validation_share)
    if vocabulary is None:
        blocks = reading.blocks(chosen, ends)
        vocabulary = _build(chosen, vocabulary_size, blocks, reading, workers)
    if folder is None or not reading.is_large:
        return _in_memory(reading, parts, vocabulary, ends)
    about |= {"vocabulary": vocabulary.to_dict(), "ends": ends}
    return _mapped(reading, parts, vocabulary, about, folder, workers)


def _of_this(
    stored: dict[str, Any] | None, about: dict[str, Any], vocabulary: Vocabulary | None
) -> dict[str, Any] | None:
    """Return `stored` if it describes the same text, cut the same way, in the same vocabulary; else None."""
    if stored is None:
        return None
    # A vocabulary that an earlier call built and this call is given makes the same corpus.
    wanted = (
        about if vocabulary is None else {**about, "request": stored["request"], "vocabulary": vocabulary.to_dict()}
    )
    return stored if wanted.items() <= stored.items() else None


def _vocabulary(about: dict[str, Any]) -> Vocabulary:
    return vocabulary_from_dict(about["vocabulary"])


def _build(chosen: type[Vocabulary], size: int, blocks: Iterable[Block], reading: _Reading, workers: int) -> Vocabulary:
    training = (block.text for block in blocks if block.part == 0)
    if chosen.kind == "bpe":  # its counts of words grow with the text, so a long one is sampled evenly
        training = islice(training, 0, None, 1 + reading.size // _BPE_TRAINING_BYTES)
    if chosen is WordVocabulary and reading.is_large:
        with WorkerPool(None, workers) as pool:
            counts = (counted_words(result) for _, result in pool.map((None, text) for text in training))
            return WordVocabulary.from_counts(counts, size)
    return chosen.build(training, size)


def _in_memory(reading: _Reading, parts: TextParts, vocabulary: Vocabulary, ends: Sequence[int]) -> Corpus:
    tokens, words, in_word = TokenList(vocabulary.dtype), (0,) * PARTS, False
    for block in reading.blocks(type(vocabulary), ends):
        words = _add_words(words, block, in_word, len(block.text.split()))
        in_word = not block.text[-1].isspace()
        tokens.append(block.part, vocabulary.encode(block.text), block.begins_document)
    return Corpus(parts.name, vocabulary, *tokens.finish(_characters(ends), words), parts.remark)


def _mapped(
    reading: _Reading, parts: TextParts, vocabulary: Vocabulary, about: dict[str, Any], folder: Path, workers: int
) -> Corpus:
    ends = about["ends"]
    with TokenFile(folder, vocabulary.dtype, about) as file, WorkerPool(vocabulary, workers) as pool:
        blocks = reading.blocks(type(vocabulary), ends, file.place)
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
        tokens = file.finish(_characters(ends))
    return Corpus(parts.name, vocabulary, *tokens, parts.remark)


def _add_words(words: tuple[int, ...], block: Block, in_word: bool, found: int) -> tuple[int, ...]:
    found -= in_word and not block.begins_document and not block.text[0].isspace()
    return tuple(count + found * (part == block.part) for part, count in enumerate(words))


def _characters(ends: Sequence[int]) -> list[int]:
    """Return the number of characters in each part."""
    return [end - begin for begin, end in pairwise([0, *ends])]


def _ends(parts: TextParts, reading: _Reading, validation_share: float) -> list[int]:
    """Return the number of characters up to the end of each part."""
    documents = reading.document_ends
    train, held, test = (documents[count - 1] if count else 0 for count in accumulate(parts.sizes))
    for part, begin, end in (("train", 0, train), ("validation", train, held), ("test", held, test)):
        if getattr(parts, part) and begin == end:
            where = "it" if end == test else f"the {part} part"
            raise DataError(f"{parts.name}: no text in {where}; expected at least one character")
    if parts.validation:
        return [train, held, test]
    kinds = (documents[: len(parts.train)], reading.lines.places, reading.words.places)
    place = cut(train, validation_share, kinds)
    if place == 0:
        raise DataError(
            f"{parts.name}: {train} characters cannot be split; give more text or a smaller validation_share"
        )
    return [place, train, test]


class _Reading:
    """A text that is read more than once: kept from the first reading if small, else read again from its source.

    Args:
        text: The text.
        readings: How often it is read in all.
        on_progress: See `open_corpus`.
        characters: Characters of the text, if it is large and was read before; then only the last reading is left to
            do.

    Attributes:
        document_ends: Characters up to the end of each document, if the text was read here.
        lines, words: Where lines end, and where white space is, as far as they are kept.
    """

    def __init__(self, text: Text, readings: int, on_progress: Progress | None, characters: int | None = None):
        self.name = text.name
        self.size = 0
        self.document_ends: list[int] = []
        self.lines, self.words = CutPlaces(r"\n"), CutPlaces(r"\s")
        self._text = text
        self._kept: list[Piece] | None = [] if characters is None else None
        self._on_progress = on_progress
        stored = text.stored
        self._total = None if stored is None else stored * readings
        self._done = 0 if characters is None or stored is None else stored * (readings - 1)
        if characters is None:
            self._read_first()

    def _read_first(self) -> None:
        characters = 0
        for piece in self._reported(self._text.pieces(BLOCK_BYTES)):
            self._end_documents(piece.document, characters)
            for places in (self.lines, self.words):
                places.add(piece.text, characters)
            characters += len(piece.text)
            self.size += piece.size
            if self.size > IN_MEMORY_BYTES:
                self._kept = None
            if self._kept is not None:
                self._kept.append(piece)
        self._end_documents(len(self._text.documents), characters)

    def _end_documents(self, count: int, characters: int) -> None:
        """Record that the first `count` documents end here or before.

        A document without text gives no piece, so only the number of the next document tells of it.
        """
        self.document_ends += [characters] * (count - len(self.document_ends))

    @property
    def is_large(self) -> bool:
        return self._kept is None

    def blocks(self, kind: type[Vocabulary], ends: Sequence[int], place: Place | None = None) -> Iterator[Block]:
        """Give the text from `place` on in blocks, cut where parts end, else only between tokens of this kind."""
        place = place or Place()
        pieces = self._kept
        if pieces is None:
            pieces = self._text.pieces(BLOCK_BYTES, place.document, place.offset)
            self._done += sum(document.stored or 0 for document in self._text.documents[: place.document])
            if place.offset and self._text.documents[place.document].size is not None:
                self._done += place.offset  # a compressed document counts these bytes itself when it is opened
        return whole_tokens(kind.cut, by_part(self._reported(pieces), ends[:-1], place.characters), self.name)

    def _reported(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            yield piece
            self._done += piece.stored
            if self._on_progress is not None:
                self._on_progress(self._done, self._total)


def _needs_folder(name: str) -> DataError:
    return DataError(
        f"{name}: larger than {IN_MEMORY_BYTES // 2**20} MB, so its tokens go to a file: "
        "say where with folder=, or take less text"
    )
