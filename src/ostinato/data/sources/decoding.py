"""Decoding of ids one by one into text, as soon as the text is certain, so that it can be shown while a model writes.

A character may be several tokens of a byte or BPE vocabulary; it is given only after its last byte.
"""

from __future__ import annotations

import codecs
from typing import Protocol

from typing_extensions import override  # typing's own from Python 3.12 on

NEWLINE = "\n"


class Decoder(Protocol):
    """A decoder of ids that come one by one; it gives text as soon as the text is certain."""

    def push(self, id: int) -> str:
        """Return the text that became certain with this id; empty in the middle of a character."""
        ...

    def flush(self) -> str:
        """Return the rest of the text at the end: U+FFFD for an unfinished character, else nothing."""
        ...


class CharDecoder(Decoder):
    """Decoder for ids that are characters: `characters[id]`."""

    def __init__(self, characters: str):
        self._characters = characters

    @override
    def push(self, id: int) -> str:
        return self._characters[id]

    @override
    def flush(self) -> str:
        return ""


class BytesDecoder(Decoder):
    """Decoder for ids that are bytes or strings of bytes, together UTF-8: `bytes_of[id]`."""

    def __init__(self, bytes_of: list[bytes]):
        self._bytes_of = bytes_of
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @override
    def push(self, id: int) -> str:
        return self._decoder.decode(self._bytes_of[id])

    @override
    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


class WordDecoder(Decoder):
    """Decoder for ids that are words or line ends: with a space between words, and none beside a line end."""

    def __init__(self, words: list[str]):
        self._words = words
        self._at_line_start = True

    @override
    def push(self, id: int) -> str:
        word = self._words[id]
        joint = "" if self._at_line_start or word == NEWLINE else " "
        self._at_line_start = word == NEWLINE
        return joint + word

    @override
    def flush(self) -> str:
        return ""
