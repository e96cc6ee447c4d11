"""What a language model is asked in an explanation: why this token comes next."""

from __future__ import annotations

from typing import Any

import torch

from ostinato.errors import DataError
from ostinato.insight.reasons.question import LOG_ODDS, Question
from ostinato.recipes.lm.text import TextPart
from ostinato.recipes.reasons.parts import joiner_of, log_odds, number_of, pieces
from ostinato.types import Tensor

CONTEXT = 200  # tokens that the explanation may name; the model reads as if the text began there


def question(learnt: Any, part: TextPart, target: str | None) -> Question:
    """Asks about the log-odds of a token of the text, or of the one that the model expects after its end.

    Args:
        learnt: the model of a run.
        part: the text.
        target: the number of the token, from 1; None for the likeliest token after the last.

    Raises:
        ConfigError: there is no such token.
        DataError: the text is empty.
    """
    model, ids = learnt.model, part.tokens.ids
    if not len(ids):
        raise DataError(f"{part.name}: expected at least one token of text, got none")
    at = number_of(target, 1, len(ids), "token")
    end = len(ids) if at is None else at
    begin = max(0, end - CONTEXT)
    before = torch.from_numpy(ids[begin:end].astype("int64")).to(model.embedding.weight.device)
    with torch.no_grad():
        x = model.embedding(before[:, None])
        chances = model(before[:, None])[0][-1, 0].softmax(-1)
    token = int(chances.argmax()) if at is None else int(ids[at])

    def answer(network: Any, variants: Tensor) -> Tensor:
        return log_odds(network.output(network.recurrent(variants)[0][-1]), token)

    written = model.vocabulary.decode([token])
    return Question(
        model,
        answer,
        x,
        torch.zeros_like(x),
        f"next token {written!r}",
        LOG_ODDS,
        pieces(model.vocabulary, before.tolist()),
        joiner=joiner_of(model.vocabulary),
        name=f"{part.name}, token {end}",
        said=f"{written!r} ({float(chances[token]):.3f})",
    )
