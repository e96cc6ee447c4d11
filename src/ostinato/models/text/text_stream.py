"""A language model one token at a time: the text that it writes, and the scores of its tokens."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ostinato.errors import ConfigError
from ostinato.models.parts.model_stream import ModelStream, embedded, is_table
from ostinato.models.text.sampling import check_numbers, check_sampling, probabilities
from ostinato.models.writing.scores import TextState


class TokenStream(ModelStream):
    """`Stream(language_model)`: logits of the next token after each, `(V,)`, or `(n, V)` for n rows.

    An input is a token's number; for n rows, `(n,)`. Embedding, layers and output layer are one call of machine code if
    the compiler takes the cell.
    """

    def __init__(self, model: Any, **arguments: Any) -> None:
        super().__init__(model, output=model.output, **arguments)

    def __call__(self, input: Any, rows: Any = None) -> torch.Tensor:
        """Reads one token; see `ModelStream`."""
        embedding = self.model.embedding
        if self.rows is not None or rows is not None or type(input) is not int or not is_table(embedding):
            return super().__call__(input, rows)
        self._follow()
        table = embedding.weight
        if not 0 <= input < len(table):
            raise ConfigError(f"tokens expected numbers from 0 to {len(table) - 1}, got {input}")
        return self.layers(table.detach()[input])

    def _enter(self, input: Any, which: torch.Tensor) -> torch.Tensor:
        return embedded(self.model.embedding, input, len(which))

    def read(self, text: str) -> torch.Tensor | None:
        """Reads a text in one row; returns the logits of the next token, `(V,)`, or None if the text has no token.

        Raises:
            ConfigError: this is a stream of several rows.
        """
        if self.rows is not None:
            raise ConfigError("read expected a stream of one row; give tokens and rows, stream(tokens, rows)")
        logits = None
        for token in self.model.vocabulary.encode(text).tolist():
            logits = self(token)
        return logits


class TextStream(Iterator[str]):
    """The text that a language model writes, piece by piece; called with a token's number, the scores of the next.

    Args:
        model: a `LanguageModel`.
        pieces: the pieces of the text.
    """

    def __init__(self, model: Any, pieces: Generator[str]) -> None:
        self._model, self._pieces, self._tokens = model, pieces, None

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stops writing."""
        self._pieces.close()

    @property
    def tokens(self) -> TokenStream:
        """A separate stream of tokens: it and the text do not affect each other."""
        if self._tokens is None:
            self._tokens = TokenStream(self._model)
        return self._tokens

    def __call__(self, token: int) -> torch.Tensor:
        """The logits `(V,)` after one more token of `tokens`."""
        return self.tokens(token)


@dataclass(frozen=True)
class Drawing:
    """How tokens are drawn; for the arguments see `LanguageModel.stream`."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        check_sampling(self.temperature, self.top_k, self.top_p)

    def generator(self) -> torch.Generator:
        """A random generator with this seed, or with a new one."""
        made = torch.Generator()
        if self.seed is None:
            made.seed()
        else:
            made.manual_seed(self.seed)
        return made


def write(model: Any, ids: Sequence[int], hidden: Any, length: int | None, drawing: Drawing) -> Generator[str]:
    """Yields text piece by piece.

    Args:
        model: a `LanguageModel`.
        ids: tokens to be read first, at least one.
        hidden: the recurrent state before them.
        length: tokens to write; None for no end.
        drawing: how tokens are drawn.
    """
    generator, decoder = drawing.generator(), model.vocabulary.decoder()
    for id in ids[-8:]:  # so that the first word is joined to what it follows
        decoder.push(id)
    decoder.flush()
    for _, after in model.blocks(np.array(ids[:-1], dtype=np.int64), hidden):
        hidden = after
    step = _stepper(model, hidden)
    last, written = ids[-1], 0
    while length is None or written < length:
        logits = step(last)
        check_numbers(float(logits.max()), model)
        p = probabilities(logits, drawing.temperature, drawing.top_k, drawing.top_p)
        last = int(torch.multinomial(p, 1, generator=generator))
        written += 1
        if piece := decoder.push(last):
            yield piece
    if piece := decoder.flush():
        yield piece


def _stepper(model: Any, hidden: Any) -> Callable[[int], torch.Tensor]:
    """A function from a token to the logits of the next, on the CPU; machine code if the model can be streamed."""
    try:
        stream = TokenStream(model)
    except ConfigError:  # for example on another device
        return _Steps(model, hidden)
    if hidden is not None:
        stream.layers.state = hidden
    return stream


class _Steps:
    """The logits of the model itself, called for one token after the other."""

    def __init__(self, model: Any, hidden: Any) -> None:
        self._model, self._hidden = model, hidden

    def __call__(self, token: int) -> torch.Tensor:
        device = self._model.embedding.weight.device
        with self._model.reading():
            logits, self._hidden = self._model(torch.full((1, 1), token, device=device), self._hidden)
        return logits.flatten().cpu()


def begin(model: Any, prompt: str, state: TextState | None) -> tuple[list[int], Any]:
    """The tokens that are read first, and the recurrent state before them."""
    ids = model.vocabulary.encode(prompt).tolist()
    if state is not None:
        return [state.last, *ids], state.hidden
    return ids or model.vocabulary.encode("\n").tolist(), None
