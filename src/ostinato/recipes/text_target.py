"""A text that is written, whatever it is written about: which of those that a model can write, and how good they are."""

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
    """The beam that the settings of a task's answers say, see `check_answering`.

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
    """The texts of each row, best first: those of a beam, or one that is greedy or drawn.

    Args:
        how: the settings of a task's answers.
        write: of a model, with what it reads: see `Seq2Seq.write`.
        search: likewise, see `Seq2Seq.translate`.
        seed: of what is drawn.
        **given: arguments of both.
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
    """BLEU and chrF, 0 to 100, as sacreBLEU computes them, and how it signs them; without a text 0 and no signature.

    Args:
        written: N texts.
        wanted: for each of them those that are right.
        lower_case: do not look at case.
        tokenize: how sacreBLEU splits texts for BLEU.
        effective_order: whether BLEU has only the runs of words that a text is long enough for.
    """
    with needed():
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF

    if not written:
        return dict.fromkeys(_METRICS, (0.0, ""))
    # A stream of references for each text that may be right.
    streams: list[Any] = [
        [texts[n] if n < len(texts) else None for texts in wanted] for n in range(max(map(len, wanted)))
    ]
    # force: it would else warn of texts that look as if their punctuation had been cut off.
    bleu = BLEU(lowercase=lower_case, tokenize=tokenize, effective_order=effective_order, force=True)
    scores: dict[str, tuple[float, str]] = {}
    for name, metric in zip(_METRICS, (bleu, CHRF(lowercase=lower_case)), strict=True):
        score = float(metric.corpus_score(written, streams).score)
        scores[name] = score, str(metric.get_signature())  # the number of references is part of it
    return scores


def checksum(ids: Iterable[np.ndarray], *before: bytes) -> str:
    """Of texts as tokens, and of what is `before` them."""
    digest = hashlib.sha256()
    for each in before:
        digest.update(each)
    for each in ids:
        digest.update(len(each).to_bytes(8, "little") + each.tobytes())
    return digest.hexdigest()


def _set(how: Any, *names: str) -> dict[str, Any]:
    """Those of the settings that the task has."""
    return {name: getattr(how, name) for name in names if hasattr(how, name)}
