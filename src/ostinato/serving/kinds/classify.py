"""Sessions of a classifier: they read tokens, rows of an image or steps of a recording, and answer the class."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ostinato.models.classifying.class_stream import ClassStream
from ostinato.recipes.classify.data import prepared
from ostinato.recipes.classify.running import Sureness
from ostinato.recipes.classify.saying import said_of
from ostinato.recipes.recordings.live import running_probabilities
from ostinato.serving.answers.pictures import images_of
from ostinato.serving.errors import BadRequestError, TooLargeError
from ostinato.serving.kinds.kind import FIRST_ROWS, Kind, one_of, text_of
from ostinato.serving.kinds.steps import RecordedSteps
from ostinato.serving.stepping.bank import Bank
from ostinato.serving.stepping.job import Job


class ClassifyKind(Kind):
    """See `Kind`. The steps of a text are its tokens; those of an image its rows of pixels, black 0 and white 1."""

    task = "classify"

    def __init__(self, trained: Any) -> None:
        super().__init__(trained)
        self.vocabulary = self.known.vocabulary
        self.recorded = None if self.known.scaling is None else RecordedSteps(self.known.scaling)
        self._sureness = Sureness()
        self._pieces: dict[int, str] = {}
        if self.vocabulary is not None:
            self._reading = dataclasses.replace(trained.settings.reading, tokens=self.vocabulary.kind)

    @property
    def reads(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The names of inputs in a body."""
        if self.recorded is not None:
            return ("values",)
        return ("vectors", "image") if self.vocabulary is None else ("text", "tokens")

    def bank(self) -> Bank:
        """Make rows of a `ClassStream`."""
        words = None if self.vocabulary is None else self.vocabulary.to_dict()
        beside: dict[str, np.ndarray] | None = None
        known: list[Any] = [list(self.known.classes), words]
        if self.recorded is not None:
            known.append(self.known.scaling.to_dict())
            counts = {"sure": self._sureness.fresh(FIRST_ROWS), "steps": np.zeros(FIRST_ROWS, dtype=np.int64)}
            beside = {**self.recorded.online.fresh(FIRST_ROWS), **counts}
        told = json.dumps(known, sort_keys=True).encode()
        return Bank(ClassStream(self.model, rows=FIRST_ROWS), beside, hashlib.blake2b(told, digest_size=16).hexdigest())

    def read(self, body: Mapping[str, Any], most: int) -> list[Any]:
        """Read tokens, rows of pixels, or values."""
        if self.recorded is not None:
            return self.recorded.read(body, most)
        name = one_of(body, self.reads)
        if name is None:
            return []
        if name == "text":
            text = text_of(body["text"])
            found = [] if len(text) > 64 * most else self._tokens(text)
            count = len(text) if len(text) > 64 * most else len(found)
        elif name == "tokens":
            found = list_of_tokens(body["tokens"], len(self.vocabulary))
            count = len(found)
        elif name == "image":
            found = list(self._scaled(images_of([body["image"]], self.image_size).rows()[0]))
            count = len(found)
        else:
            found = self._vectors(body["vectors"])
            count = len(found)
        if count > most:
            raise TooLargeError(f"{name}: expected at most {most} steps, got {count}", param=name)
        return found

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that pictures are scaled to; they are equal."""
        return self.known.row, self.known.row

    def _tokens(self, text: str) -> list[int]:
        return self.vocabulary.encode(prepared(text, self._reading, self.known.breaks)).tolist()

    def _vectors(self, given: Any) -> list[np.ndarray]:
        width = self.known.row
        wrong = BadRequestError(f"vectors: expected lists of {width} finite numbers each", param="vectors")
        if not isinstance(given, list):
            raise wrong
        if not given:
            return []
        try:
            found = np.asarray(given, dtype=np.float32)
        except (TypeError, ValueError, OverflowError):
            raise wrong from None
        if found.shape != (len(given), width) or not np.isfinite(found).all():
            raise wrong
        return list(self._scaled(found))

    def _scaled(self, rows: np.ndarray) -> np.ndarray:
        return (rows - np.float32(self.known.mean)) / np.float32(self.known.deviation)

    def numbers(self, asked: Any) -> int:
        """Return the count: the token, and the classes."""
        return 1 + len(self.known.classes)

    def step(self, bank: Bank, inputs: list[Any], rows: np.ndarray) -> torch.Tensor:
        """Take a step; return the logits, (n, C)."""
        if self.recorded is not None:
            said = self.recorded.step(bank, inputs, rows)
            bank.beside["steps"][rows] += 1
            if self.known.target == "class":
                steps, sure = bank.beside["steps"][rows].tolist(), bank.beside["sure"]
                every = running_probabilities(self.model, self.known, said, steps).tolist()
                for row, p, count in zip(rows.tolist(), every, steps, strict=True):
                    self._sureness.go_on(sure, row, p, count)
            return said
        if self.vocabulary is None:
            return bank.stream(torch.from_numpy(np.stack(inputs)), rows)
        return bank.stream(torch.tensor(inputs), rows)

    def say(self, bank: Bank, said: torch.Tensor | None, rows: np.ndarray, jobs: Sequence[Job]) -> list[Any]:
        """Return the probabilities of the classes, or the answers for other targets."""
        assert said is not None
        if self.recorded is None and self.known.target == "class":
            return said.softmax(-1).tolist()
        answers = said_of(self.known, self.model, said)
        if self.recorded is None or self.known.target != "class":
            return answers
        since = bank.beside["sure"][rows, 1].tolist()
        return [
            {**answer, "sure_after": None if step < 0 else step} for answer, step in zip(answers, since, strict=True)
        ]

    def shown(self, input: Any) -> str | None:
        """Return the text of a token; None if inputs are not tokens."""
        if self.vocabulary is None:
            return None
        if (found := self._pieces.get(input)) is None:
            found = self._pieces[input] = self.vocabulary.decode([input])
        return found

    def told(self, said: Any, job: Job) -> dict[str, Any]:
        """Return an answer in the form of `ostinato predict`."""
        if isinstance(said, dict):
            return said
        classes = self.known.classes
        best = max(range(len(said)), key=said.__getitem__)
        return {
            "class": classes[best],
            "probability": said[best],
            "probabilities": dict(zip(classes, said, strict=True)),
        }


def list_of_tokens(given: Any, size: int) -> list[int]:
    """Check a list of numbers of tokens, and return it.

    Raises:
        BadRequestError: it is not such a list.
    """
    if not isinstance(given, list) or not all(type(each) is int and 0 <= each < size for each in given):
        raise BadRequestError(f"tokens: expected a list of whole numbers from 0 to {size - 1}", param="tokens")
    return list(given)
