"""A text on its way: its tokens become text as soon as that is certain, up to a stop text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ostinato.serving.generating import Generating, Piece


class Held:
    """Text that may still become part of a stop text is held back.

    Args:
        stops: texts that end it.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._longest = max(map(len, stops), default=0)
        self._text = ""

    def push(self, text: str) -> tuple[str, bool]:
        """What is certain now, and whether a stop text has come."""
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
        """What is held."""
        left, self._text = self._text, ""
        return left


class Writing:
    """How a row writes, and how far it is.

    Args:
        how: see there.
        seed: of what is drawn.
        decoder: of the vocabulary, which has seen what was read before.
        tell: called on the event loop with each piece but the last.
        reads_last: whether the last token is read too, as in a session, which goes on behind it.
        unit: layer from 0, state and number of the unit that is told.

    Attributes:
        first: inputs that its session has read before the job: what is drawn follows from the seed and the step.
        prompt: tokens that are read first.
        written: tokens drawn so far.
        full: set on the event loop where nobody reads what is written: it waits.
        finish: why it has ended, "stop" or "length"; None while it goes on.
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
        """The text that is certain with a token that was drawn."""
        text, stopped = self.held.push(self.decoder.push(token))
        self.written += 1
        if stopped:
            self.finish = "stop"
        elif self.written >= self.how.max_tokens:
            self.finish = "length"
        return text

    def last(self) -> Piece:
        """The piece behind all tokens: the text that was held back, and why it has ended."""
        left = ""
        if self.finish != "stop":
            left, stopped = self.held.push(self.decoder.flush())
            left += "" if stopped else self.held.rest()
            if stopped:
                self.finish = "stop"
        return Piece(left, finish=self.finish, prompt_tokens=self.prompt, tokens=self.written)
