"""Texts as token ids and back, from the vocabulary of an exported model. Needs numpy alone."""

import re
import unicodedata
from itertools import pairwise

import numpy as np

# GPT-2's rule for what byte pairs may be merged, of a text whose letters are L, digits N, white space S or " ", and all else O.
_CHUNK = re.compile(r" ?L+| ?N+| ?O+|[S ]+(?![^S ])|[S ]+")
_SHORT = re.compile(r"'(?:s|t|re|ve|m|ll|d)")
_SOFT = "\u00ad\u2060"  # within a word


def is_letter(c: str) -> bool:
    return c == "_" or unicodedata.category(c)[0] in "LNM"


def words(text: str, joiner: str = "", within: str = "") -> str:
    """With single blanks between words and marks; the joiner before what followed without one."""
    parts = []
    for part in text.split():
        found = []
        for at, c in enumerate(part):
            after = at < len(part) - 1 and is_letter(part[at + 1])
            inside = 0 < at < len(part) - 1 and is_letter(part[at - 1]) and (c in _SOFT or (c in within and after))
            goes_on = found and is_letter(found[-1][0]) and (is_letter(c) or inside)
            goes_on = goes_on and (is_letter(found[-1][-1]) or found[-1][-1] in within + _SOFT)
            if goes_on:
                found[-1] += c
            else:
                found.append(c)
        parts.append(f" {joiner}".join(found))
    return " ".join(parts)


class Vocabulary:
    def __init__(self, content: dict):
        self.kind = content["kind"]
        if self.kind == "char":
            self.texts = ["\ufffd", *content["characters"]]
        elif self.kind == "word":
            self.texts = content["words"]
        elif self.kind == "bpe":
            model = content["tokenizer"]["model"]
            merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
            self.ranks = {tuple(pair): rank for rank, pair in enumerate(merges)}
            plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
            shown = plain + [byte for byte in range(256) if byte not in plain]
            self.shown = {byte: chr(byte if n < len(plain) else 256 + n - len(plain)) for n, byte in enumerate(shown)}
            self.bytes = {c: byte for byte, c in self.shown.items()}
            self.texts = sorted(model["vocab"], key=model["vocab"].get)
        else:
            self.texts = []
        self.ids = {text: id for id, text in enumerate(self.texts)}

    def encode(self, text: str) -> np.ndarray:
        if self.kind == "byte":
            return np.frombuffer(text.encode(), np.uint8).astype(np.int64)
        if self.kind == "bpe":
            return np.array(
                [self.ids[piece] for chunk in self._chunks(text) for piece in self._merged(chunk)], np.int64
            )
        lines = [word for line in text.split("\n") for word in (*line.split(), "\n")]
        pieces = lines[:-1] if self.kind == "word" else text
        return np.array([self.ids.get(piece, 0) for piece in pieces], np.int64)

    def decode(self, ids) -> str:
        if self.kind == "byte":
            return bytes(int(id) for id in ids).decode("utf-8", "replace")
        texts = [self.texts[id] for id in ids]
        if self.kind == "bpe":
            return bytes(self.bytes[c] for text in texts for c in text).decode("utf-8", "replace")
        if self.kind == "char":
            return "".join(texts)
        return re.sub(" ?\n ?", "\n", " ".join(texts))

    def _chunks(self, text: str):
        kinds = {"L": "L", "N": "N"}
        shape = "".join(
            c if c == " " else "S" if c.isspace() else kinds.get(unicodedata.category(c)[0], "O") for c in text
        )
        at = 0
        while at < len(text):
            end = (_SHORT.match(text, at) or _CHUNK.match(shape, at)).end()
            yield text[at:end]
            at = end

    def _merged(self, chunk: str) -> list[str]:
        pieces = [self.shown[byte] for byte in chunk.encode()]
        while len(pieces) > 1:
            rank, at = min((self.ranks.get(pair, 1 << 60), n) for n, pair in enumerate(pairwise(pieces)))
            if rank == 1 << 60:
                break
            pieces[at : at + 2] = ["".join(pieces[at : at + 2])]
        return pieces
