"""Writing whole sequences with a model that predicts the next token: its protocol, greedy decoding and sampling.

Decoding is batched: one call of the model a step for all rows, and rows that have ended leave the batch. It ends after
`max_length` tokens at most, and `should_stop` is called at every step. For beam search see
`ostinato.models.writing.beam`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, Protocol, TypedDict, Unpack

import numpy as np
import torch

from ostinato.errors import ConfigError
from ostinato.models.parts.states import map_state
from ostinato.models.text.language_model import LanguageModel
from ostinato.models.text.sampling import check_numbers, check_sampling, probabilities


class StepDecoder(Protocol):
    """A model that can be decoded: the decoder of a translator or a captioner, a language model.

    The state is private to the decoder: whatever it needs to continue N rows. `ostinato.models.StepByStep` makes a
    `LanguageModel` a `StepDecoder`.
    """

    def step(self, state: Any, tokens: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Reads one token a row, (N,) int64; returns log p of the next, (N, V), which may be changed; and the state."""
        ...

    def reorder(self, state: Any, index: torch.Tensor) -> Any:
        """Selects the rows that are followed.

        Args:
            state: the state of N rows: S sentences, each with N / S hypotheses side by side.
            index: (S', K') int64, from 0 to N - 1: the rows of the new state, a line for each sentence. All rows in a
                line are of one sentence, so that what all hypotheses of a sentence share need not be copied.

        Returns:
            The state of S' K' rows.
        """
        ...

    def attention(self, state: Any) -> torch.Tensor | None:
        """Where the last step looked: weights (N, T_mem); None for a model without attention."""
        ...


