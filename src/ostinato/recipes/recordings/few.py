"""How few recordings are trained on: an epoch of them is an update or two."""

from __future__ import annotations

import dataclasses

from ostinato.data.batches.batches import Examples
from ostinato.training.run.settings import UpdateSettings

_FEWEST_UPDATES, _FEWEST_ROWS = 900, 8


def for_few(how: UpdateSettings, examples: Examples) -> UpdateSettings:
    """Smaller batches, and so many epochs that the weights have 900 updates; evaluated as often as otherwise, on the whole.

    Args:
        how: as a user says, or as a run has kept it. A budget and a batch size that are not the default ones stay as they
            are; the batch size does not hang on the budget, for a run is resumed with another.
        examples: to train on.
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
