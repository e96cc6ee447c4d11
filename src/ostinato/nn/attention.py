"""Attention: at each step of one sequence, a weighted mean over the steps of another, or over the cells of an image.

One batched product answers all queries. s is a query, h_i the i-th place of the memory, c_i the sum of its earlier weights:

| score | e_i | source |
| --- | --- | --- |
| additive | v . tanh(W s + U h_i + b [+ w c_i]) | Bahdanau et al. 2015, arXiv 1409.0473, appendix A.1.2 |
| general | s . U h_i [+ w c_i] | Luong et al. 2015, arXiv 1508.04025, equation 8 |
| dot | s . h_i [+ w c_i] | Luong et al. 2015, equation 8 |
| scaled | s . U h_i / sqrt(Q) [+ w c_i] | Vaswani et al. 2017, arXiv 1706.03762, equation 1 |

`coverage` adds the terms in brackets: Tu et al. 2016, arXiv 1601.04811, section 3.1 (the "linguistic" form, a running sum), and
See et al. 2017, arXiv 1704.04368, equation 11, whose penalty is `coverage_penalty`.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.nn.lengths import as_lengths
from ostinato.types import Lengths, Tensor

Score: TypeAlias = Literal["additive", "general", "dot", "scaled"]
SCORES: tuple[Score, ...] = ("additive", "general", "dot", "scaled")


class Memory(NamedTuple):
    """The sequence that attention reads, made by `Attention.remember` once for all steps.

    Attributes:
        values: (T_mem, B, F), zeros past a row's end.
        keys: (T_mem, B, K), compared with the queries.
        valid: (B, T_mem) bool, False past a row's end; None if all places are valid.
    """

    values: Tensor
    keys: Tensor
    valid: Tensor | None


class Attended(NamedTuple):
    """The result of attention.

    Attributes:
        context: (T_out, B, F), sum of a_i h_i.
        weights: (T_out, B, T_mem), a = softmax(e) over the valid places; zeros for a row that has none.
        coverage: (B, T_mem), the sum of all weights so far; None without coverage.
    """

    context: Tensor
    weights: Tensor
    coverage: Tensor | None


class Attention(nn.Module):
    """Attention with one of the scores in the table at the top of this module.

    Args:
        query_size: Q, the width of a query.
        memory_size: F, the width of the memory; for "dot" it must be Q.
        score: "additive", "general", "dot" or "scaled".
        units: K of the additive score, at least 1; None for Q. The other scores take none.
        coverage: whether a score depends on the sum of the earlier weights of its place. The steps then run one after the other.

    Raises:
        ConfigError: an unknown score, or sizes that do not fit.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        score: Score = "general",
        *,
        units: int | None = None,
        coverage: bool = False,
    ):
        super().__init__()
        if score not in SCORES:
            raise ConfigError(f"score: expected one of {', '.join(SCORES)}, got {score}")
        if units is not None and (score != "additive" or units < 1):
            raise ConfigError(f"units: expected at least 1, and for the additive score only, got {units} for {score}")
        if score == "dot" and query_size != memory_size:
            raise ConfigError(f"score dot expected queries and memory of one width, got {query_size} and {memory_size}")
        self.query_size, self.memory_size, self.score = query_size, memory_size, score
        width = (units or query_size) if score == "additive" else query_size
        self.query = nn.Linear(query_size, width) if score == "additive" else None
        self.key = None if score == "dot" else nn.Linear(memory_size, width, bias=False)
        self.energy = nn.Linear(width, 1, bias=False) if score == "additive" else None
        covered = (width if score == "additive" else 1) if coverage else 0
        self.coverage = nn.Parameter(torch.zeros(covered)) if coverage else None  # zeros: no effect at first

    def extra_repr(self) -> str:
        """Sizes and score."""
        return f"{self.query_size}, {self.memory_size}, {self.score}, coverage={self.coverage is not None}"

    def remember(self, values: Tensor, lengths: Lengths | None = None) -> Memory:
        """Prepare a memory for any number of queries.

        Args:
            values: (T_mem, B, F).
            lengths: (B,), valid places of each row, from 0 to T_mem; None for all. Other places change nothing, even if they
                contain NaN.
        """
        T, B, _ = values.shape
        if lengths is None:
            return Memory(values, self._keys(values), None)
        valid = torch.arange(T, device=values.device) < as_lengths(lengths, B, T, values.device).unsqueeze(1)
        values = values.masked_fill(~valid.T.unsqueeze(2), 0.0)
        return Memory(values, self._keys(values), valid)

    def _keys(self, values: Tensor) -> Tensor:
        return values if self.key is None else self.key(values)

    def forward(self, query: Tensor, memory: Memory, coverage: Tensor | None = None) -> Attended:
        """Attend to the memory once for every query.

        Args:
            query: (T_out, B, Q).
            memory: made by `remember`.
            coverage: (B, T_mem), the sum of the weights of earlier calls; None at the beginning.
        """
        if self.coverage is None:
            weights = self._weights(self._scores(query, memory.keys, None), memory.valid)
            total = None
        else:
            total = query.new_zeros(query.shape[1], memory.keys.shape[0]) if coverage is None else coverage
            steps: list[Tensor] = []
            for t in range(len(query)):
                steps.append(self._weights(self._scores(query[t : t + 1], memory.keys, total), memory.valid))
                total = total + steps[-1][0]
            weights = torch.cat(steps) if steps else query.new_zeros(0, *total.shape)
        context = torch.bmm(weights.transpose(0, 1), memory.values.transpose(0, 1)).transpose(0, 1)
        return Attended(context, weights, total)

    def _scores(self, query: Tensor, keys: Tensor, covered: Tensor | None) -> Tensor:
        """The scores e, (T_out, B, T_mem)."""
        if self.query is not None and self.energy is not None:
            inner = self.query(query).unsqueeze(2) + keys.transpose(0, 1)  # (T_out, B, T_mem, K)
            if covered is not None and self.coverage is not None:
                inner = inner + covered.unsqueeze(2) * self.coverage
            return self.energy(torch.tanh(inner)).squeeze(3)
        scale = 1.0 / math.sqrt(self.query_size) if self.score == "scaled" else 1.0
        e = torch.bmm(query.transpose(0, 1) * scale, keys.permute(1, 2, 0)).transpose(0, 1)
        return e if covered is None or self.coverage is None else e + covered * self.coverage

    @staticmethod
    def _weights(scores: Tensor, valid: Tensor | None) -> Tensor:
        if valid is None:
            return torch.softmax(scores, dim=2)
        # The smallest finite number, not minus infinity: a row without a valid place would become NaN.
        weights = torch.softmax(scores.masked_fill(~valid, torch.finfo(scores.dtype).min), dim=2)
        return weights.masked_fill(~valid, 0.0)


def coverage_penalty(weights: Tensor) -> Tensor:
    """How much each step repeats earlier attention: sum over i of min(a_i, sum of the earlier a_i), (T_out, B), in [0, 1].

    Source: See et al. 2017, equation 12.

    Args:
        weights: (T_out, B, T_mem).
    """
    return torch.minimum(weights, weights.cumsum(0) - weights).sum(2)
