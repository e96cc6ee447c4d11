"""What a captioner is asked in an explanation: which rows and columns of the image made the caption, or a word."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ostinato.insight.reasons.question import LOG_ODDS, LOG_PROBABILITY, Question
from ostinato.recipes.reasons.parts import number_of, pieces, written_log_probability
from ostinato.types import Tensor


def question(learnt: Any, part: Any, batch: Any, target: str | None, tokens: list[int]) -> Question:
    """Asks about the log-probability of a written caption, or the log-odds of one of its tokens; the baseline is black.

    Args:
        learnt: the model of a run.
        part: the images.
        batch: a batch of one row.
        target: the number of a token of the caption, from 0; None for the whole caption with its end.
        tokens: the tokens of the caption.
    """
    model, known, row = learnt.model, learnt.known, int(batch.rows[0])
    said = known.said(tokens)
    wanted = [*tokens, model.end]
    only = number_of(target, 0, len(wanted), "token of the caption")
    channels, height, width = batch.input.shape[1:]
    x = batch.input[0].permute(1, 0, 2).reshape(height, 1, channels * width)
    black = torch.full_like(x, -float(known.mean) / float(known.deviation))
    read = torch.tensor(tokens, dtype=torch.int64, device=x.device)[:, None]

    def answer(network: Any, variants: Tensor) -> Tensor:
        K = variants.shape[1]
        images = variants.reshape(height, K, channels, width).permute(1, 2, 0, 3)
        return written_log_probability(network(images, read.expand(-1, K)).logits, wanted, only)

    marked = [*pieces(known.vocabulary, tokens), "<end>"]
    about = "the caption" if only is None else f"token {only} of the caption, {marked[only]!r}"
    return Question(
        model,
        answer,
        x,
        black,
        about,
        LOG_PROBABILITY if only is None else LOG_ODDS,
        tuple(f"row {n}" for n in range(height)),
        tuple(f"column {n}" for n in range(width)),
        np.arange(height)[:, None] * width + np.arange(channels * width) % width,
        name=part.names[row] if part.names else f"image {row}",
        said=said,
        read=part.images.rows([row])[0].reshape(height, width, channels).mean(2),
    )
