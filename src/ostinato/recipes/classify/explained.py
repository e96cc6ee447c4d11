"""What a classifier is asked: why this class."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from ostinato.data.batches.batches import Batch
from ostinato.data.recordings.recording import Recordings
from ostinato.data.records.images import Images
from ostinato.insight.reasons.question import LOG_ODDS, Question, plain_cells
from ostinato.models.classifying.naive_bayes import NaiveBayes
from ostinato.recipes.classify.data import Part, prepared
from ostinato.recipes.reasons.parts import joiner_of, log_odds, one_of, pieces, recording_parts, trimmed
from ostinato.types import Tensor


def question(learnt: Any, part: Part, batch: Batch, target: str | None) -> Question:
    """The log-odds of a class, the likeliest one unless `target` names another, as a function of what is read.

    Of tokens that is the vector of each, and beside it what naive Bayes has counted of it: a run of tokens counts for its last.
    Nothing is a vector of zeros, which dropout of what enters has shown to the network; of an image black; of a recording see
    `recording_parts`.
    """
    model, known, row = learnt.model, learnt.known, int(batch.rows[0])
    input = trimmed(batch.input, batch.lengths)
    with torch.no_grad():
        chances = model(input).softmax(-1)[0]
    at = one_of(target, known.classes, "class")
    at = int(chances.argmax()) if at is None else at
    name = known.classes[at]

    def answer(network: Any, x: Tensor) -> Tensor:
        width = network.recurrent.input_size
        found = [network.output(network.pooling(network.recurrent(x[..., :width])[0]))]
        if network.naive_bayes is not None:
            found.append(network.naive_bayes.prior.to(x) + x[..., width:].sum(0))
        return log_odds(network.combined(torch.stack(found)), at)

    about: dict[str, Any] = {"about": f"class {name}", "unit": LOG_ODDS, "said": f"{name} ({float(chances[at]):.3f})"}
    if isinstance(part, Recordings):
        return Question(model, answer, input, **recording_parts(known.scaling, input, part[row]), **about)
    if isinstance(part, Images):
        T, width = len(input), input.shape[2]
        black = torch.full_like(input, -float(known.mean) / float(known.deviation))
        shape = part.pixels.shape[1:]
        columns = shape[1] if width % shape[1] == 0 else width
        cells = plain_cells(T, width, width) if columns == width else None
        if cells is None:  # of each pixel its colours are beside each other
            cells = plain_cells(T, columns, columns).repeat(width // columns, 1)
        rows = tuple(f"row {n}" for n in range(T))
        names = tuple(f"column {n}" for n in range(columns))
        pixels = part.rows([row])[0, :T].reshape(T, columns, -1).mean(2)
        about |= {"name": f"image {row}", "read": pixels}
        return Question(model, answer, input, black, **about, steps=rows, channels=names, cells=cells)
    x = model.embedding(input).detach()
    if model.naive_bayes is not None:
        x = torch.cat([x, evidence(model.naive_bayes, input[:, 0].tolist()).to(x).unsqueeze(1)], 2)
    vocabulary, text = known.vocabulary, part[row].text
    reading = dataclasses.replace(learnt.settings.reading, tokens=vocabulary.kind)
    words = prepared(text, reading, known.breaks).split()[: len(input)] if vocabulary.kind == "word" else []
    steps = pieces(vocabulary, input[:, 0].tolist(), words)
    return Question(model, answer, x, torch.zeros_like(x), **about, steps=steps, joiner=joiner_of(vocabulary))


def evidence(counts: NaiveBayes, ids: list[int]) -> Tensor:
    """`(T, C)`: what each token says by counts; with the prior, the sum over all is what naive Bayes says of the text."""
    seen, sums = counts.no_evidence(), []
    for id in ids:
        before = seen.sums.clone()
        counts.go_on(seen, id)
        sums.append(seen.sums - before)
    return torch.stack(sums) / max(1, len(seen.seen)) ** 0.5