@dataclass(frozen=True)
class Hypothesis:
    """A sequence that was written.

    Attributes:
        tokens: the tokens, without the end.
        log_probability: the log-probability of the tokens and the end, in nats; minus infinity if the end, or any
            further token, has probability 0.
        score: the number by which hypotheses are compared; see `beam_search`. For greedy decoding and samples the
            log-probability.
        positions: for each token the place of the memory that was most looked at; None without attention.
        is_finished: False if `should_stop` ended it, or if the model left no way to continue, or no end at
            `max_length`.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    positions: tuple[int, ...] | None = None
    is_finished: bool = True


class StepByStep:
    """A language model as a `StepDecoder`. Begin with the state None, or with a state of as many rows as sentences."""

    def __init__(self, model: LanguageModel):
        self.model = model

    def step(self, state: Any, tokens: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """See `StepDecoder.step`."""
        with self.model.reading():
            logits, state = self.model(tokens.unsqueeze(0), state)
        return log_softmax(logits[0]), state

    def reorder(self, state: Any, index: torch.Tensor) -> Any:
        """See `StepDecoder.reorder`."""
        return map_state(lambda part: part.index_select(1, index.flatten()), state)

    def attention(self, state: Any) -> None:
        """None: a language model has no attention."""


def log_softmax(logits: torch.Tensor) -> torch.Tensor:
    """log p, (N, V), in float32 at least, as sums over V need the precision. Overwrites the logits without autograd."""
    dtype = torch.promote_types(logits.dtype, torch.float32)
    # Expanded logits are not contiguous either: they have one row in memory for all.
    if dtype != logits.dtype or torch.is_grad_enabled() or not logits.is_contiguous():
        return torch.log_softmax(logits, dim=1, dtype=dtype)
    # New memory for N V numbers would cost more than the logarithms, as the system maps it page by page.
    return torch.log_softmax(logits, dim=1, out=logits)


def never() -> bool:
    """Returns False: the default of `should_stop`."""
    return False


class WritingOptions(TypedDict, total=False):
    """How sequences are written.

    Attributes:
        forbidden: tokens that are never written.
        should_stop: called before each step; True ends it with what has been written by then.
    """

    forbidden: Sequence[int]
    should_stop: Callable[[], bool]


class DrawOptions(WritingOptions, total=False):
    """How sequences are drawn, see `decode`; by default the most likely token is taken at each step."""

    temperature: float
    top_k: int | None
    top_p: float | None
    seed: int | None


class Writing(WritingOptions):
    """What every function that writes sequences needs.

    Attributes:
        begin: the token that is read first.
        end: the token that ends a sequence; None if none does, and all have `max_length` tokens.
        max_length: the tokens of each row at most, without the end; one number, or one a row. A row with so many can
            only end, whatever the probability of that.
        device: the device of the tokens; None, or left out, for the CPU.
    """

    begin: int
    end: int | None
    max_length: int | Sequence[int]
    device: NotRequired[torch.device | str | None]


class Course:
    """`Writing` checked for B rows: `max_length` of each row, also on the device as `limits` (B,); the first `tokens`.

    Raises:
        ConfigError: there is not one length for each row, or a length is negative, or the end is forbidden.
    """

    def __init__(
        self,
        rows: int,
        *,
        begin: int,
        end: int | None,
        max_length: int | Sequence[int],
        forbidden: Sequence[int] = (),
        device: torch.device | str | None = None,
        should_stop: Callable[[], bool] = never,
    ):
        if end is not None and end in forbidden:
            raise ConfigError(
                f"forbidden: expected tokens beside the end, {end}, got it too; for sequences without an end give end=None"
            )
        given = [max_length] * rows if isinstance(max_length, int | np.integer) else max_length
        self.lengths = [int(n) for n in given]
        if (count := len(self.lengths)) != rows:
            raise ConfigError(f"max_length: expected one number, or one for each of the {rows} rows, got {count}")
        if count and (least := min(self.lengths)) < 0:
            raise ConfigError(f"max_length: expected at least 0 tokens, got {least}")
        device = "cpu" if device is None else device
        self.end, self.should_stop = end, should_stop
        self.limits = torch.tensor(self.lengths, dtype=torch.int64, device=device)
        self.tokens = torch.full((rows,), begin, device=device)
        self._forbidden = torch.tensor(list(forbidden), dtype=torch.int64, device=device) if forbidden else None

    def forbid(self, log_p: torch.Tensor) -> None:
        """Sets `log_p`, (N, V), to minus infinity for forbidden tokens."""
        if self._forbidden is not None:
            log_p.index_fill_(1, self._forbidden, -math.inf)


def check_scores(best: torch.Tensor, decoder: StepDecoder, rows: Sequence[int], length: int) -> None:
    """Raises a ModelError if the largest log p of a row, (N,), is plus infinity, or NaN because one of the row is."""
    is_number = best < math.inf
    if not bool(is_number.all()):
        at = int(is_number.logical_not().nonzero()[0])
        model = decoder.model if isinstance(decoder, StepByStep) else decoder
        check_numbers(float(best[at]), model, f"token {length + 1} of row {rows[at]}")


def leave_only_end(log_p: torch.Tensor, is_full: torch.Tensor, end: int) -> None:
    """Sets `log_p`, (N, V), to minus infinity for all tokens but the end, in the rows that are full, (N,) bool."""
    full = is_full.nonzero().squeeze(1)
    if len(full):  # usually few rows are full, and a copy of all would cost more than the rest of a step
        of_end = log_p[full, end]
        log_p[full] = -math.inf
        log_p[full, end] = of_end


@torch.no_grad()
def decode(
    decoder: StepDecoder,
    state: Any,
    rows: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    **writing: Unpack[Writing],
) -> list[Hypothesis]:
    """Writes one sequence for each row, the most likely token at each step (greedy) or one that is drawn.

    Args:
        decoder: a decoder in evaluation mode.
        state: the state of `rows` rows before the first token.
        rows: B.
        temperature: 0 takes the most likely token; else see `ostinato.models.text.sampling.probabilities`.
        top_k: draw from so many most likely tokens only.
        top_p: draw from the most likely tokens that make up this share only.
        seed: the same seed draws the same; what a row draws depends on its number, not on the tokens of other rows.
        **writing: begin, end, lengths and so on, see `Writing`. A row whose end has probability 0 where it must come is
            left unfinished.

    Raises:
        ConfigError: an argument is out of its range.
        ModelError: the model gives NaN or infinity; the message names the row.
    """
    check_sampling(temperature, top_k, top_p)
    course = Course(rows, **writing)
    end, lengths, limits, tokens = course.end, course.lengths, course.limits, course.tokens
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    written: list[list[int]] = [[] for _ in range(rows)]
    looked: list[list[int]] = [[] for _ in range(rows)]
    total, finished = [0.0] * rows, [False] * rows
    alive = list(range(rows))
    length = 0
    if end is None:
        alive = [row for row in alive if lengths[row] > 0]
        finished = [n == 0 for n in lengths]
        state, tokens, limits = _kept(decoder, state, tokens, limits, alive)
    while alive and not course.should_stop():
        log_p, state = decoder.step(state, tokens)
        course.forbid(log_p)
        best, tokens = log_p.max(1)
        check_scores(best, decoder, alive, length)
        uniform = torch.rand(rows, dtype=torch.float64, generator=generator, device="cpu")[alive]
        if temperature:
            tokens = _drawn(log_p, uniform, temperature, top_k, top_p)
        if end is not None:
            tokens = torch.where(limits <= length, end, tokens)
        weights = decoder.attention(state)
        places = None if weights is None else weights.argmax(1).tolist()
        nats = log_p.gather(1, tokens.unsqueeze(1)).squeeze(1).tolist()
        length += 1
        stay = []
        for at, (row, token) in enumerate(zip(alive, tokens.tolist(), strict=True)):
            total[row] += nats[at]
            if nats[at] == -math.inf:  # nothing can follow, or the end, which must follow, cannot
                continue
            if token != end:
                written[row].append(token)
                if places is not None:
                    looked[row].append(places[at])
            finished[row] = token == end or (end is None and length == lengths[row])
            if not finished[row]:
                stay.append(at)
        if len(stay) < len(alive):
            state, tokens, limits = _kept(decoder, state, tokens, limits, stay)
            alive = [alive[at] for at in stay]
    return [
        Hypothesis(tuple(w), p, p, tuple(places) if len(places) == len(w) and w else None, done)
        for w, p, places, done in zip(written, total, looked, finished, strict=True)
    ]


def _kept(decoder: StepDecoder, state: Any, tokens: torch.Tensor, limits: torch.Tensor, rows: list[int]) -> Any:
    index = torch.tensor(rows, dtype=torch.int64, device=tokens.device)
    if not rows:
        return state, tokens[:0], limits[:0]
    return decoder.reorder(state, index.unsqueeze(1)), tokens[index], limits[index]


def _drawn(
    log_p: torch.Tensor, uniform: torch.Tensor, temperature: float, top_k: int | None, top_p: float | None
) -> torch.Tensor:
    """Draws one token a row, (N,), by the inverse of its distribution function; any token if nothing can follow."""
    p = torch.stack(
        [
            probabilities(row, temperature, top_k, top_p)
            if bool((row > -math.inf).any())
            else torch.zeros_like(row).double()
            for row in log_p.cpu()
        ]
    )
    below = p.cumsum(1)
    drawn = torch.searchsorted(below, (uniform * below[:, -1]).unsqueeze(1), right=True).squeeze(1)
    last = p.shape[1] - 1 - p.flip(1).ne(0.0).int().argmax(1)  # the last token with a probability, as sums are rounded
    return torch.minimum(drawn, last).to(log_p.device)


def copy_unknown(words: Sequence[str], hypothesis: Hypothesis, source: Sequence[str], unknown_id: int) -> Iterator[str]:
    """The words of a hypothesis; an unknown word is replaced by the source's word that was most looked at.

    Source: Jean et al. 2015, arXiv 1412.2007, section 3.3; Luong et al. 2015, arXiv 1508.04025, section 4.1.

    Args:
        words: the words of the target, by id.
        hypothesis: a hypothesis, with positions if it has unknown words.
        source: the words that the memory's places stand for.
        unknown_id: the token that stands for all unknown words.
    """
    for at, token in enumerate(hypothesis.tokens):
        place = hypothesis.positions[at] if hypothesis.positions is not None else len(source)
        yield source[place] if token == unknown_id and place < len(source) else words[token]
