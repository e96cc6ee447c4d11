"""The continuous cache: words that followed similar states recently are likely to follow again."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import nn

from ostinato.data.batches.streams import Chunk
from ostinato.errors import ConfigError
from ostinato.models.text.language_model import LanguageModel
from ostinato.models.writing.scores import Score, TextState, score_text

_BLOCK = 128  # tokens that `score` reads at once; bounds the memory


class History(NamedTuple):
    """The memory of the cache, the latest steps last.

    Attributes:
        outputs: (N, B, H), h_i.
        words: (N, B) int64, x_{i+1}, the word that followed.
        texts: (N, B) int64, the number of the text in its row: a text sees its own past only.
    """

    outputs: torch.Tensor
    words: torch.Tensor
    texts: torch.Tensor


class ContinuousCache(nn.Module):
    """A language model with a cache of its own past outputs; nothing is trained.

        p_cache(w | t) ~ sum over i < t with x_{i+1} = w of exp(theta h_t . h_i)
        p(w | t) = (1 - share) p_model(w | t) + share p_cache(w | t)

    over the last `window` steps i. At the beginning of a text there is no past, and p is the model's.

    It has the model's `loss(chunk, state)`, so that `ostinato.training.evaluate` can use it; the state holds the
    model's state and the history of each row.

    Source: Grave, Joulin & Usunier 2017, arXiv 1612.04426, equations 3 and 4 and the linear interpolation of section 3. The
    default values are those that Merity et al. 2017 (AWD-LSTM) give for the Penn Treebank in their public code.

    Args:
        model: a trained model; it is used in evaluation mode and not changed.
        window: how many steps the cache reaches back; at least 1.
        theta: how much the likeness of two states counts; at least 0; with 0 it is a plain unigram cache.
        share: the cache's share of p (the paper's lambda), in [0, 1).

    Raises:
        ConfigError: an argument is out of its range.
    """

    def __init__(self, model: LanguageModel, window: int = 500, theta: float = 1.0, share: float = 0.1):
        super().__init__()
        if window < 1:
            raise ConfigError(f"window: expected at least 1 step, got {window}")
        if not 0.0 <= theta < math.inf:
            raise ConfigError(f"theta: expected a number of at least 0, got {theta}")
        if not 0.0 <= share < 1.0:
            raise ConfigError(f"share: expected a number from 0 to below 1, got {share}")
        self.model, self.window, self.theta, self.share = model, window, theta, share

    @torch.no_grad()
    def loss(self, chunk: Chunk, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Returns the mean negative log likelihood of a chunk in nats a token, a scalar, and the state after it."""
        hidden, history = (None, None) if state is None else state
        with self.model.reading():
            h, hidden = self.model.features(chunk.input, hidden, chunk.resets)  # (T, B, H)
            logits = self.model.output(h)
        by_model = torch.log_softmax(logits.double(), dim=-1).gather(-1, chunk.target.unsqueeze(-1)).squeeze(-1)
        now = self._now(chunk, h, history)
        past = now if history is None else History(*(torch.cat(pair) for pair in zip(history, now, strict=True)))
        nats = -self._mixed(by_model, past)
        kept = History(*(part[-self.window :] for part in past))
        loss = _masked_mean(nats, chunk.mask)
        return loss.to(torch.promote_types(h.dtype, torch.float32)), (hidden, kept)

    def score(self, text: str, state: TextState | None = None) -> Score:
        """How well model and cache predict `text`; see `LanguageModel.score`."""
        return score_text(self, self.model.vocabulary, text, state, self.model.embedding.weight.device, _BLOCK)

    @staticmethod
    def _now(chunk: Chunk, h: torch.Tensor, history: History | None) -> History:
        begun = (
            torch.zeros_like(chunk.target)
            if chunk.resets is None
            else chunk.resets.long().cumsum(0).to(chunk.target.device)
        )
        before = 0 if history is None else history.texts[-1]
        return History(h.double(), chunk.target, before + begun)

    def _mixed(self, by_model: torch.Tensor, past: History) -> torch.Tensor:
        """log p of the last T steps of `past`, (T, B), from log p of the model, (T, B)."""
        T = len(by_model)
        N = len(past.words)
        step = torch.arange(N - T, N, device=by_model.device)[:, None]
        entry = torch.arange(N, device=by_model.device)
        near = (entry < step) & (entry >= step - self.window)  # (T, N)
        seen = near[:, :, None] & (past.texts[None] == past.texts[-T:, None])  # (T, N, B)
        likeness = self.theta * torch.einsum("tbh,nbh->tnb", past.outputs[-T:], past.outputs)
        likeness = likeness.masked_fill(~seen, -math.inf)
        same_word = past.words[None] == past.words[-T:, None]
        by_cache = _log_sum(likeness.masked_fill(~same_word, -math.inf)) - _log_sum(likeness)  # (T, B)
        mixed = torch.logaddexp(by_model + math.log1p(-self.share), by_cache + _log(self.share))
        return torch.where(seen.any(1), mixed, by_model)


def _log_sum(v: torch.Tensor) -> torch.Tensor:
    return torch.logsumexp(v, dim=1)


def _log(v: float) -> float:
    return math.log(v) if v > 0.0 else -math.inf


def _masked_mean(values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The mean of `values`, (T, B), where `mask` is True; without a mask of all, and 0 if it is nowhere True."""
    if mask is None:
        return values.mean()
    # No product with the mask, as padding may be NaN, and 0 times NaN is NaN.
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp_min(1)
