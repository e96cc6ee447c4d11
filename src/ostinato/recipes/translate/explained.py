"""What a translator is asked in an explanation: which source words made the translation, or one word of it."""

from __future__ import annotations

from typing import Any

import torch

from ostinato.insight.reasons.question import LOG_ODDS, LOG_PROBABILITY, Question
from ostinato.recipes.reasons.parts import joiner_of, number_of, pieces, trimmed, written_log_probability
from ostinato.recipes.translate.data import prepared
from ostinato.recipes.translate.writing import Writer
from ostinato.types import Tensor


def question(learnt: Any, part: Any, batch: Any, target: str | None) -> Question:
    """Asks about the log-probability of the translation that the model writes, or the log-odds of one of its tokens.

    Args:
        learnt: the model of a run.
        part: the pairs.
        batch: a batch of one row.
        target: the number of a token of the translation, from 0; None for all of it with its end.
    """
    model, known, reading = learnt.model, learnt.known, learnt.settings.reading
    source = part.pairs[int(batch.rows[0])].source
    input = trimmed(batch.input, batch.lengths)
    written = Writer(model, known, reading, learnt.answering)(batch, [source])[0][0]
    tokens = [*written.hypothesis.tokens, model.end]
    only = number_of(target, 0, len(tokens), "token of the translation")
    with torch.no_grad():
        x = model.embedding(input) * model.embedding_scale
    read = torch.tensor(tokens[:-1], dtype=torch.int64, device=x.device)[:, None]

    def answer(network: Any, variants: Tensor) -> Tensor:
        h, last = network.encoder(variants)
        state = network.decoder.begin(network.bridge(last), h, None)
        logits = network._predicted(state, read.expand(-1, variants.shape[1]), None).logits
        return written_log_probability(logits, tokens, only)

    words = prepared(source, reading, known.breaks).split() if known.source.vocabulary.kind == "word" else []
    said = [*pieces(known.target.vocabulary, tokens[:-1]), "<end>"]
    about = "the translation" if only is None else f"token {only} of the translation, {said[only]!r}"
    unit = LOG_PROBABILITY if only is None else LOG_ODDS
    steps = pieces(known.source.vocabulary, input[:, 0].tolist(), words)
    return Question(
        model,
        answer,
        x,
        torch.zeros_like(x),
        about,
        unit,
        steps,
        joiner=joiner_of(known.source.vocabulary),
        said=written.text,
    )
