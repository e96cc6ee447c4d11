"""A recurrent language model: it reads a text token by token and predicts the next token."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ostinato.data.batches.streams import Chunk, steps_of
from ostinato.data.tokens.vocabulary import Vocabulary
from ostinato.errors import ConfigError
from ostinato.models.parts.dropout import Dropout, LockedDropout, WordDropout, check_rate
from ostinato.models.parts.layers import AnyCell, make_layers, output_size
from ostinato.models.parts.penalties import activation_penalty, check_weight
from ostinato.models.parts.reading import reading
from ostinato.models.parts.starting_weights import fill_ends, fill_uniform
from ostinato.models.parts.states import map_state, replace_rows
from ostinato.models.text.output_loss import output_cross_entropy
from ostinato.models.text.text_stream import Drawing, TextStream, TokenStream, begin, write
from ostinato.models.writing.scores import Score, TextState, to_score

_BLOCK = 256  # tokens that are run at once if a whole text is read; bounds the memory


class LanguageModel(nn.Module):
    """Embedding, recurrent layers, dropout, output layer: p(token t+1 | tokens up to t).

        h_t, state = recurrent(embedding(token_t), state),   logits_t = W h_t + b

    Args:
        vocabulary: what the tokens are; V = len(vocabulary).
        embedding_size: E, the size of the vector that stands for a token.
        hidden_size: H, units of each recurrent layer; or one number for each layer, first layer first.
        num_layers: the number of recurrent layers; may be left out if `hidden_size` has one number a layer.
        cell: the recurrent layer: the name of its cell, such as "lstm" or "janet"; the place of a cell of one's own,
            "module:cell"; or the cell itself.
        dropout: the rate between recurrent layers and, without `output_dropout`, before the output layer (Zaremba et al. 2014), in
            [0, 1).
        tied: the output layer uses the embedding's weights (Press & Wolf 2017); the last layer's output must then be E wide.
        options: keyword options of the recurrent layer, such as `{"zoneout": 0.1}`, or `{"depth": 10}` of an RHN.
        embedding_dropout: the rate at which whole words are dropped, in [0, 1); see `WordDropout`.
        input_dropout: the rate for the input of the first layer, in [0, 1).
        output_dropout: the rate for the input of the output layer, in [0, 1); None for that of `dropout`.
        locked_dropout: `dropout`, `input_dropout` and `output_dropout` keep one mask for all steps; see `LockedDropout`. With
            several layers, `input_dropout` must then be at least `dropout`.
        activation_regularisation: alpha, at least 0; see `activation_penalty`.
        temporal_activation_regularisation: beta, at least 0; see `activation_penalty`.
        initial_range: r > 0: all weights and biases start uniform in [-r, r]; None for torch's.
        embedding_range: r > 0: only embedding and output weights start so, and the output bias at 0; None for torch's.

    Attributes:
        penalty: what regularisation added to the last loss in training, a scalar without gradient; zero otherwise. The
            loss minus its penalty is a cross entropy.
        about: lines about the run that the model comes from, with which `repr` begins; "" if it comes from none.

    Raises:
        ConfigError: an option does not exist or has a value that the layer refuses, or sizes do not fit.
    """

    about = ""

    def __init__(
        self,
        vocabulary: Vocabulary,
        embedding_size: int = 256,
        hidden_size: int | Sequence[int] = 512,
        num_layers: int = 1,
        cell: AnyCell = "lstm",
        dropout: float = 0.0,
        tied: bool = False,
        options: Mapping[str, Any] | None = None,
        *,
        embedding_dropout: float = 0.0,
        input_dropout: float = 0.0,
        output_dropout: float | None = None,
        locked_dropout: bool = False,
        activation_regularisation: float = 0.0,
        temporal_activation_regularisation: float = 0.0,
        initial_range: float | None = None,
        embedding_range: float | None = None,
    ):
        super().__init__()
        output_dropout = dropout if output_dropout is None else output_dropout
        widths = [hidden_size] if isinstance(hidden_size, int) else list(hidden_size)
        _check_sizes(embedding_size=[embedding_size], hidden_size=widths, num_layers=[num_layers])
        for name, rate in (
            ("dropout", dropout),
            ("embedding_dropout", embedding_dropout),
            ("input_dropout", input_dropout),
            ("output_dropout", output_dropout),
        ):
            check_rate(name, rate)
        check_weight("activation_regularisation", activation_regularisation)
        check_weight("temporal_activation_regularisation", temporal_activation_regularisation)
        self.vocabulary = vocabulary
        self.alpha, self.beta = activation_regularisation, temporal_activation_regularisation
        self.embedding = nn.Embedding(len(vocabulary), embedding_size)
        between = _Between(dropout if max(num_layers, len(widths)) > 1 else 0.0, locked_dropout)
        given = between.options(options or {})
        self.recurrent = make_layers(cell, embedding_size, hidden_size, num_layers, options=options, **given)
        self.word_dropout = WordDropout(embedding_dropout)
        self.input_dropout = _dropout(between.left_of(input_dropout), locked_dropout)
        self.dropout = _dropout(output_dropout, locked_dropout)
        width = output_size(self.recurrent)
        self.output = nn.Linear(width, len(vocabulary))
        if tied:
            if width != embedding_size:
                raise ConfigError(
                    f"tied weights need embedding_size equal to the layers' width, got {embedding_size} and {width}"
                )
            # With an embedding's N(0, 1) as output weights, logits would begin with a size of sqrt(E).
            nn.init.uniform_(self.embedding.weight, -1.0 / math.sqrt(width), 1.0 / math.sqrt(width))
            self.output.weight = self.embedding.weight
        if initial_range is not None:
            fill_uniform(self.embedding, self.recurrent, self.output, initial_range)
        if embedding_range is not None:
            fill_ends(self.embedding, self.output, embedding_range)
        self.penalty = torch.zeros(())

    def extra_repr(self) -> str:
        """The run that the model comes from."""
        return self.about

    def forward(
        self, input: torch.Tensor, state: Any = None, resets: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, Any]:
        """Reads T tokens of B texts.

        Args:
            input: (T, B) int64.
            state: the recurrent state before the first step; None for a fresh one.
            resets: (T, B) bool: True where a row begins a new text at that step, with a fresh state. Best on the CPU,
                as the call would wait for another device.

        Returns:
            logits: (T, B, V), of the token after each.
            state: after the last step.
        """
        h, state = self.features(input, state, resets)
        return self.output(self.dropout(h)), state

    def features(
        self, input: torch.Tensor, state: Any = None, resets: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, Any]:
        """Outputs of the last recurrent layer, (T, B, H), before dropout and output layer; state as in `forward`."""
        x = self.word_dropout(self.embedding(input), input, self.embedding.num_embeddings)  # (T, B, E)
        x = self.input_dropout(x)
        if resets is None:
            return self.recurrent(x, state)
        return self._in_segments(x, state, resets)

    def _in_segments(self, x: torch.Tensor, state: Any, resets: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Runs the layers from reset to reset; a row that resets gets the state of a text that begins."""
        T = x.shape[0]
        cuts = steps_of(resets)
        outputs = []
        for start, end in zip([0, *(c for c in cuts if c > 0)], [*(c for c in cuts if c > 0), T], strict=True):
            if state is not None and start in cuts:
                state = replace_rows(state, self._fresh(x, state), resets[start].to(x.device, non_blocking=True))
            h, state = self.recurrent(x[start:end], state)
            outputs.append(h)
        return torch.cat(outputs), state

    def _fresh(self, x: torch.Tensor, like: Any) -> Any:
        """The state of B texts that begin."""
        if self.recurrent.options.initial_state.is_zero:
            return map_state(torch.zeros_like, like)
        # A run over no steps gives a layer's first state, which may be learned or noisy.
        return self.recurrent(x[:1], lengths=[0] * x.shape[1])[1]

    def loss(self, chunk: Chunk, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Returns the mean cross entropy of a chunk in nats a token, a scalar, and the state after it.

        In training, and only there, the `penalty` is added to it.
        """
        h, state = self.features(chunk.input, state, chunk.resets)
        dropped = self.dropout(h)
        loss = self._cross_entropy(dropped, chunk)
        self.penalty = loss.new_zeros(())
        if self.training and (self.alpha or self.beta):
            penalty = activation_penalty(dropped, h, self.alpha, self.beta)
            self.penalty = penalty.detach()
            loss = loss + penalty
        return loss, state

    def _cross_entropy(self, h: torch.Tensor, chunk: Chunk) -> torch.Tensor:
        """The mean over the steps that have data, 0 if none has; h: (T, B, H), after dropout."""
        h, target = h.flatten(0, 1), chunk.target.flatten()
        if chunk.mask is not None:
            # No product with the mask, as padding may be NaN, and 0 times NaN is NaN.
            valid = chunk.mask.flatten()
            h, target = h[valid], target[valid]
        return output_cross_entropy(self.output, h, target)

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
    ) -> TextStream:
        """Yields text piece by piece as it is written, one recurrent step a token; close the iterator to stop.

        The returned object can also be called with a token's number, for the scores of the next one; `Stream(model)` is
        only that.

        Args:
            prompt: read first. Without a prompt and a state, the text begins as after a line end.
            length: tokens to write; None for no end.
            temperature: below 1 more careful, above 1 bolder; 0 always takes the most likely token.
            top_k: draw from this many most likely tokens only.
            top_p: draw from the most likely tokens that make up this share only, in (0, 1].
            seed: the same seed writes the same text; None for a new one each time. The global generator is not touched.
            state: the state after a text that was scored, to continue it.

        Raises:
            ConfigError: an argument is out of range.
            ModelError: the model gives NaN or infinity; the message names weights that are not finite.
        """
        drawing = Drawing(temperature, top_k, top_p, seed)
        if length is not None and length < 0:
            raise ConfigError(f"length: expected at least 0 tokens, got {length}")
        ids, hidden = begin(self, prompt, state)
        return TextStream(self, write(self, ids, hidden, length, drawing))

    def open_stream(self, **arguments: Any) -> TokenStream:
        """Opens the stream of `Stream(model, ...)`: the scores of the next token after each, see `TokenStream`."""
        return TokenStream(self, **arguments)

    def score(self, text: str, state: TextState | None = None) -> Score:
        """Scores how well the model predicts `text`, in blocks, so that the memory is bounded.

        Scoring a text in parts, each with the state of the one before, adds up to scoring the whole, if the parts are
        cut between tokens.

        Args:
            text: a text of any length.
            state: the state after the text before; None at the beginning, where the first token is given, not
                predicted.
        """
        ids, hidden, characters, words = to_score(self.vocabulary, text, state)
        if not len(ids):
            return Score(0.0, 0, 0, 0, None)
        nats, position = 0.0, 1
        for logits, after in self.blocks(ids[:-1], hidden):
            hidden = after
            targets = torch.from_numpy(ids[position : position + len(logits)]).to(logits.device)
            nats += float(F.cross_entropy(logits.double(), targets, reduction="sum"))
            position += len(logits)
        return Score(nats, len(ids) - 1, characters, words, TextState(hidden, int(ids[-1])))

    def blocks(self, ids: np.ndarray, hidden: Any) -> Iterator[tuple[torch.Tensor, Any]]:
        """Reads one text, (N,) tokens, and yields (logits (n, V), state) block by block."""
        for start in range(0, len(ids), _BLOCK):
            block = torch.from_numpy(ids[start : start + _BLOCK]).to(self._device)
            with self.reading():
                logits, hidden = self(block[:, None], hidden)
            yield logits[:, 0], hidden

    @property
    def _device(self) -> torch.device:
        return self.embedding.weight.device

    def reading(self) -> AbstractContextManager[None]:
        """Evaluation mode without gradients within this context; it is left between two pieces of text."""
        return reading(self)


class _Between(NamedTuple):
    """Dropout between the layers, done by the layers themselves; if locked, also at the input of the first one."""

    rate: float
    locked: bool

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The layer's arguments for this dropout, besides the `given` ones."""
        if not self.locked:
            return {"dropout": self.rate}
        if "variational_dropout" in given:
            raise ConfigError(
                "locked_dropout and options.variational_dropout would mask the same twice; give the rates of one of them"
            )
        return {"variational_dropout": (self.rate, 0.0, 0.0)} if self.rate else {}

    def left_of(self, rate: float) -> float:
        """The rate that, with the first layer's own mask, makes `rate`: the shares that two masks keep multiply."""
        if not self.locked or not self.rate:
            return rate
        if rate < self.rate:
            raise ConfigError(
                f"input_dropout: with locked_dropout and several layers, expected at least dropout = {self.rate}, got {rate}"
            )
        return 1.0 - (1.0 - rate) / (1.0 - self.rate)


def _check_sizes(**given: Sequence[int]) -> None:
    for name, sizes in given.items():
        for size in sizes:
            if size < 1:
                raise ConfigError(f"{name}: expected at least 1, got {size}")


def _dropout(rate: float, locked: bool) -> nn.Module:
    return LockedDropout(rate) if locked else Dropout(rate)
