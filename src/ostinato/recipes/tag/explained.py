"""What a tagger is asked in an explanation: why these tags, or why this one."""

from __future__ import annotations

from typing import Any

import torch

from ostinato.data.batches.batches import Batch
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.errors import ConfigError
from ostinato.insight.reasons.question import LOG_ODDS, LOG_PROBABILITY, Question
from ostinato.models.tagging.words import WordEncoder
from ostinato.recipes.numbers import NumberScale
from ostinato.recipes.reasons.parts import number_of, one_of, recording_parts, trimmed
from ostinato.recipes.tag.data import Part
from ostinato.types import Tensor


def question(learnt: Any, part: Part, batch: Batch, target: str | None) -> Question:
    """Asks about the log-odds of one step's tag, or about the mean over all steps of the log-odds of their tags.

    `target` is a step, "7", or a step and a tag that it might have had, "7:NOUN"; None for all steps. With a CRF, the
    log-odds are those of the marginals; of all steps it is the log-probability of the path, divided by the steps. The
    inputs are the vectors of words or characters, whose baseline is zero, or numbers. Of predicted numbers the question
    is about that of a step, or the mean over all steps.

    Raises:
        ConfigError: there is no such step or tag, or the sequence is longer than the model reads at once.
    """
    model, known, row = learnt.model, learnt.known, int(batch.rows[0])
    steps = int(batch.lengths[0]) if batch.lengths is not None else len(batch.target)
    with torch.no_grad():
        x = trimmed(model.encoder(batch.input), batch.lengths)
        if len(x) > model.window:
            raise ConfigError(
                f"expected a sequence of at most {model.window:,} steps, got {len(x):,}; give a part of it"
            )
        emissions = model._emissions(x, None)
    if known.number is not None:
        assert isinstance(part, Recordings)
        return _of_numbers(learnt, part[row], x, emissions, target)
    with torch.no_grad():
        tags = model.decode(emissions)[:, 0]
    every = torch.arange(len(known.tags), device=x.device)
    where, _, wanted = (target or "").partition(":")
    step = number_of(where or None, 0, steps, "step")
    other = one_of(wanted or None, known.tags, "tag")
    if other is not None and step is None:
        raise ConfigError(f"--target {target}: expected the number of a step before the colon")
    if step is not None and other is not None:
        tags = tags.clone()
        tags[step] = other
    names = [known.tags[tag] for tag in tags.tolist()]
    # (T, N - 1): for each step, all tags but its own.
    others = torch.stack([torch.cat([every[:tag], every[tag + 1 :]]) for tag in tags.tolist()])

    def answer(network: Any, variants: Tensor) -> Tensor:
        found = network._emissions(variants, None)  # (T, K, N)
        K = found.shape[1]
        if network.crf is not None:
            if step is None:
                return network.crf.log_likelihood(found, tags[:, None].expand(-1, K)) / len(tags)
            only = torch.arange(found.shape[2], device=found.device) == tags[step]  # (N,)
            at = torch.arange(len(found), device=found.device)[:, None, None] == step
            through, around = (found.masked_fill(at & forbidden, -torch.inf) for forbidden in (~only, only))
            return network.crf.log_partition(through) - network.crf.log_partition(around)
        order = torch.cat([tags[:, None], others], 1)[:, None].expand(-1, K, -1)
        mine, rest = found.gather(2, order).split([1, others.shape[1]], 2)
        each = mine[..., 0] - rest.logsumexp(2)
        return each.mean(0) if step is None else each[step]

    if isinstance(part, Recordings):
        parts = recording_parts(known.scaling, x, part[row])
    else:
        given = part[row]
        words = isinstance(model.encoder, WordEncoder)
        shown: Any = given.words if words else given.text  # pyright: ignore[reportAttributeAccessIssue]
        parts = {"baseline": torch.zeros_like(x), "steps": tuple(shown)[: len(x)], "joiner": " " if words else ""}
        parts["name"] = "" if words else given.name  # pyright: ignore[reportAttributeAccessIssue]
    about = "the tags of all steps, mean" if step is None else f"tag {names[step]} of step {step}"
    if step is not None and "joiner" in parts:
        about += f", {parts['steps'][step]!r}"
    said = names[step] if step is not None else " ".join(names) if len(set(names)) > 1 else names[0]
    unit = LOG_PROBABILITY if step is None and model.crf is not None else LOG_ODDS
    return Question(model, answer, x, about=about, unit=unit, said=said, **parts)


def _of_numbers(learnt: Any, given: Recording, x: Tensor, emissions: Tensor, target: str | None) -> Question:
    """Asks a model that predicts a number at every step about one of these numbers, or about their mean."""
    known = learnt.known
    scale: NumberScale = known.number
    step = number_of(target, 0, len(x), "step")

    def answer(network: Any, variants: Tensor) -> Tensor:
        found = network._emissions(variants, None)[..., 0] * scale.deviation + scale.mean
        return found.mean(0) if step is None else found[step]

    numbers = scale.told(emissions[:, 0])["numbers"]
    said = f"{sum(numbers) / len(numbers) if step is None else numbers[step]:.6g}"
    about = "the number of all steps, mean" if step is None else f"the number of step {step}"
    parts = recording_parts(known.scaling, x, given)
    return Question(learnt.model, answer, x, about=about, unit="the unit of the data", said=said, **parts)
