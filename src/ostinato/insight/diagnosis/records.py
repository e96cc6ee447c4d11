"""Checks of the metrics that training wrote: clipping, divergence, overfitting."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median

from ostinato.insight.diagnosis.finding import Finding, Number
from ostinato.insight.diagnosis.patient import Patient

_LINES = 20  # the least number of lines for a check
# Clipping in nearly every step gives all updates one length, however steep the loss is. The demo run (clip_norm 1, LSTM of 512
# units) clips in none of 63 lines, with norms of 0.23 to 0.57; occasional clipping is normal.
_CLIPPED = 0.95
# The rise of the loss from the best tenth to the last tenth, as a share of its whole fall. In the demo run, which is healthy, it is
# 0.05 (1.22 to 1.33 between lines, from 3.64 at first): noise of minibatches. A quarter is more than noise.
_LOST = 0.25
# The rise of the validation loss above its best value, as a share. In the demo run it falls at all six evaluations; the last two
# differ by 1.3 %. A loss can be negative (log density); then the share of its whole fall is used.
_WORSE = 0.05


def clipping_always(patient: Patient) -> Iterator[Finding]:
    """The gradient is clipped in nearly every step."""
    norms = _column(patient, "gradient_norm")
    if patient.clip_norm is None or len(norms) < _LINES:
        return
    share = sum(norm > patient.clip_norm for norm in norms) / len(norms)
    if share < _CLIPPED:
        return
    typical = median(norms)
    yield Finding(
        "clipping in nearly every step",
        "warning",
        "clip_norm",
        f"the gradient was longer than clip_norm={patient.clip_norm:g} in {share:.0%} of {len(norms)} lines "
        f"(median norm {typical:.3g}): every update has the same length, however steep the loss is",
        f"raise clip_norm to about {_round_up(2 * typical):g}, or lower learning_rate and set it by that alone",
        numbers={
            "share": Number(share),
            "median_norm": Number(typical, "gradient norm"),
            "clip_norm": Number(patient.clip_norm, "gradient norm"),
        },
    )


def loss_rises_again(patient: Patient) -> Iterator[Finding]:
    """The training loss has fallen and risen again."""
    losses = _column(patient, "loss")
    if len(losses) < _LINES:
        return
    size = max(len(losses) // 10, 2)
    tenths = [median(losses[at : at + size]) for at in range(0, len(losses) - size + 1, size)]
    # For the present loss use the last lines themselves, as the last full tenth may end before them.
    first, best, last = tenths[0], min(tenths), median(losses[-size:])
    if last - best > _LOST * (first - best) and last - best > 0.1 * abs(best):
        at = tenths.index(best) * size
        yield Finding(
            "training loss rises again",
            "fault",
            "learning_rate",
            f"the loss fell from {first:.3g} to {best:.3g} (line {at + 1} of {len(losses)}) and is {last:.3g} now",
            "lower learning_rate, let warmup= and a schedule end it, and clip_norm=; go on from the best checkpoint",
            numbers={"best": Number(best, "loss"), "last": Number(last, "loss"), "first": Number(first, "loss")},
        )


def overfitting(patient: Patient) -> Iterator[Finding]:
    """Validation gets worse while training gets better."""
    validation, training = _column(patient, "validation_loss"), _column(patient, "loss")
    if len(validation) < 4 or len(training) < 4:
        return
    best = min(validation)
    last = min(validation[-2:])  # a single bad evaluation does not count
    at = validation.index(best)
    then = training[min(int(len(training) * (at + 1) / len(validation)), len(training) - 1)]
    now = median(training[-3:])
    if last - best > _WORSE * (best if best > 0 else validation[0] - best) and now < then:
        yield Finding(
            "overfitting",
            "warning",
            "validation_loss",
            f"validation was best at evaluation {at + 1} of {len(validation)} ({best:.3g}) and is {last:.3g} now, "
            f"while the training loss fell from {then:.3g} to {now:.3g}",
            "stop there (patience=), raise dropout= or weight_dropout=, make hidden_size= smaller, or use more text",
            numbers={"best": Number(best, "loss"), "last": Number(last, "loss"), "training": Number(now, "loss")},
        )


def _column(patient: Patient, name: str) -> list[float]:
    values = [line[name] for line in patient.history if line.get(name) is not None]
    return [float(value) for value in values if math.isfinite(float(value))]


def _round_up(value: float) -> float:
    """Round up to one significant digit."""
    if value <= 0:
        return value
    scale = 10.0 ** math.floor(math.log10(value))
    return math.ceil(value / scale) * scale
