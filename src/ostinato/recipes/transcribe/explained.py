"""What a transcriber is asked in an explanation: which steps and channels made the text, or one character of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ostinato.data.batches.batches import Batch
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.insight.reasons.question import LOG_ODDS, LOG_PROBABILITY, Question
from ostinato.models.transcribing.alignment import align, text_nats
from ostinato.recipes.reasons.parts import log_odds, number_of, recording_parts, trimmed
from ostinato.recipes.transcribe.data import TranscribeKnown, framed
from ostinato.recipes.transcribe.decoding import transcripts
from ostinato.types import Tensor


def question(learnt: Any, part: Recordings, batch: Batch, target: str | None) -> Question:
    """Asks about the log-probability of the written text, over all alignments; or the log-odds of a character.

    A character is asked about at the frame where it is likeliest, on the likeliest alignment of the text. Nothing is of pictures
    paper without ink, of other recordings what `recording_parts` says. Frames that overlap read a step several times: what each of
    them has to do with the text is added up.

    Args:
        learnt: the model of a run.
        part: the recordings; their texts are not used.
        batch: a batch of one row.
        target: the number of a character of the text, or of a word if units are words, from 0; None for the whole text.

    Raises:
        ConfigError: there is no such character.
    """
    model, known, row = learnt.model, learnt.known, int(batch.rows[0])
    input = trimmed(batch.input, batch.lengths)
    with torch.no_grad():
        log_probs = model(input)
    units = transcripts(log_probs, None, known, learnt.answering)[0][0].units
    said, about, unit = known.said(units), "the text", LOG_PROBABILITY
    only = number_of(target, 0, len(units), "character of the text")
    frame = 0
    if only is not None:
        values = log_probs[:, 0].float().cpu().numpy()
        place = align(values, units)[only]
        frame = place.first + int(values[place.first : place.end, units[only]].argmax())
        about, unit = f"character {only} of the text, {known.unit_name(units[only])!r}", LOG_ODDS
    text = torch.tensor(units, dtype=torch.int64, device=input.device)[:, None]

    def answer(network: Any, variants: Tensor) -> Tensor:
        found = network(variants)
        if only is not None:
            return log_odds(found[frame], units[only])
        K = variants.shape[1]
        return -text_nats(found, None, text.expand(-1, K), torch.full((K,), len(units)))

    parts = _parts(known, input, part[row])
    return Question(model, answer, input, about=about, unit=unit, said=said, **parts)


def _parts(known: TranscribeKnown, input: Tensor, given: Recording) -> dict[str, Any]:
    """Baseline, cells and names of the steps of a recording, for the frames made of them."""
    one = torch.from_numpy(known.scaling.apply(given)).to(input).unsqueeze(1)
    parts = recording_parts(known.scaling, one, given)
    nothing = parts["baseline"][:, 0].cpu().numpy()
    if known.height is not None:
        nothing = known.scaling.apply(Recording(given.id, np.zeros_like(given.values)))
        parts["channels"] = tuple(f"row {n}" for n in range(known.height))
    baseline = framed(nothing, known.stack, known.stride)
    parts["baseline"] = torch.from_numpy(baseline).to(input).unsqueeze(1)
    parts["cells"] = framed(parts["cells"] + 1, known.stack, known.stride) - 1  # -1, no cell, past the end
    return parts
