"""Occlusion: delete a step, and see how the answer changes. It needs no gradient and no theory, so it can check other methods.

Source: Zeiler & Fergus 2014, arXiv 1311.2901, section 4.2; Li, Monroe & Jurafsky 2016, arXiv 1612.08220, (1), for words.
"""

from __future__ import annotations

import numpy as np

from ostinato.insight.reasons.gradients import check_finite
from ostinato.insight.reasons.question import Question, Reasons

MOST_RUNS = 2048


def occlusion(question: Question, *, most_runs: int = MOST_RUNS) -> Reasons:
    """How far the answer falls if a step, or a channel at a step, is replaced by the baseline.

    The sum of the contributions has no meaning: two steps with the same information hardly change the answer one by one.

    Args:
        question: the answer to explain.
        most_runs: the greatest number of variants to run, at least 1. If there are more steps and channels, neighbouring steps are
            deleted together, and share the change evenly.
    """
    steps, channels = question.shape
    width = -(-steps * channels // most_runs)
    hidden = []
    for start in range(0, steps, width):
        for channel in range(channels):
            mask = np.zeros((steps, channels), dtype=bool)
            mask[start : start + width, channel] = True
            hidden.append(mask)
    everything, nothing = np.ones((steps, channels), dtype=bool), np.zeros((steps, channels), dtype=bool)
    value, base, *left = question.without([nothing, everything, *hidden]).double().tolist()
    check_finite(question, value, base)
    values = np.zeros((steps, channels))
    for mask, other in zip(hidden, left, strict=True):
        values += mask * ((value - other) / mask.sum())
    return Reasons.of(question, "occlusion", value, base, values)
