"""From a model that says what comes next to whole sequences: the protocol that it must keep, greedy decoding and sampling.

Decoding is batched: one call of the model a step for all rows, and rows that have ended leave the batch. It is bounded by
`max_length`, and `should_stop` is asked at every step. For beam search see `ostinato.models.writing.beam`.
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
    """What can be decoded: a decoder of a translator or a captioner, a language model.

    The state is the decoder's own business: whatever it needs to go on, for N rows. `ostinato.models.StepByStep` is one for a
    `LanguageModel`.
    """

    def step(self, state: Any, tokens: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Reads one token a row, (N,) int64; returns log p of the next, (N, V), which may be written to, and the state after it."""
        ...

    def reorder(self, state: Any, index: torch.Tensor) -> Any:
        """The rows that go on.

        Args:
            state: of N rows: S sentences, each with N / S hypotheses beside each other.
            index: (S', K') int64, from 0 to N - 1: rows of the new state, a line of it for each sentence. All rows in a line are of
                one sentence, so that what is the same for all hypotheses of a sentence need not be copied.

        Returns:
            The state of S' K' rows.
        """
        ...

    def attention(self, state: Any) -> torch.Tensor | None:
        """Where the last step looked: weights (N, T_mem); None for a model that looks nowhere."""
        ...


@dataclass(frozen=True)
class Hypothesis:
    """A sequence that was written.

    Attributes:
        tokens: without the one that ends it.
        log_probability: of it and its end, in nats; minus infinity where the end, or any token after these, has no probability.
        score: what hypotheses are compared by; see `beam_search`. For greedy decoding and samples the log probability.
        positions: for each token the place of the memory that was most looked at; None without attention.
        is_finished: False where `should_stop` came before its end, or where the model left no way to go on, or no end at
            `max_length`.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    positions: tuple[int, ...] | None = None
    is_finished: bool = True


class StepByStep:
    """A language model as a `StepDecoder`. Begin with the state None, or with one of as many rows as there are sentences."""

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
        """A language model looks nowhere."""


def log_softmax(logits: torch.Tensor) -> torch.Tensor:
    """log p, (N, V), in float32 at least: a sum over V needs the precision. Written over the logits where nothing is recorded."""
    dtype = torch.promote_types(logits.dtype, torch.float32)
    # Not contiguous is also what was expanded: one row in memory for all.
    if dtype != logits.dtype or torch.is_grad_enabled() or not logits.is_contiguous():
        return torch.log_softmax(logits, dim=1, dtype=dtype)
    # N times V numbers in new memory cost more than the logarithms: the system hands it out page by page, and takes it back.
    return torch.log_softmax(logits, dim=1, out=logits)


def never() -> bool:
    """The answer of one who never wants to stop."""
    return False


class WritingOptions(TypedDict, total=False):
    """How sequences are written.

    Attributes:
        forbidden: tokens that are never written.
        should_stop: asked before each step; True leaves it at what has been written by then.
    """

    forbidden: Sequence[int]
    should_stop: Callable[[], bool]


class DrawOptions(WritingOptions, total=False):
    """How sequences are drawn, see `decode`; left out, the most likely token is taken at each step."""

    temperature: float
    top_k: int | None
    top_p: float | None
    seed: int | None


class Writing(WritingOptions):
    """What all who write sequences are told.

    Attributes:
        begin: the token that is read first.
        end: the token that ends a sequence; None where none does, and all have `max_length` tokens.
        max_length: the most tokens of each row, the end not counted; one number, or one a row. What has so many can only end, with
            what probability that may have.
        device: of the tokens; None, or left out, for the CPU.
    """

    begin: int
    end: int | None
    max_length: int | Sequence[int]
    device: NotRequired[torch.device | str | None]


class Course:
    """`Writing` for B rows, looked at: `max_length` of each row, as `limits` (B,) on the device too, and the `tokens` read first.

    Raises:
        ConfigError: there is not one length for each row, or one is negative, or the end is forbidden.
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
        """Puts minus infinity into `log_p`, (N, V), for what is never written."""
        if self._forbidden is not None:
            log_p.index_fill_(1, self._forbidden, -math.inf)


def check_scores(best: torch.Tensor, decoder: StepDecoder, rows: Sequence[int], length: int) -> None:
    """Raises a ModelError if the largest log p of a row, (N,), is NaN, which it is if one of them is, or plus infinity."""
    is_number = best < math.inf
    if not bool(is_number.all()):
        at = int(is_number.logical_not().nonzero()[0])
        model = decoder.model if isinstance(decoder, StepByStep) else decoder
        check_numbers(float(best[at]), model, f"token {length + 1} of row {rows[at]}")


def leave_only_end(log_p: torch.Tensor, is_full: torch.Tensor, end: int) -> None:
    """Puts minus infinity into `log_p`, (N, V), for all but the end in the rows that are full, (N,) bool."""
    full = is_full.nonzero().squeeze(1)
    if len(full):  # few rows are, and a copy of all costs more than the rest of a step
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
        decoder: in evaluation mode.
        state: of `rows` rows, before the first token.
        rows: B.
        temperature: 0 takes the most likely token; else see `ostinato.models.text.sampling.probabilities`.
        top_k: draw from so many most likely tokens only.
        top_p: draw from the most likely tokens that make up this share only.
        seed: the same seed draws the same; what a row draws depends on its number, and not on the other rows' tokens.
        **writing: marks, lengths and the like, see `Writing`. A row whose end has no probability where it must come is left
            unfinished.

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
            if nats[at] == -math.inf:  # nothing can follow, or what must follow, the end, cannot
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
    """(N,), one token a row, by the inverse of its distribution function; any where nothing can follow."""
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
    last = p.shape[1] - 1 - p.flip(1).ne(0.0).int().argmax(1)  # the last token that can be drawn: sums are rounded
    return torch.minimum(drawn, last).to(log_p.device)


def copy_unknown(words: Sequence[str], hypothesis: Hypothesis, source: Sequence[str], unknown_id: int) -> Iterator[str]:
    """The words of a hypothesis, with the source's own word in the place of each unknown one: the one most looked at.

    Source: Jean et al. 2015, arXiv 1412.2007, section 3.3; Luong et al. 2015, arXiv 1508.04025, section 4.1.

    Args:
        words: of the target, by id.
        hypothesis: with positions, where it has unknown words.
        source: the words that the memory's places stand for.
        unknown_id: the token that stands for all unknown words.
    """
    for at, token in enumerate(hypothesis.tokens):
        place = hypothesis.positions[at] if hypothesis.positions is not None else len(source)
        yield source[place] if token == unknown_id and place < len(source) else words[token]
