"""What a classifier is asked in an explanation: why this class."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from ostinato.data.batches.batches import Batch
from ostinato.data.recordings.recording import Recordings
from ostinato.data.records.images import Images
from ostinato.errors import ConfigError
from ostinato.insight.reasons.question import LOG_ODDS, Question, plain_cells
from ostinato.models.classifying.naive_bayes import NaiveBayes
from ostinato.models.parts.beside import parted
from ostinato.recipes.classify.data import ClassifyKnown, Part, prepared
from ostinato.recipes.classify.saying import said_of
from ostinato.recipes.reasons.parts import joiner_of, log_odds, one_of, pieces, recording_parts, trimmed
from ostinato.types import Tensor


def question(learnt: Any, part: Part, batch: Batch, target: str | None) -> Question:
    """Asks about the log-odds of a class: of the likeliest one unless `target` names another.

    With several labels, the log-odds of a label; of a predicted number, the number itself. For tokens the question is
    about the vector of each token and, beside it, what naive Bayes has counted of it; a run of tokens counts for its
    last one. The baseline that stands for nothing is a vector of zeros, which the network knows from dropout of its
    input; for an image it is black; for a recording see `recording_parts`.

    Raises:
        ConfigError: there is no such class or label; or `target` is given although a number is predicted.
    """
    model, known, row = learnt.model, learnt.known, int(batch.rows[0])
    input = trimmed(batch.input, batch.lengths)
    at, about = _asked(model, known, input, target)
    counts = model.naive_bayes if known.target == "class" else None

    def answer(network: Any, x: Tensor) -> Tensor:
        width = x.shape[2] if network.embedding is None else network.embedding.embedding_dim
        read, extras = parted(network.recurrent, x[..., :width])
        said = network.output(network.pooling(network.recurrent(read, **extras)[0]))
        if known.number is not None:
            return said[:, 0] * known.number.deviation + known.number.mean
        if known.target == "several":
            return said[:, at]
        found = [said]
        if counts is not None:
            found.append(network.naive_bayes.prior.to(x) + x[..., width:].sum(0))
        return log_odds(network.combined(torch.stack(found)), at)

    if isinstance(part, Recordings):
        return Question(model, answer, input, **recording_parts(known.scaling, input, part[row]), **about)
    if isinstance(part, Images):
        T, width = len(input), input.shape[2]
        black = torch.full_like(input, -float(known.mean) / float(known.deviation))
        shape = part.pixels.shape[1:]
        columns = shape[1] if width % shape[1] == 0 else width
        cells = plain_cells(T, width, width) if columns == width else None
        if cells is None:  # the colours of a pixel are neighbours
            cells = plain_cells(T, columns, columns).repeat(width // columns, 1)
        rows = tuple(f"row {n}" for n in range(T))
        names = tuple(f"column {n}" for n in range(columns))
        pixels = part.rows([row])[0, :T].reshape(T, columns, -1).mean(2)
        about |= {"name": f"image {row}", "read": pixels}
        return Question(model, answer, input, black, **about, steps=rows, channels=names, cells=cells)
    x = model.embedding(input).detach()
    if counts is not None:
        x = torch.cat([x, evidence(counts, input[:, 0].tolist()).to(x).unsqueeze(1)], 2)
    vocabulary, text = known.vocabulary, part[row].text
    reading = dataclasses.replace(learnt.settings.reading, tokens=vocabulary.kind)
    words = prepared(text, reading, known.breaks).split()[: len(input)] if vocabulary.kind == "word" else []
    steps = pieces(vocabulary, input[:, 0].tolist(), words)
    return Question(model, answer, x, torch.zeros_like(x), **about, steps=steps, joiner=joiner_of(vocabulary))


def _asked(model: Any, known: ClassifyKnown, input: Tensor, target: str | None) -> tuple[int, dict[str, Any]]:
    """The output that is asked about; and its name, its unit, and the model's answer in words."""
    with torch.no_grad():
        said = model(input)
    (told,) = said_of(known, model, said)
    if known.number is not None:
        if target is not None:
            raise ConfigError(f"--target {target}: expected none where a number is predicted")
        return 0, {"about": "the number", "unit": "the unit of the data", "said": f"{told['number']:.6g}"}
    what = "label" if known.target == "several" else "class"
    at = one_of(target, known.classes, what)
    at = int(said[0].argmax()) if at is None else at
    name = known.classes[at]
    words = f"{name} ({told['probabilities'][name]:.3f})"
    if known.target == "several" and told["labels"]:
        words = ", ".join(told["labels"])
    return at, {"about": f"{what} {name}", "unit": LOG_ODDS, "said": words}


def evidence(counts: NaiveBayes, ids: list[int]) -> Tensor:
    """The evidence of each token by naive Bayes, (T, C); with the prior, the sum is what it says of the text."""
    seen, sums = counts.no_evidence(), []
    for id in ids:
        before = seen.sums.clone()
        counts.go_on(seen, id)
        sums.append(seen.sums - before)
    return torch.stack(sums) / max(1, len(seen.seen)) ** 0.5
