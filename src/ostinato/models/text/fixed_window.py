"""A model with a fixed time span: it predicts the next token from the last k, and from nothing before them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class FixedWindow(nn.Module):
    """A feed-forward language model over the last k tokens.

        x = [e(w_{t-k}), ..., e(w_{t-1})],   logits = U tanh(W x + b) + c

    Source: Bengio et al. 2003, equation 1, without the direct connections from x to the output. Positions before the
    beginning of a text hold a token of their own.

    Args:
        vocabulary_size: V.
        window: k, how many tokens it sees; at least 1.
        embedding_size: E, the size of a token's vector.
        hidden_size: H, units of the tanh layer.
    """

    def __init__(self, vocabulary_size: int, window: int = 8, embedding_size: int = 32, hidden_size: int = 256):
        super().__init__()
        if window < 1:
            raise ValueError(f"window: expected at least 1 token, got {window}")
        self.window, self.nothing = window, vocabulary_size
        self.embedding = nn.Embedding(vocabulary_size + 1, embedding_size)
        self.hidden = nn.Linear(window * embedding_size, hidden_size)
        self.output = nn.Linear(hidden_size, vocabulary_size)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Logits of the next token, (N, V), from windows of tokens, (N, k) int64, the latest last."""
        x = self.embedding(windows).flatten(1)  # (N, k E)
        return self.output(torch.tanh(self.hidden(x)))

    def fit(
        self,
        runs: Sequence[np.ndarray],
        *,
        max_time_s: float = 10.0,
        max_steps: int | None = None,
        batch_size: int = 2048,
        learning_rate: float = 3e-3,
        seed: int = 0,
    ) -> int:
        """Trains on random positions of `runs` with AdamW, the learning rate falling linearly to 0 over the budget.

        Args:
            runs: token ids, 1-D, each run a text of its own.
            max_time_s: wall time in seconds.
            max_steps: ends earlier, after so many steps.
            batch_size: positions a step.
            learning_rate: the learning rate of the first step.
            seed: the seed of the positions drawn.

        Returns:
            How many steps were made.
        """
        windows = [self._windows(np.asarray(run)) for run in runs]  # views of (n, k + 1), the target last
        ends = np.cumsum([len(part) for part in windows])
        random = np.random.default_rng(seed)
        optimizer = torch.optim.AdamW(self.parameters(), lr=learning_rate)
        started, steps = time.monotonic(), 0
        while True:
            used = (time.monotonic() - started) / max_time_s
            if max_steps is not None:
                used = max(used, steps / max_steps)
            if used >= 1.0:
                return steps
            optimizer.param_groups[0]["lr"] = learning_rate * (1.0 - used)
            positions = np.sort(random.integers(0, ends[-1], batch_size))
            which = np.searchsorted(ends, positions, side="right")
            rows = [
                part[positions[which == i] - (end - len(part))]
                for i, (part, end) in enumerate(zip(windows, ends, strict=True))
            ]
            batch = torch.from_numpy(np.concatenate(rows).astype(np.int64))
            loss = F.cross_entropy(self(batch[:, :-1]), batch[:, -1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1

    @torch.no_grad()
    def score(self, ids: np.ndarray) -> np.ndarray:
        """Nats of each token of one text given the k before it: (N,) float64."""
        windows = self._windows(np.asarray(ids))
        nats = []
        for start in range(0, len(windows), 4096):
            batch = torch.from_numpy(windows[start : start + 4096].astype(np.int64))
            nats.append(F.cross_entropy(self(batch[:, :-1]), batch[:, -1], reduction="none").double().numpy())
        return np.concatenate(nats) if nats else np.zeros(0)

    def _windows(self, ids: np.ndarray) -> np.ndarray:
        """Each token with the k before it, (N, k + 1)."""
        before = np.full(self.window, self.nothing, dtype=np.min_scalar_type(self.nothing))
        return np.lib.stride_tricks.sliding_window_view(np.concatenate([before, ids]), self.window + 1)
