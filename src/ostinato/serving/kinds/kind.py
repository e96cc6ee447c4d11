"""The base class of the kinds of task: what their sessions read and answer."""

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
MOST_TOLD = 40_000  # numbers in an answer, which take some 50 ms


class Kind:
    """A kind of task, for a model that is streamed.

    `read` and `answer` are called on the event loop, `step`, `say` and `peek` in the stepping thread.

    Args:
        trained: the model and what is known about its data.

    Attributes:
        task: the name of the task.
        reads: the names of inputs in a body of steps, which may have one of them.
        begins: the names of inputs in the body of a new session.
        peeks: whether the model can answer without a step.
        peeks_first: whether it can do so before the first step too.
        every: whether the model answers after every step by default.
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
        """Make the rows for sessions.

        Raises:
            ConfigError: the model cannot be streamed; the message says why.
        """
        raise NotImplementedError

    def read(self, body: Mapping[str, Any], most: int) -> list[Any]:
        """Read and check the inputs of steps; empty if there are none.

        Args:
            body: the body of the request.
            most: how many inputs it may hold.

        Raises:
            BadRequestError, TooLargeError: the inputs are wrong, or too many.
        """
        raise NotImplementedError

    def asked(self, body: Mapping[str, Any]) -> Any:
        """Read and check which answer is requested."""
        return True

    def numbers(self, asked: Any) -> int:
        """Return about how many numbers an answer has for each step."""
        return 1

    def check_told(self, steps: int, asked: Any) -> None:
        """Check the size of an answer, because no other request is answered while it is made and written as JSON.

        Raises:
            TooLargeError: the answers to so many steps are too large.
        """
        each = self.numbers(asked)
        if steps * each > MOST_TOLD:
            raise TooLargeError(
                f"all: expected at most {MOST_TOLD // each} steps where so much is told after each, got {steps}; ask for less, "
                "or read in parts",
                param="all",
            )

    def step(self, bank: Bank, inputs: list[Any], rows: np.ndarray) -> torch.Tensor:
        """Take one step of some rows; return the outputs of the model."""
        raise NotImplementedError

    def say(self, bank: Bank, said: torch.Tensor | None, rows: np.ndarray, jobs: Sequence[Job]) -> list[Any]:
        """Return the answer of each of n rows after a step.

        Args:
            bank: the bank of the rows.
            said: (n, ...), the outputs of `step` or `peek`.
            rows: (n,) the rows.
            jobs: the n jobs, whose `at` already counts this step.
        """
        raise NotImplementedError

    def peek(self, bank: Bank, rows: np.ndarray) -> torch.Tensor | None:
        """Return the outputs of the last step."""
        return None

    def begin(self, bank: Bank, row: int, opening: Any) -> None:
        """Begin a row with the result of `opening`; called in the stepping thread."""

    def opening(self, body: Mapping[str, Any], most: int) -> Any:
        """Read and check what a session begins with before its inputs; None for nothing. Called on the event loop."""
        return None

    def steps_of(self, opening: Any) -> int:
        """Return how many inputs an opening has."""
        return 0

    def piece(self, token: int) -> str:
        """Return the text of a token by itself; for kinds that write."""
        raise NotImplementedError

    def began(self, bank: Bank, job: Job) -> None:
        """Prepare a job before its first token is drawn; for kinds that write, called in the stepping thread."""

    def answer(self, job: Job) -> dict[str, Any]:
        """Return the answer for the client: `said`, with an item for each answered step, and the text that it read."""
        read = job.inputs if job.every else job.inputs[-1:]
        texts = [self.shown(each) for each in read] or [""]
        return {"said": [{"text": text, **self.told(said, job)} for text, said in zip(texts, job.said, strict=True)]}

    def shown(self, input: Any) -> str | None:
        """Return the text of an input; None if it has none."""
        return None

    def told(self, said: Any, job: Job) -> dict[str, Any]:
        """Return one answer of `say` in JSON's types."""
        raise NotImplementedError


def one_of(body: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return which of the names a body has; None for none.

    Raises:
        BadRequestError: the body has several of them.
    """
    found = [name for name in names if body.get(name) is not None]
    if len(found) > 1:
        raise BadRequestError(f"expected one of {', '.join(names)}, got {' and '.join(found)}", param=found[1])
    return found[0] if found else None


_EVERY = ("text", "tokens", "words", "values", "vectors", "image", "past")  # the inputs of all kinds


def refuse_others(body: Mapping[str, Any], task: str, names: Sequence[str]) -> None:
    """Raise a BadRequestError if a body has inputs for other tasks."""
    for name in _EVERY:
        if body.get(name) is not None and name not in names:
            raise BadRequestError(
                f"{name}: expected one of {', '.join(names)}, as this is a model of {task}", param=name
            )


def text_of(value: Any, param: str = "text") -> str:
    """Check that a value is a text that can be written as UTF-8, and return it.

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
    """Return a whole number of a body, or the default.

    Raises:
        BadRequestError: the value is no whole number, or out of range.
    """
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadRequestError(f"{name}: expected a whole number from {least} to {most}", param=name)
    return value
