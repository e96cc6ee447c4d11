"""Training settings for few recordings, of which an epoch is an update or two."""

from __future__ import annotations

import dataclasses

from ostinato.data.batches.batches import Examples
from ostinato.training.run.settings import UpdateSettings

_FEWEST_UPDATES, _FEWEST_ROWS = 900, 8


def for_few(how: UpdateSettings, examples: Examples) -> UpdateSettings:
    """Reduces the batch size, and sets epochs for 900 updates; the number of evaluations stays about the same.

    Args:
        how: the user's settings, or those saved by the run. A budget and a batch size other than the default stay
            unchanged; the batch size does not depend on the budget, as a run can be resumed with another budget.
        examples: the training examples.
    """
    number, epochs, rows = len(examples.lengths), how.budget.max_epochs, how.batch_size
    if rows == type(how).batch_size:
        rows = min(rows, max(_FEWEST_ROWS, number // _FEWEST_ROWS))
    if how.budget != how.default_budget or epochs is None:
        return dataclasses.replace(how, batch_size=rows)
    wanted = max(epochs, float(round(_FEWEST_UPDATES * rows / number)))
    every = how.evaluate_every_epochs
    if how.evaluate_every is None:
        every = max(every or 1.0, wanted // epochs)
    return dataclasses.replace(
        how, batch_size=rows, max_epochs=wanted, max_time_s=how.budget.max_time_s, evaluate_every_epochs=every
    )
