"""What the sessions of a kind of task read and say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from ostinato.serving.errors import BadRequestError, TooLargeError
from ostinato.serving.stepping.bank import Bank

if TYPE_CHECKING:
    from ostinato.serving.stepping.job import Job

FIRST_ROWS = 64
MOST_TOLD = 40_000  # numbers of an answer: some 50 ms


class Kind:
    """Of a model that is streamed.

    `read` and `answer` are called on the event loop, `step`, `say` and `peek` in the stepping thread.

    Args:
        trained: the model and what is known about its data.

    Attributes:
        task: its name.
        reads: the names of what a body of steps may hold, one of them.
        begins: the names of what the body of a new session may hold.
        peeks: whether something can be said without a step.
        peeks_first: whether that is so before the first step too.
        every: whether something is said after every step where the body does not say.
    """

    task: ClassVar[str] = ""
    reads: ClassVar[tuple[str, ...]] = ()
    begins: ClassVar[tuple[str, ...]] = ()
    peeks: ClassVar[bool] = False
    peeks_first: ClassVar[bool] = False
    every: ClassVar[bool] = False

    def __init__(self, trained: Any) -> None:
        self.trained, self.model, self.known = trained, trained.model, trained.known

    def bank(self) -> Bank:
        """Rows for sessions.

        Raises:
            ConfigError: the model cannot be streamed, with the reason.
        """
        raise NotImplementedError

    def read(self, body: Mapping[str, Any], most: int) -> list[Any]:
        """The inputs of steps, checked; none where nothing is read.

        Args:
            body: of the request.
            most: inputs it may hold.

        Raises:
            BadRequestError, TooLargeError: it is not that.
        """
        raise NotImplementedError

    def asked(self, body: Mapping[str, Any]) -> Any:
        """What is to be said, checked."""
        return True

    def numbers(self, asked: Any) -> int:
        """How many are told after a step, about."""
        return 1

    def check_told(self, steps: int, asked: Any) -> None:
        """Bounds what an answer tells: to make it and to write it as JSON nobody else is answered.

        Raises:
            TooLargeError: so many steps have too much.
        """
        each = self.numbers(asked)
        if steps * each > MOST_TOLD:
            raise TooLargeError(
                f"all: expected at most {MOST_TOLD // each} steps where so much is told after each, got {steps}; ask for less, "
                "or read in parts",
                param="all",
            )

    def step(self, bank: Bank, inputs: list[Any], rows: np.ndarray) -> torch.Tensor:
        """One step of some rows."""
        raise NotImplementedError

    def say(self, bank: Bank, said: torch.Tensor | None, rows: np.ndarray, jobs: Sequence[Job]) -> list[Any]:
        """What each of n rows says now.

        Args:
            bank: of the rows.
            said: (n, ...), what the step gave them, or `peek`.
            rows: n of them.
            jobs: n of them, of which `at` counts this step already.
        """
        raise NotImplementedError

    def peek(self, bank: Bank, rows: np.ndarray) -> torch.Tensor | None:
        """What the last step gave."""
        return None

    def begin(self, bank: Bank, row: int, opening: Any) -> None:
        """Lets a row begin with what `opening` made of the body of a new session; in the stepping thread."""

    def opening(self, body: Mapping[str, Any], most: int) -> Any:
        """What a session begins with beside what is read, checked; None for nothing. On the event loop."""
        return None

    def steps_of(self, opening: Any) -> int:
        """How many inputs an opening has."""
        return 0

    def piece(self, token: int) -> str:
        """Of a kind that writes, the text of a token by itself."""
        raise NotImplementedError

    def began(self, bank: Bank, job: Job) -> None:
        """Of a kind that writes, called in the stepping thread before the first token of a job is drawn."""

    def answer(self, job: Job) -> dict[str, Any]:
        """What a client is told: `said`, one thing a step that something was said of, with the piece of text that was read."""
        read = job.inputs if job.every else job.inputs[-1:]
        texts = [self.shown(each) for each in read] or [""]
        return {"said": [{"text": text, **self.told(said, job)} for text, said in zip(texts, job.said, strict=True)]}

    def shown(self, input: Any) -> str | None:
        """The text of an input; None where it has none."""
        return None

    def told(self, said: Any, job: Job) -> dict[str, Any]:
        """One thing that was said, as JSON has it."""
        raise NotImplementedError


def one_of(body: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Which of the names a body has.

    Raises:
        BadRequestError: it has several.
    """
    found = [name for name in names if body.get(name) is not None]
    if len(found) > 1:
        raise BadRequestError(f"expected one of {', '.join(names)}, got {' and '.join(found)}", param=found[1])
    return found[0] if found else None


_EVERY = ("text", "tokens", "words", "values", "vectors", "image", "past")  # what some kind reads


def refuse_others(body: Mapping[str, Any], task: str, names: Sequence[str]) -> None:
    """Raises a BadRequestError for what models of other tasks read."""
    for name in _EVERY:
        if body.get(name) is not None and name not in names:
            raise BadRequestError(
                f"{name}: expected one of {', '.join(names)}, as this is a model of {task}", param=name
            )


def text_of(value: Any, param: str = "text") -> str:
    """A text that can be written as UTF-8.

    Raises:
        BadRequestError: it is not.
    """
    if not isinstance(value, str):
        raise BadRequestError(f"{param}: expected a text", param=param)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRequestError(f"{param}: expected Unicode text, got half of a surrogate pair", param=param) from None
    return value


def whole(body: Mapping[str, Any], name: str, default: int | None, least: int, most: int) -> Any:
    """A whole number of a body.

    Raises:
        BadRequestError: it is none, or out of range.
    """
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadRequestError(f"{name}: expected a whole number from {least} to {most}", param=name)
    return value
