"""Vocabularies: text to token ids and back, by characters, bytes, words or byte-pair encoding.

| kind | a token is | unknown text | `decode(encode(text))` |
| --- | --- | --- | --- |
| `char` | a Unicode character of the training text | `<unk>`, id 0 | the text, unknown characters as U+FFFD |
| `byte` | a byte of the UTF-8 form, 256 ids | cannot occur | the text |
| `word` | the text between white space; also a line end | `<unk>`, id 0 | words joined by single spaces |
| `bpe` | a byte-level merge (Sennrich et al. 2016; Radford et al. 2019) | cannot occur | the text |

A vocabulary is kept as one file, `vocabulary.json`, beside the model that uses it.

Text comes in blocks. `encode` of the blocks, joined, equals `encode` of the whole only if no token spans a cut between
blocks; `Vocabulary.cut` finds the last place where that holds. For characters and bytes any place will do; for words
and BPE a place before a space or a line end that follows anything but white space.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from typing_extensions import override  # typing's own from Python 3.12 on

from ostinato.data.sources.decoding import NEWLINE, BytesDecoder, CharDecoder, Decoder, WordDecoder
from ostinato.data.sources.plain_file import read_plain
from ostinato.data.tokens.counts import WordCounts
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.extras import needed

FILE_NAME = "vocabulary.json"
UNKNOWN = "<unk>"
_FORMAT, _VERSION = "ostinato.vocabulary", 1
_UNICODE_SIZE = 0x110000
_COUNTED_WORDS = 1_000_000
_BPE_BLOCK_CHARACTERS = 2**16


class Vocabulary(ABC):
    """A fixed set of tokens; ids run from 0 to `len(vocabulary) - 1`."""

    kind: ClassVar[str]
    unknown_id: int | None = None
    """The id that stands for all text outside the vocabulary; None where no text is outside."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """Return the token ids of `text`: (N,), of the smallest unsigned type that holds every id."""

    @abstractmethod
    def decoder(self) -> Decoder:
        """Return a new decoder for ids that come one by one."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return all of this vocabulary in JSON's types; two vocabularies with equal dictionaries are equal."""

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`.

        Raises:
            DataError: An id is not in the vocabulary.
        """
        decoder = self.decoder()
        return "".join([decoder.push(id) for id in self._checked(ids).tolist()]) + decoder.flush()

    @classmethod
    @abstractmethod
    def build(cls, texts: Iterable[str], size: int) -> Self:
        """Build the vocabulary of a training text.

        Args:
            texts: The text in blocks, cut where `cut` allows.
            size: The most tokens of a vocabulary of words or BPE; characters and bytes ignore it.
        """

    @classmethod
    @abstractmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Make the vocabulary from what `to_dict` returned."""

    @staticmethod
    def cut(text: str) -> int:
        """Return the last place to cut `text` that changes no token, whatever text follows; 0 if there is none."""
        return len(text)

    def save(self, folder: Path) -> None:
        """Write `folder/vocabulary.json`, whole or not at all."""
        partial = folder / f"{FILE_NAME}.partial"
        partial.write_text(json.dumps({"format": _FORMAT, "version": _VERSION, **self.to_dict()}), encoding="utf-8")
        os.replace(partial, folder / FILE_NAME)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned type that holds every id."""
        return np.min_scalar_type(max(len(self) - 1, 0))

    def _checked(self, ids: Iterable[int]) -> np.ndarray:
        array = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), dtype=np.int64)
        outside = array[(array < 0) | (array >= len(self))]
        if outside.size:
            raise DataError(
                f"id {outside[0]} is not in this {self.kind} vocabulary; expected 0 to {len(self) - 1}: "
                "decode with the vocabulary that encoded"
            )
        return array


class CharVocabulary(Vocabulary):
    """One token a Unicode character; id 0 is `<unk>`, the others follow the code points.

    Args:
        characters: The characters it knows, each once, in the order of their ids from 1 on.
    """

    kind = "char"
    unknown_id = 0

    def __init__(self, characters: str):
        self.characters = characters
        points = _code_points(characters)
        self._points = np.concatenate([[0xFFFD], points]).astype(np.uint32)
        self._table = np.zeros(_UNICODE_SIZE, dtype=self.dtype)
        self._table[points] = np.arange(1, len(self))

    @override
    @classmethod
    def build(cls, texts: Iterable[str], size: int) -> Self:
        occurs = np.zeros(_UNICODE_SIZE, dtype=bool)
        for text in texts:
            occurs[_code_points(text)] = True
        return cls(np.flatnonzero(occurs).astype("<u4").tobytes().decode("utf-32-le"))

    def __len__(self) -> int:
        return len(self.characters) + 1

    @override
    def encode(self, text: str) -> np.ndarray:
        return self._table[_code_points(text)]

    @override
    def decode(self, ids: Iterable[int]) -> str:
        return self._points[self._checked(ids)].astype("<u4").tobytes().decode("utf-32-le")

    @override
    def decoder(self) -> Decoder:
        return CharDecoder(chr(0xFFFD) + self.characters)

    @override
    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "characters": self.characters}

    @override
    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        return cls(content["characters"])


class ByteVocabulary(Vocabulary):
    """One token a byte of the text's UTF-8 form; the id is the byte."""

    kind = "byte"

    @override
    @classmethod
    def build(cls, texts: Iterable[str], size: int) -> Self:
        return cls()

    def __len__(self) -> int:
        return 256

    @override
    def encode(self, text: str) -> np.ndarray:
        return np.frombuffer(_utf8(text), dtype=np.uint8)

    @override
    def decode(self, ids: Iterable[int]) -> str:
        return self._checked(ids).astype(np.uint8).tobytes().decode("utf-8", "replace")

    @override
    def decoder(self) -> Decoder:
        return BytesDecoder([bytes([byte]) for byte in range(256)])

    @override
    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind}

    @override
    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        return cls()


class WordVocabulary(Vocabulary):
    r"""One token a word between white space; `\n` is a token, the end of sentence of word language models.

    `build` takes the most frequent words, ties in the order of code points. Its memory does not grow with the text:
    beyond a million different words, the least frequent are forgotten.

    Args:
        words: The words by id, `<unk>` first and `\n` second. A literal `<unk>` in the text is the unknown word.
    """

    kind = "word"
    unknown_id = 0

    def __init__(self, words: list[str]):
        self.words = words
        self._ids = {word: id for id, word in enumerate(words)}

    @override
    @classmethod
    def build(cls, texts: Iterable[str], size: int) -> Self:
        return cls.from_counts((Counter(text.split()) for text in texts), size)

    @classmethod
    def from_counts(cls, blocks: Iterable[Mapping[str, int]], size: int) -> Self:
        """Build the vocabulary from words that were counted already; the result is that of `build`.

        Args:
            blocks: For each block of the text, how often each of its words is in it.
            size: As for `build`.

        Raises:
            ConfigError: `size` is less than 3.
        """
        _check_words(size)
        counts: Counter[str] = Counter()
        rare = 0
        for block in blocks:
            counts.update(block)
            while len(counts) > _COUNTED_WORDS:
                rare += 1
                counts = Counter({word: count for word, count in counts.items() if count > rare})
        del counts[UNKNOWN]
        best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: size - 2]
        return cls([UNKNOWN, NEWLINE, *(word for word, _ in best)])

    @classmethod
    def of_counts(cls, counts: WordCounts, size: int, min_count: int) -> Self:
        """Build it from the most frequent words that occur at least `min_count` times; from all if none does.

        Raises:
            ConfigError: `size` is less than 3.
        """
        _check_words(size)
        best = counts.most_common(size - 2, lambda word, count: count >= min_count and word != UNKNOWN)
        best = best or counts.most_common(size - 2, lambda word, count: word != UNKNOWN)
        return cls([UNKNOWN, NEWLINE, *(word for word, _ in best)])

    def __len__(self) -> int:
        return len(self.words)

    @override
    def encode(self, text: str) -> np.ndarray:
        ids = [self._ids.get(word, 0) for line in text.split(NEWLINE) for word in (*line.split(), NEWLINE)]
        return np.array(ids[:-1], dtype=self.dtype)

    @override
    def decoder(self) -> Decoder:
        return WordDecoder(self.words)

    @override
    @staticmethod
    def cut(text: str) -> int:
        return _word_end(text)

    @override
    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "words": self.words}

    @override
    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        return cls(content["words"])


class BPEVocabulary(Vocabulary):
    """Byte-level byte-pair encoding by Hugging Face tokenizers, with GPT-2's rule for what may be merged.

    `build` starts from the 256 bytes and adds the most frequent merges.

    Args:
        tokenizer: The tokenizer's own JSON, as a dictionary.
    """

    kind = "bpe"

    def __init__(self, tokenizer: dict[str, Any]):
        with needed():
            from tokenizers import Tokenizer

        self._json = tokenizer
        self._tokenizer = Tokenizer.from_str(json.dumps(tokenizer))
        value = {character: byte for byte, character in enumerate(_byte_characters())}
        pieces = sorted(self._tokenizer.get_vocab().items(), key=lambda item: item[1])
        self._bytes = [bytes(value[character] for character in piece) for piece, _ in pieces]

    @override
    @classmethod
    def build(cls, texts: Iterable[str], size: int) -> Self:
        with needed():
            from tokenizers import Tokenizer, models, pre_tokenizers, trainers

        if size < 256:
            raise ConfigError(f"vocabulary_size must be at least 256 for bpe (every byte is a token); got {size}")
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
        trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=_byte_characters(), show_progress=False)
        tokenizer.train_from_iterator((block for text in texts for block in _blocks(text)), trainer)
        return cls(json.loads(tokenizer.to_str()))

    def __len__(self) -> int:
        return len(self._bytes)

    @override
    def encode(self, text: str) -> np.ndarray:
        _utf8(text)
        encodings = self._tokenizer.encode_batch_fast(list(_blocks(text)))
        return np.concatenate([np.zeros(0, self.dtype), *(np.array(e.ids, dtype=self.dtype) for e in encodings)])

    @override
    def decode(self, ids: Iterable[int]) -> str:
        checked: list[int] = self._checked(ids).tolist()
        return b"".join([self._bytes[id] for id in checked]).decode("utf-8", "replace")

    @override
    def decoder(self) -> Decoder:
        return BytesDecoder(self._bytes)

    @override
    @staticmethod
    def cut(text: str) -> int:
        return _word_end(text)

    @override
    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "tokenizer": self._json}

    @override
    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        return cls(content["tokenizer"])


_KINDS: dict[str, type[Vocabulary]] = {
    kind.kind: kind for kind in (CharVocabulary, ByteVocabulary, WordVocabulary, BPEVocabulary)
}


def vocabulary_class(kind: str) -> type[Vocabulary]:
    """Return the class for "char", "byte", "word" or "bpe"; raise a ConfigError for anything else."""
    if kind not in _KINDS:
        raise ConfigError(f"kind of vocabulary must be one of {', '.join(_KINDS)}; got {kind!r}")
    return _KINDS[kind]


def build_vocabulary(texts: Iterable[str], kind: str, size: int, min_count: int) -> Vocabulary:
    """Build the vocabulary of training texts, without words that occur fewer than `min_count` times unless all do."""
    if kind == WordVocabulary.kind:
        return WordVocabulary.of_counts(WordCounts.of(texts), size, min_count)
    return vocabulary_class(kind).build(texts, size)


def _check_words(size: int) -> None:
    if size < 3:
        raise ConfigError(f"vocabulary_size must be at least 3 for words (<unk>, line end, a word); got {size}")


def frequent(counts: Mapping[str, int], min_count: int) -> Mapping[str, int]:
    """Return the names with a count of at least `min_count`; all names if none has."""
    return {name: count for name, count in counts.items() if count >= min_count} or counts


def vocabulary_from_dict(content: dict[str, Any]) -> Vocabulary:
    """Make a vocabulary of any kind from what `Vocabulary.to_dict` returned."""
    return vocabulary_class(content["kind"]).from_dict(content)


def load_vocabulary(folder: Path) -> Vocabulary:
    """Read the vocabulary that `Vocabulary.save` wrote into `folder`.

    Raises:
        RunError: The file is missing, damaged or of a newer version.
    """
    path = Path(folder) / FILE_NAME
    try:
        content = json.loads(read_plain(path))
        if content["format"] != _FORMAT:
            raise ValueError(f"format is {content['format']!r}")
        if content["version"] > _VERSION:
            raise RunError(f"{path} has version {content['version']}; this ostinato reads up to {_VERSION}: upgrade it")
        return vocabulary_from_dict(content)
    except OSError as error:
        raise RunError(
            f"{path}: expected a vocabulary there ({error.strerror}); give the folder of a finished run"
        ) from error
    except RunError:
        raise
    except Exception as error:  # tokenizers raises bare Exception for JSON that it cannot read
        reason = " ".join(str(error).split())
        raise RunError(
            f"{path} is damaged ({type(error).__name__}: {reason}); train again or restore the file"
        ) from error


def _code_points(text: str) -> np.ndarray:
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"character {error.start} of the text is a lone surrogate, which UTF-8 cannot hold: "
            "was the text decoded as UTF-8?"
        ) from error


def _word_end(text: str) -> int:
    end = len(text)
    while (end := max(text.rfind(" ", 0, end), text.rfind("\n", 0, end))) > 0:
        if not text[end - 1].isspace():
            return end
    return 0


def _blocks(text: str) -> Iterator[str]:
    """Cut a text where no token spans the cut, so that tokenizers works on the blocks in parallel, with less memory."""
    start = 0
    while start < len(text):
        block = text[start : start + _BPE_BLOCK_CHARACTERS]
        whole = start + len(block) == len(text)
        block = block if whole else block[: _word_end(block)] or text[start:]
        yield block
        start += len(block)


def _byte_characters() -> list[str]:
    """Return the character that byte-level BPE writes for each byte: its own if printable, else one from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]
