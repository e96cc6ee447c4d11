"""Texts that a model writes, in any task: choosing among those that it can write, and scoring them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ostinato.extras import needed
from ostinato.models.writing.beam import BeamSettings
from ostinato.models.writing.decoding import Hypothesis

_METRICS = ("bleu", "chrf")


def beam_settings(how: Any) -> BeamSettings:
    """The beam search settings in a task's settings of answers, see `check_answering`.

    Raises:
        ConfigError: a number is out of its range.
    """
    return BeamSettings(how.beam, **_set(how, "length_penalty", "coverage_penalty", "n_best"))


def hypotheses(
    how: Any,
    write: Callable[..., list[Hypothesis]],
    search: Callable[..., list[list[Hypothesis]]],
    *,
    seed: int,
    **given: Any,
) -> list[list[Hypothesis]]:
    """The texts of each row, best first: those of a beam search, or a single one that is greedy or drawn.

    Args:
        how: the settings of a task's answers.
        write: the model's method that writes one text a row, such as `Seq2Seq.write`.
        search: the model's method for beam search, such as `Seq2Seq.translate`.
        seed: the seed of drawn texts.
        **given: arguments of both methods.
    """
    if how.temperature or how.beam == 1:
        drawn = write(seed=seed, **_set(how, "temperature", "top_k", "top_p"), **given)
        return [[each] for each in drawn]
    return search(beam=beam_settings(how), **given)


def scores_of_texts(
    written: Sequence[str],
    wanted: Sequence[Sequence[str]],
    *,
    lower_case: bool = False,
    tokenize: str = "13a",
    effective_order: bool = False,
) -> dict[str, tuple[float, str]]:
    """BLEU and chrF, 0 to 100, as sacreBLEU computes them, each with its signature; without texts 0 and no signature.

    Args:
        written: N texts.
        wanted: for each text its references.
        lower_case: do not look at case.
        tokenize: how sacreBLEU splits texts for BLEU.
        effective_order: whether BLEU leaves out n-grams that are longer than the text.
    """
    with needed():
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF

    if not written:
        return dict.fromkeys(_METRICS, (0.0, ""))
    # The n-th stream has the n-th reference of each text, or None.
    streams: list[Any] = [
        [texts[n] if n < len(texts) else None for texts in wanted] for n in range(max(map(len, wanted)))
    ]
    # force: otherwise it warns about texts that look as if their punctuation had been cut off.
    bleu = BLEU(lowercase=lower_case, tokenize=tokenize, effective_order=effective_order, force=True)
    scores: dict[str, tuple[float, str]] = {}
    for name, metric in zip(_METRICS, (bleu, CHRF(lowercase=lower_case)), strict=True):
        score = float(metric.corpus_score(written, streams).score)
        scores[name] = score, str(metric.get_signature())  # the number of references is part of it
    return scores


def checksum(ids: Iterable[np.ndarray], *before: bytes) -> str:
    """A checksum of texts as token ids, and of the bytes `before` them."""
    digest = hashlib.sha256()
    for each in before:
        digest.update(each)
    for each in ids:
        digest.update(len(each).to_bytes(8, "little") + each.tobytes())
    return digest.hexdigest()


def _set(how: Any, *names: str) -> dict[str, Any]:
    """The settings with these names that the task has."""
    return {name: getattr(how, name) for name in names if hasattr(how, name)}
