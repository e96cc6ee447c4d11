"""Sessions of a tagger of one direction: they read characters, words or steps of a recording, and tag each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ostinato.data.records.conll import Sentence
from ostinato.models.tagging.tag_stream import TagStream
from ostinato.recipes.tag.data import WordExamples
from ostinato.recipes.tag.reading import plain_sentences
from ostinato.serving.errors import BadRequestError, TooLargeError
from ostinato.serving.kinds.kind import FIRST_ROWS, Kind, one_of, text_of
from ostinato.serving.kinds.steps import RecordedSteps
from ostinato.serving.stepping.bank import Bank
from ostinato.serving.stepping.job import Job


class TagKind(Kind):
    """See `Kind`. The tag of a step is the best one at that step; with later steps another tag might be better."""

    task = "tag"
    every = True

    def __init__(self, trained: Any) -> None:
        super().__init__(trained)
        self.recorded = None if self.known.scaling is None else RecordedSteps(self.known.scaling)

    @property
    def reads(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The names of inputs in a body."""
        return ("text", "words") if self.recorded is None else ("values",)

    def bank(self) -> Bank:
        """Make rows of a `TagStream`."""
        told = json.dumps(self.known.to_dict(), sort_keys=True).encode()
        beside = None if self.recorded is None else self.recorded.online.fresh(FIRST_ROWS)
        return Bank(TagStream(self.model, rows=FIRST_ROWS), beside, hashlib.blake2b(told, digest_size=16).hexdigest())

    def read(self, body: Mapping[str, Any], most: int) -> list[Any]:
        """Read characters (each with its id), words or values."""
        if self.recorded is not None:
            return self.recorded.read(body, most)
        name = one_of(body, self.reads)
        if name is None:
            return []
        if name == "words":
            found = body["words"]
            if self.known.words is None:
                raise BadRequestError("words: the model reads characters; expected text", param="words")
            if not isinstance(found, list):
                raise BadRequestError("words: expected a list of texts", param="words")
            found = [text_of(each, "words") for each in found]
        else:
            text = text_of(body["text"])
            found = (
                list(text)
                if self.known.words is None
                else list(plain_sentences([(1, text.replace("\n", " "))])[0].words)
            )
        if len(found) > most:
            raise TooLargeError(f"{name}: expected at most {most} steps, got {len(found)}", param=name)
        if self.known.words is None:
            return list(zip(found, self.known.characters.encode("".join(found)).tolist(), strict=True))
        return [(word, 0) for word in found]

    def step(self, bank: Bank, inputs: list[Any], rows: np.ndarray) -> torch.Tensor:
        """Take a step; return the emissions, (n, N)."""
        if self.recorded is not None:
            return self.recorded.step(bank, inputs, rows)
        if self.known.words is None:
            return bank.stream(torch.tensor([id for _, id in inputs]), rows)
        sentences = tuple(Sentence((word,), (None,), 1) for word, _ in inputs)
        batch = WordExamples(sentences, self.known).batch(np.arange(len(inputs)))
        return bank.stream(batch.input, rows)

    def say(self, bank: Bank, said: torch.Tensor | None, rows: np.ndarray, jobs: Sequence[Job]) -> list[Any]:
        """Return the best tags, or numbers."""
        if self.known.number is not None:
            assert said is not None
            return self.known.number.told(said)["numbers"]
        return bank.stream.best(rows).tolist()

    def shown(self, input: Any) -> str | None:
        """Return the character or the word; None for a step of a recording."""
        return None if self.recorded is not None else input[0]

    def told(self, said: Any, job: Job) -> dict[str, Any]:
        """Return the name of the tag, or the number."""
        if self.known.number is not None:
            return {"number": said}
        return {"tag": self.known.tags[said]}
