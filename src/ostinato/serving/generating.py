"""The settings of a text to write, and the pieces in which it is returned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ostinato.serving.errors import BadRequestError

MOST_LOGPROBS = 100
MOST_STOPS = 16
MOST_OF_STOPS = 1000  # characters of all stop texts together, because they are searched after each token


@dataclass(frozen=True, slots=True)
class Generating:
    """How to write a text.

    Attributes:
        max_tokens: the most tokens to write, at least 0.
        temperature: the temperature of the draw; 0 takes the most likely token.
        top_k: draw only from the `top_k` most likely tokens; None for all.
        top_p: draw only from the most likely tokens that make up this share, in (0, 1]; None for all.
        seed: the same seed after the same text writes the same; None for a new seed.
        stop: texts that end the writing; they are not returned.
        logprobs: how many most likely tokens to return with each token, 0 for only the log probability of the token
            itself; None for no log probabilities.
        unit: the hidden unit whose value is returned with each token, named as in `Service.units`, such as "1.c.181";
            None for none.
    """

    max_tokens: int = 256
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        _whole("max_tokens", self.max_tokens, 0, 2**31)
        _number("temperature", self.temperature)
        if not 0.0 <= self.temperature < math.inf:
            raise BadRequestError(f"temperature: expected 0 or above, got {self.temperature}", param="temperature")
        if self.top_k is not None:
            _whole("top_k", self.top_k, 1, 2**31)
        if self.top_p is not None:
            _number("top_p", self.top_p)
            if not 0.0 < self.top_p <= 1.0:
                raise BadRequestError(f"top_p: expected above 0 and up to 1, got {self.top_p}", param="top_p")
        if self.seed is not None:
            _whole("seed", self.seed, -(2**63), 2**64 - 1)
        if self.logprobs is not None:
            _whole("logprobs", self.logprobs, 0, MOST_LOGPROBS)
        if len(self.stop) > MOST_STOPS or not all(isinstance(each, str) and each for each in self.stop):
            raise BadRequestError(f"stop: expected at most {MOST_STOPS} texts that are not empty", param="stop")
        if sum(map(len, self.stop)) > MOST_OF_STOPS:
            raise BadRequestError(f"stop: expected at most {MOST_OF_STOPS} characters in all", param="stop")
        if self.unit is not None and not isinstance(self.unit, str):
            raise BadRequestError("unit: expected the name of a unit, such as 1.c.181", param="unit")


def _number(name: str, given: Any) -> None:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise BadRequestError(f"{name}: expected a finite number", param=name)


def _whole(name: str, given: Any, least: int, most: int) -> None:
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise BadRequestError(f"{name}: expected a whole number from {least} to {most}", param=name)


@dataclass(slots=True)
class Piece:
    """A token of a text that is being written, and its text.

    Attributes:
        text: the text that became certain with the token; empty in the middle of a character, or if a stop text may
            have begun.
        token: the number of the token; None for text that is left at the end.
        logprob: the log probability of the token, in nats, at temperature 1; None if it was not requested.
        top_logprobs: the most likely tokens, (number, text, log probability) each, best first.
        unit: the value of the requested unit, in [-1, 1].
        attention: for translations and captions, the weights of the attention over the places of the source.
        finish: in the last piece, why it is the last, "stop" or "length"; else None.
        prompt_tokens: in the last piece, how many tokens were read first.
        tokens: in the last piece, how many tokens were written.
        step: in the last piece of a session, the step of the session.
        more: further fields for the client, by name: before a translation the `source`, its tokens; before a caption
            the `grid` of places that attention looks at; in the last piece of a session `saved`, and the likely `next`
            tokens.
    """

    text: str
    token: int | None = None
    logprob: float | None = None
    top_logprobs: list[tuple[int, str, float]] | None = None
    unit: float | None = None
    attention: list[float] | None = None
    finish: str | None = None
    prompt_tokens: int = 0
    tokens: int = 0
    step: int | None = None
    more: dict[str, Any] | None = None
