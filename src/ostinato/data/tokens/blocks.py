"""A text in blocks that can be tokenised independently of one another."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ostinato.data.sources.text import Piece
from ostinato.errors import DataError

LONGEST_WORD = 64 * 2**20


@dataclass(frozen=True)
class Block:
    """A piece of text within one document and one part, never empty.

    Attributes:
        part: 0 for training, 1 for validation, 2 for test.
        text: The characters.
        document: Index of the document.
        start: Where in the bytes of the document the text begins.
        begins_document: Whether a document or a part begins here.
    """

    part: int
    text: str
    document: int
    start: int
    begins_document: bool

    def after(self, characters: int) -> Block:
        """Return the rest of the block, without its first `characters` characters."""
        start = self.start + len(self.text[:characters].encode())
        return replace(self, text=self.text[characters:], start=start, begins_document=False)


def by_part(pieces: Iterable[Piece], ends: Sequence[int], done: int = 0) -> Iterator[Block]:
    """Cut the text where a part ends; a part begins a document.

    Args:
        pieces: The pieces of the text, in order.
        ends: Characters up to the end of each part but the last, in ascending order.
        done: Characters of the text before the first piece.
    """
    for piece in pieces:
        rest = Block(0, piece.text, piece.document, piece.start, piece.begins_document)
        while True:
            part, size = bisect_right(ends, done), len(rest.text)
            if part < len(ends):
                size = min(ends[part] - done, size)
            yield replace(rest, part=part, text=rest.text[:size], begins_document=rest.begins_document or done in ends)
            done += size
            if size == len(rest.text):
                break
            rest = rest.after(size)


def whole_tokens(cut: Callable[[str], int], blocks: Iterable[Block], name: str) -> Iterator[Block]:
    """Regroup the text into blocks that end where `cut` allows, or where a document or a part ends.

    Args:
        cut: See `Vocabulary.cut`.
        blocks: The blocks of the text, in order.
        name: The name of the text, for errors.

    Raises:
        DataError: 67,108,864 (64 * 2**20) characters have no place to cut.
    """
    held: Block | None = None
    for block in blocks:
        if held is not None and block.begins_document:
            yield held
        elif held is not None:
            block = replace(held, text=held.text + block.text)
        end = cut(block.text)
        if end:
            yield replace(block, text=block.text[:end])
        if len(block.text) - end > LONGEST_WORD:
            raise DataError(
                f"{name}: no white space in {LONGEST_WORD:,} characters; take characters or bytes for such text"
            )
        held = (block.after(end) if end else block) if end < len(block.text) else None
    if held is not None:
        yield held
