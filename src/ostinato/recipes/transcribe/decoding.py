"""From probabilities to texts: greedily or by a beam, with a language model and a lexicon; and where units are."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ostinato.data.sources.lines import numbered_lines
from ostinato.errors import ConfigError
from ostinato.models.text.language_model import LanguageModel
from ostinato.models.transcribing.alignment import BLANK, align, greedy_paths, text_nats
from ostinato.models.transcribing.language_scorer import LanguageScorer
from ostinato.models.transcribing.lexicon import Lexicon
from ostinato.models.transcribing.prefix_beam import PrefixBeam, prefix_beam_search
from ostinato.recipes.transcribe.data import TranscribeKnown
from ostinato.recipes.transcribe.settings import TranscribeAnswering
from ostinato.types import Lengths

_CANDIDATES, _MARGIN = 40, 12.0  # units of a frame that are followed at most, and nats behind the best


@dataclass(frozen=True)
class Transcript:
    """A text found in a recording.

    Attributes:
        units: the units of the text.
        log_probability: log p(text | frames), over all paths.
    """

    units: tuple[int, ...]
    log_probability: float


def transcripts(
    log_probs: torch.Tensor, lengths: Lengths | None, known: TranscribeKnown, how: TranscribeAnswering
) -> list[list[Transcript]]:
    """The texts of each row, best first.

    Args:
        log_probs: (F, B, V).
        lengths: (B,), or None for F.
        known: the units.
        how: see `TranscribeAnswering`.

    Raises:
        ConfigError: the language model or the lexicon does not fit.
    """
    if how.beam == 1:
        found = [[tuple(units)] for units in greedy_paths(log_probs, lengths)]
    else:
        model = None if how.language_model is None else language_model(how.language_model)
        scorer = None if model is None else LanguageScorer(model, tokens_of(known, model))
        bonus = 0.0 if model is None else how.bonus
        words = None if how.lexicon is None else lexicon(how.lexicon, known)
        candidates = _CANDIDATES if model is None and words is None else None
        settings = PrefixBeam(how.beam, how.n_best, _MARGIN, candidates, how.weight, bonus)
        ends = None if lengths is None else np.asarray(lengths).tolist()
        searched = prefix_beam_search(log_probs.cpu().numpy(), ends, settings, scorer=scorer, lexicon=words)
        found = [list(dict.fromkeys(each.units for each in row)) for row in searched]
    nats = iter(_nats(log_probs, lengths, found))
    return [[Transcript(units, -next(nats)) for units in row] for row in found]


def _nats(log_probs: torch.Tensor, lengths: Lengths | None, found: Sequence[Sequence[tuple[int, ...]]]) -> list[float]:
    """The losses - log p of all texts, those of a row side by side."""
    rows = torch.tensor([row for row, texts in enumerate(found) for _ in texts])
    texts = [units for row in found for units in row]
    target = torch.zeros(max(1, *map(len, texts)), len(texts), dtype=torch.int64)
    for at, units in enumerate(texts):
        target[: len(units), at] = torch.tensor(units, dtype=torch.int64)
    ends = torch.tensor([len(units) for units in texts])
    own = None if lengths is None else torch.as_tensor(lengths).cpu()[rows]
    nats = text_nats(log_probs.detach().cpu().double()[:, rows], own, target, ends)
    return nats.tolist()


def spans(
    log_probs: np.ndarray, transcript: Transcript, known: TranscribeKnown, steps: int, times: np.ndarray | None
) -> dict[str, Any]:
    """The places of each unit and each word of a text in its recording.

    Args:
        log_probs: (F, V), of the recording.
        transcript: the text that was found.
        known: the units and the frames.
        steps: the steps of the recording.
        times: the times of its steps; None if steps are only counted.

    Returns:
        "characters" and "words", if units are words only "words": lists of [text, first step, step after the last,
        probability], where a word has the least probability of its characters; with times, the times of the first and
        the last step instead of the steps.
    """
    found: list[tuple[str, int, int, float]] = []
    for unit, place in zip(transcript.units, align(log_probs, transcript.units), strict=True):
        first, end = known.steps_of(place.first, place.end, steps)
        found.append((known.unit_name(unit), first, end, place.probability))

    def told(text: str, first: int, end: int, p: float) -> list[Any]:
        return [text, first, end, p] if times is None else [text, float(times[first]), float(times[end - 1]), p]

    if known.tokens == "word":
        return {"words": [told(*each) for each in found]}
    words: list[tuple[str, int, int, float]] = []
    is_within = False
    for text, first, end, p in found:
        if text.isspace():
            is_within = False
        elif is_within:
            before = words[-1]
            words[-1] = (before[0] + text, before[1], end, min(before[3], p))
        else:
            words.append((text, first, end, p))
            is_within = True
    return {"characters": [told(*each) for each in found], "words": [told(*each) for each in words]}


@functools.lru_cache(maxsize=2)
def language_model(run: str) -> LanguageModel:
    """Loads the language model of a run.

    Raises:
        ConfigError: the run is not of the task lm.
    """
    from ostinato.recipes.registry import task_for, task_of
    from ostinato.recipes.trained import load

    if (name := task_of(run)) != "lm":
        raise ConfigError(f"language_model: expected a run of the task lm, got {run}, which is one of {name}")
    return load(task_for(run), run).model


def tokens_of(known: TranscribeKnown, model: LanguageModel) -> list[int]:
    """The language model's token for each unit; for the blank, that of a line end.

    Raises:
        ConfigError: units and tokens are not of the same kind.
    """
    wanted = "word" if known.tokens == "word" else "char"
    vocabulary = model.vocabulary
    if vocabulary.kind != wanted:
        raise ConfigError(
            f"language_model: expected one of {'words' if wanted == 'word' else 'characters'} (--tokens.kind {wanted}), as the "
            f"transcriber writes these, got one of {vocabulary.kind}"
        )
    found: list[int] = []
    for unit in range(len(known.vocabulary)):
        ids = vocabulary.encode("\n" if unit == BLANK else known.unit_name(unit)).tolist()
        if len(ids) != 1:
            raise ConfigError(
                f"language_model: expected units of one character, got {known.unit_name(unit)!r}; train with --reading.tokens char"
            )
        found.append(ids[0])
    return found


def lexicon(path: str, known: TranscribeKnown) -> Lexicon:
    """Reads the words of a file.

    Raises:
        DataError: the file cannot be read.
        ConfigError: it has no word that the model can write.
    """
    words = [known.normal(word) for _, line in numbered_lines(Path(path).expanduser()) for word in line.split()]
    units = (known.encode(word).tolist() for word in dict.fromkeys(words))
    written = [each for each in units if each and BLANK not in each]
    return Lexicon(written, len(known.vocabulary), known.separator)
