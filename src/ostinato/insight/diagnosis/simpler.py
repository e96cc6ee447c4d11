"""Check whether a simpler model is better, by the figures of both."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from ostinato.insight.diagnosis.finding import Finding, Number
from ostinato.insight.diagnosis.patient import Patient

# Words in the names of figures, such as mae, span_f1, nats_per_token. For others, such as coverage, neither more nor less is
# better.
_SMALL_IS_GOOD = re.compile(r"bits|cer|crps|error|loss|ma?pe|mae|mase|r?mse|nats|nll|perplexity|smape|ter|wer")
_LARGE_IS_GOOD = re.compile(r"accuracy|bleu|chrf|correlation|exact|f1|precision|r2|recall|skill")


def worse_than_simpler(patient: Patient) -> Iterator[Finding]:
    """A simpler model, which counts, copies or repeats, has better figures on the same data."""
    figures, baselines = patient.figures or {}, patient.baselines or {}
    for figure in figures:
        sign = direction(figure)
        others = {name: found[figure] for name, found in baselines.items() if _is_number(found.get(figure))}
        if sign == 0 or not others or not _is_number(figures[figure]):
            continue
        own, name = figures[figure], max(others, key=lambda each: sign * others[each])
        if sign * others[name] <= sign * own:
            return  # the first figure that both have decides: the caller puts the most important one first
        updates = f" after {patient.updates:,} updates" if patient.updates else ""
        yield Finding(
            "worse than a simpler model",
            "warning",
            figure,
            f"{figure.replace('_', ' ')} is {own:.4g}{updates}; that of a simpler model ({name}) is {others[name]:.4g}",
            f"take {name} until the network beats it: train longer (max_time_s=, max_epochs=), try learning_rate times 3 and by 3, "
            "then a larger hidden_size; where validation gets worse while training gets better, dropout= or more data",
            numbers={"network": Number(own, figure), "simpler": Number(others[name], figure)},
        )
        return


def direction(figure: str) -> int:
    """1 if more of a figure is better, -1 if less is better, 0 if it is not known."""
    words = re.split(r"[^a-z0-9]+", figure.lower())
    if any(map(_SMALL_IS_GOOD.fullmatch, words)):
        return -1
    return 1 if any(map(_LARGE_IS_GOOD.fullmatch, words)) else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
