"""Sessions of a language model: they read tokens, answer the likely next tokens, and write texts."""

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
    """The requested scores of a text.

    Attributes:
        tokens: for each step, the token whose log probability is returned.
        top: how many of the most likely tokens are returned beside it.
    """

    tokens: list[int]
    top: int


class _Tokens(TokenStream):
    """A `TokenStream` that does not check its tokens again."""

    def _enter(self, input: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        embedding = self.model.embedding
        return torch.embedding(embedding.weight.detach(), input) if is_table(embedding) else embedding(input)


class LanguageKind(Kind):
    """See `Kind`. It answers `next`: the most likely next tokens, best first, with their probabilities."""

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
        """Make rows of a token stream, with the logits of the last step if the states do not determine them."""
        stream = _Tokens(self.model, rows=FIRST_ROWS)
        V = len(self.vocabulary)
        self._keeps = stream.layers.outputs_of([0]) is None
        dtype = torch.empty(0, dtype=self.model.embedding.weight.dtype).numpy().dtype
        beside: dict[str, np.ndarray] = {
            "last": np.full(FIRST_ROWS, -1, dtype=np.int32)
        }  # the last token that was read, -1 for none
        if self._keeps:
            beside["said"] = np.zeros((FIRST_ROWS, V), dtype)
        words = json.dumps(self.vocabulary.to_dict(), sort_keys=True).encode()
        return Bank(stream, beside, hashlib.blake2b(words, digest_size=16).hexdigest(), soft=("last",))

    def piece(self, token: int) -> str:
        """Return the text of a token by itself."""
        found = self._pieces.get(token)
        if found is None:
            found = self._pieces[token] = self.vocabulary.decode([token])
        return found

    def tokens(self, text: str, most: int, param: str = "text") -> list[int]:
        """Encode a text.

        Raises:
            BadRequestError, TooLargeError: it is no text, or has too many tokens.
        """
        text = text_of(text, param)
        if len(text) > 64 * most:  # too long to encode it for counting
            raise TooLargeError(f"{param}: expected at most {most} tokens", param=param)
        found: list[int] = self.vocabulary.encode(text).tolist()
        if len(found) > most:
            raise TooLargeError(f"{param}: expected at most {most} tokens, got {len(found)}", param=param)
        return found

    def read(self, body: Mapping[str, Any], most: int) -> list[Any]:
        """Read "text" or "tokens"."""
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
        """Read how many of the most likely next tokens are requested."""
        return whole(body, "top", 10, 0, MOST_TOP)

    def numbers(self, asked: int) -> int:
        """Return the count: the token, and the likely next tokens."""
        return 1 + min(asked, len(self.vocabulary))

    def step(self, bank: Bank, inputs: list[Any], rows: np.ndarray) -> torch.Tensor:
        """Take a step; return the logits, (n, V)."""
        said = bank.stream(torch.tensor(inputs), rows)
        bank.beside["last"][rows] = inputs
        if self._keeps:
            bank.beside["said"][rows] = said.numpy()
        return said

    def unit_of(self, name: str | None) -> tuple[int, str, int] | None:
        """Return the layer (from 0), the state and the number of a unit with a name such as "1.c.181".

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
        """Return the tokens to read before writing without a prompt: a new text begins as if after a line end."""
        return [] if session_step else self.vocabulary.encode("\n").tolist()

    def began(self, bank: Bank, job: Job) -> None:
        """Give the decoder of a job the last tokens before its text, so that words are joined correctly."""
        assert job.writing is not None
        before = job.inputs[-8:] or [token for token in (int(bank.beside["last"][job.row]),) if token >= 0]
        for token in before:
            job.writing.decoder.push(token)
        job.writing.decoder.flush()

    def peek(self, bank: Bank, rows: np.ndarray) -> torch.Tensor | None:
        """Return the logits of the last step."""
        if self._keeps:
            return torch.from_numpy(bank.beside["said"][rows])
        return bank.stream.layers.outputs_of(rows)

    def say(self, bank: Bank, said: torch.Tensor | None, rows: np.ndarray, jobs: Sequence[Job]) -> list[Any]:
        """Return the ids and probabilities of the most likely tokens, or an error if there are none."""
        assert said is not None
        if any(isinstance(job.asked, Scored) for job in jobs):
            return [self._scored(each, job) for each, job in zip(said, jobs, strict=True)]
        most = min(max(job.asked for job in jobs), said.shape[1])
        if most == 0:
            return [([], [])] * len(jobs)
        # Few calls of torch, because after each another thread may take the GIL.
        values, ids = torch.topk(said, most, dim=1)
        total = torch.logsumexp(said.double(), 1, keepdim=True).numpy()
        with np.errstate(invalid="ignore", over="ignore"):
            p = np.exp(values.numpy().astype(np.float64) - total)
        told: list[Any] = list(zip(ids.tolist(), p.tolist(), strict=True))
        for at in np.flatnonzero(~np.isfinite(p[:, 0])).tolist():
            told[at] = broken_model(self.model)
        return told

    def _scored(self, said: torch.Tensor, job: Job) -> Any:
        if not isinstance(job.asked, Scored):  # another job of the batch is scored
            said = said.double()
            values, ids = torch.topk(said, min(job.asked, len(said)))
            return ids.tolist(), (values - torch.logsumexp(said, 0)).exp().tolist()
        log_p = torch.log_softmax(said.double(), 0)
        values, ids = torch.topk(log_p, min(job.asked.top, len(log_p)))
        return float(log_p[job.asked.tokens[job.at - 1]]), ids.tolist(), values.tolist()

    def scored(self, tokens: list[int], said: list[Any]) -> list[Piece]:
        """Return the pieces of a text, each with the scores of the step before it."""
        decoder = self.vocabulary.decoder()
        found = [Piece(decoder.push(token), token) for token in tokens]
        found[-1].text += decoder.flush()
        for piece, (p, ids, values) in zip(found[1:], said, strict=False):
            piece.logprob = p
            piece.top_logprobs = [(id, self.piece(id), q) for id, q in zip(ids, values, strict=True)]
        return found

    def given(self, prompt: Any, most: int) -> list[int]:
        """Return the tokens of a prompt, which is a text or a list of tokens."""
        if isinstance(prompt, str):
            return self.tokens(prompt, most, "prompt")
        return self.read({"tokens": prompt}, most)

    def answer(self, job: Job) -> dict[str, Any]:
        """See `Kind`; the answer also has the numbers of the tokens."""
        read = job.inputs if job.every else job.inputs[-1:]
        if not read:
            return {"said": [{"text": "", **self.told(each, job)} for each in job.said]}
        found = zip(read, job.said, strict=True)
        return {"said": [{"text": self.piece(each), "token": each, **self.told(said, job)} for each, said in found]}

    def told(self, said: Any, job: Job) -> dict[str, Any]:
        """Return `next`: the most likely tokens, best first."""
        ids, p = said
        piece, top = self.piece, job.asked
        return {"next": [{"token": id, "text": piece(id), "p": q} for id, q in zip(ids[:top], p[:top], strict=True)]}


def broken_model(model: Any) -> ModelError:
    """Make the error for scores that are NaN or infinite."""
    return ModelError(
        f"expected scores of the next token that are numbers, got NaN or infinity from the {type(model).__name__}; look at the "
        "weights of the run"
    )
