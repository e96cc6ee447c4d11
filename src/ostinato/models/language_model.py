"""A recurrent language model: it reads a text token by token and says what comes next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ostinato.data.streams import Chunk
from ostinato.data.vocabulary import Vocabulary
from ostinato.errors import ConfigError
from ostinato.models.sampling import check_sampling, probabilities
from ostinato.nn import GRU, LSTM, RNN

Cell: TypeAlias = Literal["lstm", "gru", "rnn"]

_LAYERS: dict[str, type[nn.Module]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
# Arguments of the layers that the model sets itself, or that make no sense for text read from left to right.
_NOT_OPTIONS = {"input_size", "hidden_size", "num_layers", "batch_first", "dropout", "bidirectional", "device", "dtype"}
_BLOCK = 256  # tokens run at once where a whole text is read; bounds the memory


@dataclass(frozen=True)
class TextState:
    """Where a model stands in a text: give it back to go on from there.

    Args:
        hidden: the recurrent state after all tokens but the last.
        last: the last token, which the model has not read yet.
    """

    hidden: Any
    last: int


@dataclass(frozen=True)
class Score:
    """How well a model predicts a text.

    Args:
        nats: negative log likelihood of the tokens predicted.
        tokens: how many were predicted: all, but the first of a text without a state before it.
        characters: of the text, less those of a first token that was not predicted.
        words: separated by white space.
        state: where the model stands after the text; None only after an empty one.
    """

    nats: float
    tokens: int
    characters: int
    words: int
    state: TextState | None

    @property
    def nats_per_token(self) -> float:
        """The mean; NaN where no token was predicted."""
        return self.nats / self.tokens if self.tokens else math.nan

    @property
    def bits_per_character(self) -> float:
        """Comparable between models with different tokens; NaN for no characters."""
        return self.nats / math.log(2.0) / self.characters if self.characters else math.nan

    @property
    def perplexity_per_word(self) -> float:
        """exp(nats / words); NaN for no words, infinite where it cannot be held."""
        try:
            return math.exp(self.nats / self.words) if self.words else math.nan
        except OverflowError:
            return math.inf


class LanguageModel(nn.Module):
    """Embedding, recurrent layers, dropout, output layer: p(token t+1 | tokens up to t).

        h_t, state = recurrent(embedding(token_t), state),   logits_t = W h_t + b

    Args:
        vocabulary: what the tokens are; V = len(vocabulary).
        embedding_size: E, of the vector that stands for a token.
        hidden_size: H, units of each recurrent layer.
        num_layers: recurrent layers.
        cell: "lstm", "gru" or "rnn".
        dropout: between recurrent layers and before the output layer (Zaremba et al. 2015), in [0, 1).
        tied: the output layer uses the embedding's weights (Press & Wolf 2017); the layers' outputs must then be E wide.
        options: keyword options of the recurrent layer, such as `{"zoneout": 0.1}`.

    Raises:
        ConfigError: an option that the layer does not have or whose value it refuses, or sizes that do not fit.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        embedding_size: int = 256,
        hidden_size: int = 512,
        num_layers: int = 1,
        cell: Cell = "lstm",
        dropout: float = 0.0,
        tied: bool = False,
        options: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        for name, size in {
            "embedding_size": embedding_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
        }.items():
            if size < 1:
                raise ConfigError(f"{name}: expected at least 1, got {size}")
        if not 0.0 <= dropout < 1.0:
            raise ConfigError(f"dropout: expected a rate from 0 to below 1, got {dropout}")
        if cell not in _LAYERS:
            raise ConfigError(f"cell: expected one of {', '.join(_LAYERS)}, got {cell}")
        self.vocabulary = vocabulary
        self.embedding = nn.Embedding(len(vocabulary), embedding_size)
        between = dropout if num_layers > 1 else 0.0
        self.recurrent = _make_layer(cell, embedding_size, hidden_size, num_layers, between, options or {})
        self.dropout = nn.Dropout(dropout)
        width = getattr(self.recurrent, "proj_size", 0) or hidden_size
        self.output = nn.Linear(width, len(vocabulary))
        if tied:
            if width != embedding_size:
                raise ConfigError(
                    f"tied weights need embedding_size equal to the layers' width, got {embedding_size} and {width}"
                )
            # An embedding's N(0, 1) as output weights would begin with logits of size sqrt(E).
            nn.init.uniform_(self.embedding.weight, -1.0 / math.sqrt(width), 1.0 / math.sqrt(width))
            self.output.weight = self.embedding.weight

    def forward(
        self, input: torch.Tensor, state: Any = None, resets: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, Any]:
        """Reads T tokens of B texts.

        Args:
            input: (T, B) int64.
            state: the recurrent state before the first step; None for a fresh one.
            resets: (T, B) bool: True where a row begins a new text at that step, with a fresh state.

        Returns:
            logits: (T, B, V), of the token after each.
            state: after the last step.
        """
        x = self.embedding(input)  # (T, B, E)
        if resets is None:
            h, state = self.recurrent(x, state)  # (T, B, H)
        else:
            h, state = self._in_segments(x, state, resets)
        return self.output(self.dropout(h)), state

    def _in_segments(self, x: torch.Tensor, state: Any, resets: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Runs the layers from reset to reset; a row that resets goes on with the state of one that begins."""
        T = x.shape[0]
        cuts = resets.any(dim=1).nonzero().flatten().tolist()
        outputs = []
        for start, end in zip([0, *(c for c in cuts if c > 0)], [*(c for c in cuts if c > 0), T], strict=True):
            if state is not None and start in cuts:
                state = _replace(state, self._fresh(x, state), resets[start])
            h, state = self.recurrent(x[start:end], state)
            outputs.append(h)
        return torch.cat(outputs), state

    def _fresh(self, x: torch.Tensor, like: Any) -> Any:
        """The state of B texts that begin."""
        options = getattr(self.recurrent, "options", None)
        if options is None or options.initial_state.is_zero:
            return _zeros(like)
        # After no steps at all, a layer is where it begins, learned or noisy as that may be.
        return self.recurrent(x[:1], lengths=[0] * x.shape[1])[1]

    def loss(self, chunk: Chunk, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Returns the mean cross entropy of a chunk in nats a token, a scalar, and the state after it."""
        logits, state = self(chunk.input, state, chunk.resets)
        if logits.dtype in (torch.bfloat16, torch.float16):  # a sum over V needs the precision
            logits = logits.float()
        return F.cross_entropy(logits.flatten(0, 1), chunk.target.flatten()), state

    # --- text in, text out ---

    def generate(
        self,
        prompt: str = "",
        length: int = 500,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        state: TextState | None = None,
    ) -> str:
        """Returns `length` tokens of text that follow `prompt` (which is not repeated); for the arguments see `stream`."""
        pieces = self.stream(prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, state=state)
        return "".join(pieces)

    def stream(
        self,
        prompt: str = "",
        length: int | None = 500,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        state: TextState | None = None,
    ) -> Iterator[str]:
        """Yields text piece by piece as it is written, one recurrent step a token; close the iterator to stop.

        Args:
            prompt: read first. Without a prompt and a state, the text begins as if after a line end.
            length: tokens to write; None for no end.
            temperature: below 1 more careful, above 1 wilder; 0 always takes the most likely token.
            top_k: draw from this many most likely tokens only.
            top_p: draw from the most likely tokens that make up this share only, in (0, 1].
            seed: the same seed writes the same text; None for a new one each time. The global generator is not touched.
            state: go on after a text that was scored.

        Raises:
            ConfigError: an argument is out of range.
        """
        check_sampling(temperature, top_k, top_p)
        if length is not None and length < 0:
            raise ConfigError(f"length: expected at least 0 tokens, got {length}")
        generator = torch.Generator()
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        ids = self.vocabulary.encode(prompt).tolist()
        hidden = None
        if state is not None:
            hidden, ids = state.hidden, [state.last, *ids]
        elif not ids:
            ids = self.vocabulary.encode("\n").tolist()
        return self._stream(ids, hidden, length, temperature, top_k, top_p, generator)

    def _stream(
        self,
        ids: list[int],
        hidden: Any,
        length: int | None,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        generator: torch.Generator,
    ) -> Iterator[str]:
        decoder = self.vocabulary.decoder()
        for id in ids[-8:]:  # so that the first word knows what it follows
            decoder.push(id)
        decoder.flush()
        for _, after in self._blocks(np.array(ids[:-1], dtype=np.int64), hidden):
            hidden = after
        last, written = ids[-1], 0
        while length is None or written < length:
            with self._reading():
                logits, hidden = self(torch.full((1, 1), last, device=self._device), hidden)
            p = probabilities(logits.flatten().cpu(), temperature, top_k, top_p)
            last = int(torch.multinomial(p, 1, generator=generator))
            written += 1
            if piece := decoder.push(last):
                yield piece
        if piece := decoder.flush():
            yield piece

    def score(self, text: str, state: TextState | None = None) -> Score:
        """How well the model predicts `text`; in blocks, so that memory does not grow with it.

        Scoring a text in parts, each with the state of the one before, adds up to scoring the whole, where the parts are cut
        between tokens.

        Args:
            text: any length.
            state: of the text before; None if this is the beginning, whose first token is then given, not predicted.
        """
        ids = self.vocabulary.encode(text).astype(np.int64)
        characters, words = len(text), len(text.split())
        hidden = None
        if state is not None:
            hidden, ids = state.hidden, np.concatenate([[state.last], ids])
        elif len(ids):
            characters -= len(self.vocabulary.decode(ids[:1]))
        if not len(ids):
            return Score(0.0, 0, 0, 0, None)
        nats, position = 0.0, 1
        for logits, after in self._blocks(ids[:-1], hidden):
            hidden = after
            targets = torch.from_numpy(ids[position : position + len(logits)]).to(logits.device)
            nats += float(F.cross_entropy(logits.double(), targets, reduction="sum"))
            position += len(logits)
        return Score(nats, len(ids) - 1, characters, words, TextState(hidden, int(ids[-1])))

    def _blocks(self, ids: np.ndarray, hidden: Any) -> Iterator[tuple[torch.Tensor, Any]]:
        """Reads one text, (N,) tokens, and yields (logits (n, V), state) block by block."""
        for start in range(0, len(ids), _BLOCK):
            block = torch.from_numpy(ids[start : start + _BLOCK]).to(self._device)
            with self._reading():
                logits, hidden = self(block[:, None], hidden)
            yield logits[:, 0], hidden

    @property
    def _device(self) -> torch.device:
        return self.embedding.weight.device

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Evaluation mode without gradients; left between two pieces, so that the caller may train meanwhile."""
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.train(was_training)


def _make_layer(
    cell: str, input_size: int, hidden_size: int, num_layers: int, dropout: float, options: Mapping[str, Any]
) -> nn.Module:
    layer = _LAYERS[cell]
    if taken := sorted(set(options) & _NOT_OPTIONS):
        raise ConfigError(f"options: {', '.join(taken)} cannot be given here; the model sets it itself")
    try:
        return layer(input_size, hidden_size, num_layers, dropout=dropout, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"options of {layer.__name__}: {error}") from error


def _zeros(state: Any) -> Any:
    if isinstance(state, torch.Tensor):
        return torch.zeros_like(state)
    return type(state)(_zeros(part) for part in state)


def _replace(state: Any, fresh: Any, begins: torch.Tensor) -> Any:
    """`fresh` for the rows, (B,) bool, that begin a text, `state` for the others; the states have the batch second."""
    if isinstance(state, torch.Tensor):
        return torch.where(begins[:, None], fresh.to(state.dtype), state)
    return type(state)(_replace(old, new, begins) for old, new in zip(state, fresh, strict=True))
