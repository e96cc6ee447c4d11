"""A text that is being written: its tokens become text as soon as that is certain, up to a stop text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ostinato.serving.generating import Generating, Piece


class Held:
    """A buffer that holds back text which may be the beginning of a stop text.

    Args:
        stops: texts that end the writing.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._longest = max(map(len, stops), default=0)
        self._text = ""

    def push(self, text: str) -> tuple[str, bool]:
        """Add text; return the text that is certain now, and whether a stop text was found."""
        if not self._stops:
            return text, False
        self._text += text
        found = [at for stop in self._stops if (at := self._text.find(stop)) >= 0]
        if found:
            certain, self._text = self._text[: min(found)], ""
            return certain, True
        keep = 0
        for size in range(min(self._longest - 1, len(self._text)), 0, -1):
            if any(stop.startswith(self._text[-size:]) for stop in self._stops):
                keep = size
                break
        certain, self._text = self._text[: len(self._text) - keep], self._text[len(self._text) - keep :]
        return certain, False

    def rest(self) -> str:
        """Return the text that is held back, and clear it."""
        left, self._text = self._text, ""
        return left


class Writing:
    """The settings and the progress of the text that a row writes.

    Args:
        how: how to write.
        seed: the seed of the draws.
        decoder: the decoder of the vocabulary.
        tell: called on the event loop with each piece but the last.
        reads_last: whether the last token is read too, as in a session, which continues after it.
        unit: layer (from 0), state and number of the unit whose value is returned; None for none.

    Attributes:
        first: how many inputs the session has read before the job, because draws depend on seed and step.
        prompt: how many tokens are read first.
        written: how many tokens were drawn so far.
        full: set on the event loop if the reader is too slow; the writing then waits.
        finish: why the text has ended, "stop" or "length"; None before that.
        pending: a piece that waits for the value of its unit; None for none.
    """

    __slots__ = (
        "decoder",
        "finish",
        "first",
        "full",
        "held",
        "how",
        "pending",
        "prompt",
        "reads_last",
        "seed",
        "tell",
        "unit",
        "written",
    )

    def __init__(
        self,
        how: Generating,
        seed: int,
        decoder: Any,
        tell: Callable[[Piece], None],
        *,
        reads_last: bool,
        unit: tuple[int, str, int] | None = None,
    ) -> None:
        self.how, self.seed, self.decoder, self.tell = how, seed & (2**64 - 1), decoder, tell
        self.reads_last, self.unit = reads_last, unit
        self.first = 0
        self.full = False
        self.held = Held(how.stop)
        self.written, self.prompt = 0, 0
        self.finish: str | None = None if how.max_tokens else "length"
        self.pending: Piece | None = None  # a piece whose unit is known after its token is read

    def push(self, token: int) -> str:
        """Add a drawn token; return the text that is certain now."""
        text, stopped = self.held.push(self.decoder.push(token))
        self.written += 1
        if stopped:
            self.finish = "stop"
        elif self.written >= self.how.max_tokens:
            self.finish = "length"
        return text

    def last(self) -> Piece:
        """Return the piece after all tokens: the text that was held back, and why the text has ended."""
        left = ""
        if self.finish != "stop":
            left, stopped = self.held.push(self.decoder.flush())
            left += "" if stopped else self.held.rest()
            if stopped:
                self.finish = "stop"
        return Piece(left, finish=self.finish, prompt_tokens=self.prompt, tokens=self.written)
