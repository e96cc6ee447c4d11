"""The section of a report that says why the model gave some of its answers."""

from __future__ import annotations

import time

from ostinato.insight.reasons.deletion import deletion
from ostinato.insight.reasons.gradients import integrated_gradients
from ostinato.insight.reasons.pages import LEGEND, check_table, part
from ostinato.models.parts.reading import reading
from ostinato.recipes.inspection.inspected import Inspected

_SHOWN, _CHECKED = 3, 12
_SECONDS = 10.0  # after these, no further example is asked about


def why(run: Inspected) -> str:
    """A few answers with what made them, and whether the answers change when that is deleted."""
    began, pairs = time.monotonic(), []
    for question in run.questions(_CHECKED):
        with reading(run.model):
            pairs.append((question, integrated_gradients(question, most_points=64)))
        if time.monotonic() - began > _SECONDS:
            break
    parts = [part(found, f"why{at}", level=3) for at, (_, found) in enumerate(pairs[:_SHOWN])]
    checked = ""
    if sum(found.values.size > 1 for _, found in pairs):
        with reading(run.model):
            checked = check_table(deletion(pairs))
    return (
        "<p>Which steps, channels and words made an answer, by integrated gradients. <code>ostinato explain</code> says it of any "
        f"other example, and by other methods.</p>{LEGEND}{''.join(parts)}<h3>Taken away</h3>{checked}"
    )
