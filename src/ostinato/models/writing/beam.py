"""Beam search: the most likely sequences, among those that stay among the best of their length.

At each step all hypotheses of all sentences are read in one call of the model. A sentence has K V ways to continue;
among the best K, those that end are finished, and the best K that do not end are followed. A sentence is done, and
leaves the batch, when K of its hypotheses have finished and none that is followed is better yet than the `n_best` best
of them, or when none could become so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Unpack

import torch

from ostinato.errors import ConfigError
from ostinato.models.writing.decoding import Course, Hypothesis, StepDecoder, Writing, check_scores, leave_only_end

_LARGEST = 300.0  # e^300 times -3.4e38, which stands for a log-probability of zero, is still finite


@dataclass(frozen=True)
class BeamSettings:
    """The settings of a beam search, and how hypotheses are compared:

        score(Y) = log p(Y) / ((5 + |Y|) / 6)^alpha + beta sum_i log(min(sum_j a_ij, 1))

    with |Y| the number of tokens of Y, including its end, and a_ij how much the step that wrote token j looked at place
    i of the memory.

    Source: Wu et al. 2016, arXiv 1609.08144, equation 14.

    Args:
        beam_size: K, how many hypotheses of a sentence are followed, at least 1. 1 is greedy decoding.
        length_penalty: alpha; 0 compares log p, which favours short ones, 1 nearly its mean over the tokens.
        coverage_penalty: beta, at least 0; above 0 a model with attention is needed. Places with no weight at all so
            far are taken for padding.
        n_best: how many hypotheses to return for each sentence, from 1 to K.

    Raises:
        ConfigError: a number is out of its range.
    """  # noqa: D415

    beam_size: int = 5
    length_penalty: float = 0.6
    coverage_penalty: float = 0.0
    n_best: int = 1

    def __post_init__(self) -> None:
        if self.beam_size < 1:
            raise ConfigError(f"beam_size: expected at least 1, got {self.beam_size}")
        if not 1 <= self.n_best <= self.beam_size:
            raise ConfigError(f"n_best: expected a number from 1 to beam_size = {self.beam_size}, got {self.n_best}")
        if not math.isfinite(self.length_penalty):
            raise ConfigError(f"length_penalty: expected a finite number, got {self.length_penalty}")
        if not 0.0 <= self.coverage_penalty < math.inf:
            raise ConfigError(f"coverage_penalty: expected a number of at least 0, got {self.coverage_penalty}")

    def divisor(self, length: int) -> float:
        """((5 + |Y|) / 6)^alpha, limited to e^-300 to e^300, so that scores are finite for every alpha."""
        return math.exp(max(-_LARGEST, min(_LARGEST, self.length_penalty * math.log((5.0 + length) / 6.0))))

    def covered(self, coverage: torch.Tensor) -> torch.Tensor:
        """The second term, (...), from weights that were summed over the steps, (..., T_mem)."""
        return self.coverage_penalty * torch.where(coverage > 0, coverage.clamp_max(1.0).log(), 0.0).sum(-1)


def beam_search(
    decoder: StepDecoder, state: Any, rows: int, *, settings: BeamSettings | None = None, **writing: Unpack[Writing]
) -> list[list[Hypothesis]]:
    """The best hypotheses of each row, best first; for the arguments see `beam_search_stream`."""
    found = dict(beam_search_stream(decoder, state, rows, settings=settings, **writing))
    return [found[row] for row in range(rows)]


def beam_search_stream(
    decoder: StepDecoder, state: Any, rows: int, *, settings: BeamSettings | None = None, **writing: Unpack[Writing]
) -> Iterator[tuple[int, list[Hypothesis]]]:
    """Yields (row, its best hypotheses, best first) as soon as a row is done; close the iterator to stop.

    Args:
        decoder: a decoder in evaluation mode.
        state: the state of `rows` rows before the first token.
        rows: B.
        settings: the settings; None for `BeamSettings()`.
        **writing: begin, end, lengths and so on, see `Writing`.

    Raises:
        ConfigError: an argument is out of its range, or there is a coverage penalty for a model without attention.
        ModelError: the model gives NaN or infinity; the message names the row.
    """
    return _Search(decoder, state, Course(rows, **writing), settings or BeamSettings()).run()


class _Search:
    """All sentences that are not done: S of them, each with K' hypotheses side by side.

    Attributes:
        sentences: (S,) the numbers of the sentences.
        log_p: (S, K'), of each hypothesis; minus infinity if there is none in its place.
        written: (S, K', length) int64, the tokens.
        looked: (S, K', length) int64, the places most looked at; None without attention.
        coverage: (S K', T_mem), the sums of the weights; None without a coverage penalty.
    """

    def __init__(self, decoder: StepDecoder, state: Any, course: Course, settings: BeamSettings):
        self.decoder, self.state, self.course, self.settings = decoder, state, course, settings
        self.end, self.limits, self.tokens = course.end, course.limits, course.tokens
        S, device = len(course.lengths), course.tokens.device
        self.sentences = list(range(S))
        self.log_p = torch.zeros(S, 1, dtype=torch.float64, device=device)
        self.written = torch.zeros(S, 1, 0, dtype=torch.int64, device=device)
        self.looked: torch.Tensor | None = None
        self.coverage: torch.Tensor | None = None
        self.length = 0
        self.finished: list[list[Hypothesis]] = [[] for _ in range(S)]

    def run(self) -> Iterator[tuple[int, list[Hypothesis]]]:
        if self.end is None:
            yield from ((row, [Hypothesis((), 0.0, 0.0)]) for row in self._drop_empty())
        while self.sentences and not self.course.should_stop():
            for row in self._step():
                yield row, self._best(row)
        self._take_unfinished(self.sentences)
        for row in self.sentences:
            yield row, self._best(row)

    def _best(self, row: int) -> list[Hypothesis]:
        return sorted(self.finished[row], key=lambda h: -h.score)[: self.settings.n_best]

    @torch.no_grad()
    def _drop_empty(self) -> list[int]:
        done = self.limits == 0
        dropped = [row for row, is_done in zip(self.sentences, done.tolist(), strict=True) if is_done]
        if dropped:
            self._go_on(torch.arange(len(done), device=done.device).unsqueeze(1), ~done)
            self.tokens = self.tokens[~done]
        return dropped

    @torch.no_grad()
    def _step(self) -> list[int]:
        """Writes one more token for all; returns the sentences that are done."""
        S, K = self.log_p.shape
        log_p, self.state = self.decoder.step(self.state, self.tokens)
        places = self._look()
        V = log_p.shape[1]
        self.course.forbid(log_p)
        is_possible = self.log_p > -math.inf
        # Scores after an empty place for a hypothesis may be anything.
        likeliest = log_p.amax(1).view(S, K).masked_fill(~is_possible, -math.inf).amax(1)
        check_scores(likeliest, self.decoder, self.sentences, self.length)
        if self.end is not None:
            leave_only_end(log_p, (self.limits == self.length).repeat_interleave(K), self.end)
        beam = self.settings.beam_size
        # The best of a sentence are among the best of each hypothesis. Half of these may end, so twice as many are
        # taken; with one hypothesis, greedy decoding, none continues beside one that ends. max takes the first of equal
        # tokens, which topk does not promise.
        of_each, token = log_p.topk(min(2 * beam, V), dim=1) if beam > 1 else log_p.max(1, keepdim=True)
        ways = self.log_p.unsqueeze(2) + of_each.view(S, K, -1)
        ways = ways.masked_fill(~is_possible.unsqueeze(2), -math.inf).view(S, -1)
        best, way = ways.topk(min(2 * beam, ways.shape[1]), dim=1)  # (S, 2 beam)
        parent, token = way // of_each.shape[1], token.view(S, -1).gather(1, way)
        ranks = torch.arange(best.shape[1], device=best.device)
        if self.end is None:
            ends = ((self.limits == self.length + 1).unsqueeze(1) & (best > -math.inf)).expand_as(best)
            goes_on = min(beam, K * V)
        else:
            ends = (token == self.end) & (best > -math.inf)
            goes_on = max(1, min(beam, K * (V - 1)))
        self._finish(ends & (ranks < beam), best, parent, token, places)
        chosen = (ranks + ends * best.shape[1]).topk(goes_on, dim=1, largest=False).indices  # those that end come last
        best = best.masked_fill(ends, -math.inf).gather(1, chosen)
        parent, token = parent.gather(1, chosen), token.gather(1, chosen)
        self.length += 1
        done = self._done(best)
        left = [row for row, is_done in zip(self.sentences, done.tolist(), strict=True) if is_done]
        self._take_unfinished(
            left, -math.inf
        )  # nothing has ended and nothing can follow: the hypotheses before this step
        before = torch.arange(S, device=best.device).unsqueeze(1)
        self.written = torch.cat((self.written[before, parent], token.unsqueeze(2)), dim=2)
        if places is not None:
            seen = places[before, parent].unsqueeze(2)
            self.looked = seen if self.looked is None else torch.cat((self.looked[before, parent], seen), dim=2)
        self.log_p = best
        self._go_on(parent + before * K, ~done)
        self.tokens = token[~done].flatten()
        return left

    def _look(self) -> torch.Tensor | None:
        """The place that each hypothesis has looked at most, (S, K'); None without attention."""
        weights = self.decoder.attention(self.state)
        if self.settings.coverage_penalty:
            if weights is None:
                raise ConfigError("coverage_penalty: expected 0 for a model without attention")
            self.coverage = weights if self.coverage is None else self.coverage + weights
        return None if weights is None else weights.argmax(1).view(self.log_p.shape)

    def _finish(
        self,
        ends: torch.Tensor,
        log_p: torch.Tensor,
        parent: torch.Tensor,
        token: torch.Tensor,
        places: torch.Tensor | None,
    ) -> None:
        """Keeps the hypotheses that end; all arguments are (S, 2 beam)."""
        at, rank = ends.nonzero(as_tuple=True)
        if not len(at):
            return
        hypothesis = parent[at, rank]
        p = log_p[at, rank]
        score = p / self.settings.divisor(self.length + 1)
        if self.coverage is not None:
            score = score + self.settings.covered(self.coverage[at * self.log_p.shape[1] + hypothesis])
        tokens = self.written[at, hypothesis]
        looked = None if self.looked is None else self.looked[at, hypothesis]
        if self.end is None:
            tokens = torch.cat((tokens, token[at, rank].unsqueeze(1)), dim=1)
            if places is not None:
                seen = places[at, hypothesis].unsqueeze(1)
                looked = seen if looked is None else torch.cat((looked, seen), dim=1)
        seen_by_each = [None] * len(at) if looked is None else map(tuple, looked.tolist())
        for n, ids, nats, points, positions in zip(
            at.tolist(), tokens.tolist(), p.tolist(), score.tolist(), seen_by_each, strict=True
        ):
            self.finished[self.sentences[n]].append(Hypothesis(tuple(ids), nats, points, positions))

    def _done(self, log_p: torch.Tensor) -> torch.Tensor:
        """Which sentences are done, (S,) bool; log_p: (S, K'), of the hypotheses that would be followed."""
        settings, best = self.settings, log_p.amax(1)
        # A log-probability can only fall, and its divisor is between these two.
        soonest = settings.divisor(self.length + 1)
        latest = (((6.0 + self.limits.double()) / 6.0).log() * settings.length_penalty).clamp(-_LARGEST, _LARGEST).exp()
        attainable = torch.maximum(best / soonest, best / latest)
        enough, worst = [], []
        for row in self.sentences:
            scores = sorted((h.score for h in self.finished[row]), reverse=True)
            enough.append(len(scores) >= settings.beam_size)
            worst.append(scores[settings.n_best - 1] if len(scores) >= settings.n_best else -math.inf)
        bound = torch.tensor(worst, dtype=torch.float64, device=log_p.device)
        # Finished hypotheses alone do not suffice: a beam soon has K short ones, however improbable.
        is_full = torch.tensor(enough, device=log_p.device) & (best / soonest <= bound)
        is_over = self.length > self.limits if self.end is not None else self.length >= self.limits
        return is_full | (attainable <= bound) | is_over

    def _go_on(self, index: torch.Tensor, stays: torch.Tensor) -> None:
        """Removes the sentences that are done. index: (S, K'), rows of the state."""
        self.sentences = [row for row, stay in zip(self.sentences, stays.tolist(), strict=True) if stay]
        self.limits, self.log_p, self.written = self.limits[stays], self.log_p[stays], self.written[stays]
        self.looked = None if self.looked is None else self.looked[stays]
        if self.sentences:
            index = index[stays]
            self.state = self.decoder.reorder(self.state, index)
            self.coverage = None if self.coverage is None else self.coverage[index.flatten()]

    def _take_unfinished(self, rows: list[int], log_p: float | None = None) -> None:
        """For rows without a finished hypothesis, takes the best one so far, with its own or the given log p."""
        for at, row in enumerate(self.sentences):
            if row in rows and not self.finished[row]:
                tokens = self.written[at, 0].tolist()
                looked = None if self.looked is None else tuple(self.looked[at, 0].tolist())
                p = float(self.log_p[at, 0]) if log_p is None else log_p
                score = p / self.settings.divisor(max(len(tokens), 1))
                self.finished[row].append(Hypothesis(tuple(tokens), p, score, looked, is_finished=False))
