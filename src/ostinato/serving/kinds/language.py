"""Sessions of a language model: tokens in, what comes next out; and texts that are written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from ostinato.errors import ModelError
from ostinato.models.parts.model_stream import is_table
from ostinato.models.text.text_stream import TokenStream
from ostinato.serving.errors import BadRequestError, TooLargeError
from ostinato.serving.generating import Piece
from ostinato.serving.kinds.kind import FIRST_ROWS, Kind, one_of, text_of, whole
from ostinato.serving.stepping.bank import Bank
from ostinato.serving.stepping.job import Job

MOST_TOP = 1000


class Scored(NamedTuple):
    """What is asked of the steps of a text that is scored.

    Attributes:
        tokens: of each step, the one whose log probability is told.
        top: how many of the most likely ones are told beside it.
    """

    tokens: list[int]
    top: int


class _Tokens(TokenStream):
    """Of tokens that were looked at already."""

    def _enter(self, input: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        embedding = self.model.embedding
        return torch.embedding(embedding.weight.detach(), input) if is_table(embedding) else embedding(input)


class LanguageKind(Kind):
    """See `Kind`. An answer is `next`: the most likely next tokens, best first, with their probabilities."""

    task = "lm"
    reads: ClassVar[tuple[str, ...]] = ("text", "tokens")
    begins: ClassVar[tuple[str, ...]] = ("text", "tokens")
    peeks = True

    def __init__(self, trained: Any) -> None:
        super().__init__(trained)
        self.vocabulary = self.model.vocabulary
        self._pieces: dict[int, str] = {}
        self._keeps = False

    def bank(self) -> Bank:
        """Where the states do not tell what the last step gave, that is remembered too."""
        stream = _Tokens(self.model, rows=FIRST_ROWS)
        V = len(self.vocabulary)
        self._keeps = stream.layers.outputs_of([0]) is None
        dtype = torch.empty(0, dtype=self.model.embedding.weight.dtype).numpy().dtype
        beside: dict[str, np.ndarray] = {
            "last": np.full(FIRST_ROWS, -1, dtype=np.int32)
        }  # the token that was read last, -1 for none
        if self._keeps:
            beside["said"] = np.zeros((FIRST_ROWS, V), dtype)
        words = json.dumps(self.vocabulary.to_dict(), sort_keys=True).encode()
        return Bank(stream, beside, hashlib.blake2b(words, digest_size=16).hexdigest(), soft=("last",))

    def piece(self, token: int) -> str:
        """The text of a token by itself."""
        found = self._pieces.get(token)
        if found is None:
            found = self._pieces[token] = self.vocabulary.decode([token])
        return found

    def tokens(self, text: str, most: int, param: str = "text") -> list[int]:
        """Of a text.

        Raises:
            BadRequestError, TooLargeError: it is no text, or has too many.
        """
        text = text_of(text, param)
        if len(text) > 64 * most:  # not even counted
            raise TooLargeError(f"{param}: expected at most {most} tokens", param=param)
        found: list[int] = self.vocabulary.encode(text).tolist()
        if len(found) > most:
            raise TooLargeError(f"{param}: expected at most {most} tokens, got {len(found)}", param=param)
        return found

    def read(self, body: Mapping[str, Any], most: int) -> list[Any]:
        """Of "text" or "tokens"."""
        name = one_of(body, self.reads)
        if name is None:
            return []
        if name == "text":
            return self.tokens(body["text"], most)
        given, V = body["tokens"], len(self.vocabulary)
        if not isinstance(given, list) or not all(type(each) is int and 0 <= each < V for each in given):
            raise BadRequestError(f"tokens: expected a list of whole numbers from 0 to {V - 1}", param="tokens")
        if len(given) > most:
            raise TooLargeError(f"tokens: expected at most {most}, got {len(given)}", param="tokens")
        return list(given)

    def asked(self, body: Mapping[str, Any]) -> int:
        """How many of the most likely next tokens."""
        return whole(body, "top", 10, 0, MOST_TOP)

    def numbers(self, asked: int) -> int:
        """The token, and those that may be next."""
        return 1 + min(asked, len(self.vocabulary))

    def step(self, bank: Bank, inputs: list[Any], rows: np.ndarray) -> torch.Tensor:
        """Logits, (n, V)."""
        said = bank.stream(torch.tensor(inputs), rows)
        bank.beside["last"][rows] = inputs
        if self._keeps:
            bank.beside["said"][rows] = said.numpy()
        return said

    def unit_of(self, name: str | None) -> tuple[int, str, int] | None:
        """Layer from 0, state and number of a unit, of "1.c.181".

        Raises:
            BadRequestError: there is no such unit.
        """
        if name is None:
            return None
        sizes: Mapping[str, Sequence[int]] = self.model.recurrent._layout.sizes
        match name.split("."):
            case [layer, state, unit] if layer.isdecimal() and unit.isdecimal() and state in sizes:
                if 1 <= int(layer) <= len(sizes[state]) and int(unit) < sizes[state][int(layer) - 1]:
                    return int(layer) - 1, state, int(unit)
            case _:
                pass
        shown = ", ".join(
            f"{layer + 1}.{state}.0 to {width - 1}" for state, each in sizes.items() for layer, width in enumerate(each)
        )
        raise BadRequestError(f"unit: expected one of {shown}", param="unit")

    def first_tokens(self, session_step: int) -> list[int]:
        """What is read before a text is written where nothing is given: a text begins as if after a line end."""
        return [] if session_step else self.vocabulary.encode("\n").tolist()

    def began(self, bank: Bank, job: Job) -> None:
        """Tells the decoder of a job that begins to write what it follows, so that words are joined as they must."""
        assert job.writing is not None
        before = job.inputs[-8:] or [token for token in (int(bank.beside["last"][job.row]),) if token >= 0]
        for token in before:
            job.writing.decoder.push(token)
        job.writing.decoder.flush()

    def peek(self, bank: Bank, rows: np.ndarray) -> torch.Tensor | None:
        """Logits of the last step."""
        if self._keeps:
            return torch.from_numpy(bank.beside["said"][rows])
        return bank.stream.layers.outputs_of(rows)

    def say(self, bank: Bank, said: torch.Tensor | None, rows: np.ndarray, jobs: Sequence[Job]) -> list[Any]:
        """Ids and probabilities of the most likely tokens, or the reason why there are none."""
        assert said is not None
        if any(isinstance(job.asked, Scored) for job in jobs):
            return [self._scored(each, job) for each, job in zip(said, jobs, strict=True)]
        most = min(max(job.asked for job in jobs), said.shape[1])
        if most == 0:
            return [([], [])] * len(jobs)
        # Few calls of torch: after each of them another thread may have Python's lock.
        values, ids = torch.topk(said, most, dim=1)
        total = torch.logsumexp(said.double(), 1, keepdim=True).numpy()
        with np.errstate(invalid="ignore", over="ignore"):
            p = np.exp(values.numpy().astype(np.float64) - total)
        told: list[Any] = list(zip(ids.tolist(), p.tolist(), strict=True))
        for at in np.flatnonzero(~np.isfinite(p[:, 0])).tolist():
            told[at] = broken_model(self.model)
        return told

    def _scored(self, said: torch.Tensor, job: Job) -> Any:
        if not isinstance(job.asked, Scored):  # it steps beside one that is scored
            said = said.double()
            values, ids = torch.topk(said, min(job.asked, len(said)))
            return ids.tolist(), (values - torch.logsumexp(said, 0)).exp().tolist()
        log_p = torch.log_softmax(said.double(), 0)
        values, ids = torch.topk(log_p, min(job.asked.top, len(log_p)))
        return float(log_p[job.asked.tokens[job.at - 1]]), ids.tolist(), values.tolist()

    def scored(self, tokens: list[int], said: list[Any]) -> list[Piece]:
        """The pieces of a text, with what was said of each before it came."""
        decoder = self.vocabulary.decoder()
        found = [Piece(decoder.push(token), token) for token in tokens]
        found[-1].text += decoder.flush()
        for piece, (p, ids, values) in zip(found[1:], said, strict=False):
            piece.logprob = p
            piece.top_logprobs = [(id, self.piece(id), q) for id, q in zip(ids, values, strict=True)]
        return found

    def given(self, prompt: Any, most: int) -> list[int]:
        """The tokens of a prompt, which is a text or tokens already."""
        if isinstance(prompt, str):
            return self.tokens(prompt, most, "prompt")
        return self.read({"tokens": prompt}, most)

    def answer(self, job: Job) -> dict[str, Any]:
        """See `Kind`; with the numbers of the tokens."""
        read = job.inputs if job.every else job.inputs[-1:]
        if not read:
            return {"said": [{"text": "", **self.told(each, job)} for each in job.said]}
        found = zip(read, job.said, strict=True)
        return {"said": [{"text": self.piece(each), "token": each, **self.told(said, job)} for each, said in found]}

    def told(self, said: Any, job: Job) -> dict[str, Any]:
        """`next`: the most likely tokens, best first."""
        ids, p = said
        piece, top = self.piece, job.asked
        return {"next": [{"token": id, "text": piece(id), "p": q} for id, q in zip(ids[:top], p[:top], strict=True)]}


def broken_model(model: Any) -> ModelError:
    """Of scores that are no numbers."""
    return ModelError(
        f"expected scores of the next token that are numbers, got NaN or infinity from the {type(model).__name__}; look at the "
        "weights of the run"
    )
