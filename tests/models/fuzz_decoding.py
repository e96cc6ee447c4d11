"""Decodes random tables of probabilities, with zeros, ties, NaN and infinities, and compares with a plain loop over one row.

python -m tests.models.fuzz_decoding 20000
"""

from __future__ import annotations

import argparse
import math
import random

import torch

from ostinato.errors import ModelError
from ostinato.models import BeamSettings, Hypothesis, beam_search, decode

END = 0
TEMPERATURES = (5e-324, 1e-300, 0.5, 1.0, 30.0, 1e308)
PENALTIES = (-1e6, -1.0, 0.0, 0.6, 2.0, 1e6)


class Chain:
    """A model whose next token hangs on the last one: log_p, (rows, V + 1, V). The state: the row, (N,)."""

    def __init__(self, log_p):
        self.log_p = log_p

    def step(self, state, tokens):
        return self.log_p[state, tokens], state

    def reorder(self, state, index):
        return state[index.flatten()]

    def attention(self, state):
        return None


class Trial:
    """One table and one way to decode it."""

    def __init__(self, seed):
        draw = random.Random(seed)
        self.rows, self.V, self.seed = draw.randint(1, 4), draw.randint(2, 6), seed
        g = torch.Generator().manual_seed(seed)
        shape = (self.rows, self.V + 1, self.V)
        log_p = torch.randn(shape, generator=g, dtype=draw.choice([torch.float32, torch.float64])) * 2
        if draw.random() < 0.3:
            log_p = log_p.round()  # ties
        log_p[torch.rand(shape, generator=g) < 0.3] = -math.inf
        log_p = log_p.log_softmax(-1)
        log_p = log_p.where(log_p > -math.inf, draw.choice([-math.inf, -math.inf, -math.inf, -1e9, -3.4e38]))
        if draw.random() < 0.3:  # in one row only
            row = draw.randrange(self.rows)
            log_p[row][torch.rand(shape[1:], generator=g) < 0.05] = draw.choice([math.nan, math.inf])
        self.end = draw.choice([END, END, END, None])
        if self.end is not None and draw.random() < 0.3:
            log_p[:, :, END] = -math.inf
        self.forbidden = [self.V - 1] if draw.random() < 0.3 else []
        self.limits = [draw.randint(0, 6) for _ in range(self.rows)]
        self.log_p = log_p
        self.temperature = draw.choice(TEMPERATURES)
        self.top_k, self.top_p = draw.choice([None, 1, 2, 50]), draw.choice([None, 5e-324, 0.5, 1.0])
        self.beam, self.penalty = draw.choice([2, 3, 9]), draw.choice(PENALTIES)
        self.asked = 0

    def should_stop(self):
        self.asked += 1
        assert self.asked <= max(self.limits) + 1, "a step more than the longest row can have"
        return False

    def _common(self):
        self.asked = 0
        return {
            "begin": self.V,
            "end": self.end,
            "max_length": self.limits,
            "forbidden": self.forbidden,
            "should_stop": self.should_stop,
        }

    def decode(self, **arguments):
        return decode(Chain(self.log_p.clone()), torch.arange(self.rows), self.rows, **self._common(), **arguments)

    def search(self, settings):
        return beam_search(
            Chain(self.log_p.clone()), torch.arange(self.rows), self.rows, settings=settings, **self._common()
        )

    def after(self, row, token):
        """log p of what may follow."""
        log_p = self.log_p[row, token].clone()
        log_p[self.forbidden] = -math.inf
        return log_p

    def greedy(self, row):
        """(tokens, log p, is finished), or None where there is NaN or infinity on the way."""
        tokens, p = [], 0.0
        while True:
            if self.end is None and len(tokens) == self.limits[row]:
                return tuple(tokens), p, True
            log_p = self.after(row, tokens[-1] if tokens else self.V)
            if not bool((log_p < math.inf).all()):
                return None
            best = END if self.end is not None and len(tokens) == self.limits[row] else int(log_p.argmax())
            p += float(log_p[best])
            if p == -math.inf or best == self.end:
                return tuple(tokens), p, p > -math.inf
            tokens.append(best)

    def _check_written(self, row, hypothesis: Hypothesis):
        """What holds for whatever was drawn or searched."""
        assert len(hypothesis.tokens) <= self.limits[row]
        p, last = 0.0, self.V
        for token in (*hypothesis.tokens, *([] if self.end is None or not hypothesis.is_finished else [END])):
            p, last = p + float(self.after(row, last)[token]), token
        assert math.isfinite(p), "every token could follow"
        if hypothesis.is_finished:
            assert math.isclose(hypothesis.log_probability, p, rel_tol=1e-5, abs_tol=1e-5)
            assert self.end is not None or len(hypothesis.tokens) == self.limits[row]
        else:
            assert hypothesis.log_probability == -math.inf
        assert not math.isnan(hypothesis.score)

    def check(self):
        """Raises an AssertionError unless all ways to decode give what they must."""
        self._check_greedy([self.greedy(row) for row in range(self.rows)])
        numbers_only = bool((self.log_p < math.inf).all())
        drawing = {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p, "seed": self.seed}
        for way in (
            lambda: [[drawn] for drawn in self.decode(**drawing)],
            lambda: self.search(BeamSettings(self.beam, self.penalty, n_best=2)),
        ):
            try:
                written = way()
            except ModelError:
                assert not numbers_only
                continue
            for row, hypotheses in enumerate(written):
                for hypothesis in hypotheses:
                    self._check_written(row, hypothesis)

    def _check_greedy(self, expected):
        for way in (self.decode, lambda: [best for (best,) in self.search(BeamSettings(1, self.penalty))]):
            try:
                written = way()
            except ModelError:
                assert None in expected
                continue
            for hypothesis, (tokens, p, is_finished) in zip(written, expected, strict=True):
                assert (hypothesis.tokens, hypothesis.is_finished) == (tokens, is_finished)
                assert math.isclose(hypothesis.log_probability, p, rel_tol=1e-5, abs_tol=1e-5)


def main() -> None:
    """Runs so many trials; an error names its seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", type=int)
    parser.add_argument("--first", type=int, default=0, help="seed of the first trial")
    arguments = parser.parse_args()
    for seed in range(arguments.first, arguments.first + arguments.trials):
        try:
            Trial(seed).check()
        except Exception as error:
            raise SystemExit(f"seed {seed}: {type(error).__name__}: {error}") from error
    print(f"{arguments.trials} tables were decoded as a plain loop does it, or refused for what is no number")


if __name__ == "__main__":
    main()
