"""Ids that come one by one to text, as soon as the text is certain: what a model writes can be shown while it writes.

A character may be several tokens of a byte or BPE vocabulary; nothing is shown of it until its last byte is there.
"""

from __future__ import annotations

import codecs
from typing import Protocol

from typing_extensions import override  # typing's own from Python 3.12 on

NEWLINE = "\n"


class Decoder(Protocol):
    """Turns ids that come one by one into text as soon as the text is certain."""

    def push(self, id: int) -> str:
        """The text that became certain with this id; often empty in the middle of a character."""
        ...

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a character that was begun and not finished, else nothing."""
        ...


class CharDecoder(Decoder):
    """For ids that are characters: `characters[id]`."""

    def __init__(self, characters: str):
        self._characters = characters

    @override
    def push(self, id: int) -> str:
        return self._characters[id]

    @override
    def flush(self) -> str:
        return ""


class BytesDecoder(Decoder):
    """For ids that are bytes or strings of bytes: `bytes_of[id]`, together UTF-8."""

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
    """For ids that are words or line ends: a space between words, none beside a line end."""

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
