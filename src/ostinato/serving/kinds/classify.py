"""Sessions of a classifier: tokens of a text, or rows of an image, in; the class so far out."""

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
from ostinato.serving.answers.pictures import images_of
from ostinato.serving.errors import BadRequestError, TooLargeError
from ostinato.serving.kinds.kind import FIRST_ROWS, Kind, one_of, text_of
from ostinato.serving.stepping.bank import Bank
from ostinato.serving.stepping.job import Job


class ClassifyKind(Kind):
    """See `Kind`. Of texts the steps are tokens; of images the rows of pixels, black 0 and white 1."""

    task = "classify"

    def __init__(self, trained: Any) -> None:
        super().__init__(trained)
        self.vocabulary = self.known.vocabulary
        self._pieces: dict[int, str] = {}
        if self.vocabulary is not None:
            self._reading = dataclasses.replace(trained.settings.reading, tokens=self.vocabulary.kind)

    @property
    def reads(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What a body may hold."""
        return ("vectors", "image") if self.vocabulary is None else ("text", "tokens")

    def bank(self) -> Bank:
        """Rows of a `ClassStream`."""
        words = None if self.vocabulary is None else self.vocabulary.to_dict()
        told = json.dumps([list(self.known.classes), words], sort_keys=True).encode()
        return Bank(ClassStream(self.model, rows=FIRST_ROWS), None, hashlib.blake2b(told, digest_size=16).hexdigest())

    def read(self, body: Mapping[str, Any], most: int) -> list[Any]:
        """Tokens, or rows of pixels."""
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
        """Height and width that pictures are scaled to: as high as wide."""
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
        """The token, and the classes."""
        return 1 + len(self.known.classes)

    def step(self, bank: Bank, inputs: list[Any], rows: np.ndarray) -> torch.Tensor:
        """Logits, (n, C)."""
        if self.vocabulary is None:
            return bank.stream(torch.from_numpy(np.stack(inputs)), rows)
        return bank.stream(torch.tensor(inputs), rows)

    def say(self, bank: Bank, said: torch.Tensor | None, rows: np.ndarray, jobs: Sequence[Job]) -> list[Any]:
        """Probabilities of the classes."""
        assert said is not None
        return said.softmax(-1).tolist()

    def shown(self, input: Any) -> str | None:
        """The text of a token."""
        if self.vocabulary is None:
            return None
        if (found := self._pieces.get(input)) is None:
            found = self._pieces[input] = self.vocabulary.decode([input])
        return found

    def told(self, said: Any, job: Job) -> dict[str, Any]:
        """As `ostinato predict` has it."""
        classes = self.known.classes
        best = max(range(len(said)), key=said.__getitem__)
        return {
            "class": classes[best],
            "probability": said[best],
            "probabilities": dict(zip(classes, said, strict=True)),
        }


def list_of_tokens(given: Any, size: int) -> list[int]:
    """Numbers of tokens.

    Raises:
        BadRequestError: they are not.
    """
    if not isinstance(given, list) or not all(type(each) is int and 0 <= each < size for each in given):
        raise BadRequestError(f"tokens: expected a list of whole numbers from 0 to {size - 1}", param="tokens")
    return list(given)
