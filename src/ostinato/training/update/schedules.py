"""Learning rate schedules, as functions of the used share of the budget.

The argument is this progress, not the step number, so that the same schedule serves a budget of steps, of epochs or of seconds.
Only the schedule "epochs" counts passes over the data.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

from ostinato.errors import ConfigError

Schedule: TypeAlias = Literal["constant", "linear", "cosine", "step", "epochs"]


def learning_rate_factor(
    progress: float,
    schedule: Schedule = "cosine",
    *,
    warmup: float = 0.0,
    final: float = 0.0,
    decay: float = 0.5,
    decay_start: float = 0.5,
    decay_every: float = 0.1,
    epochs: int = 0,
    decay_after_epochs: float = 0.0,
) -> float:
    """The factor of the learning rate when a share `progress` of the budget is used.

    While p < w (p progress, w warm-up) it is p / w. Then, with q = (p - w) / (1 - w):

    | schedule | factor |
    | --- | --- |
    | constant | 1 |
    | linear | 1 - (1 - final) q |
    | cosine | final + (1 - final) (1 + cos(pi q)) / 2 (Loshchilov & Hutter 2017, eq. 5, one period) |
    | step | 1 before `decay_start`, then decay^(1 + floor((p - decay_start) / decay_every)) |
    | epochs | decay^max(0, epochs + 1 - decay_after_epochs) (Zaremba et al. 2014, section 4.1, as in its code) |

    Args:
        progress: used share of the budget; values outside [0, 1] count as the nearest end.
        schedule: one of the names above.
        warmup: share of the budget over which the factor rises from 0, in [0, 1).
        final: factor at the end of "linear" and "cosine", in [0, 1].
        decay: factor of each decay of "step" and "epochs".
        decay_start: progress at the first decay of "step".
        decay_every: progress between two decays of "step".
        epochs: passes over the data completed, for "epochs".
        decay_after_epochs: passes before the first decay of "epochs".

    Raises:
        ConfigError: there is no such schedule.
    """
    if schedule not in get_args(Schedule):
        raise ConfigError(f"schedule: expected one of {', '.join(get_args(Schedule))}, got {schedule}")
    p = min(max(progress, 0.0), 1.0)
    if p < warmup:
        return p / warmup
    q = (p - warmup) / (1.0 - warmup)
    if schedule == "linear":
        return 1.0 - (1.0 - final) * q
    if schedule == "cosine":
        return final + (1.0 - final) * (1.0 + math.cos(math.pi * q)) / 2.0
    if schedule == "step" and p >= decay_start:
        # The tolerance rounds a progress such as 0.6 = 0.5 + 0.1, which is slightly lower as a float, up.
        return decay ** (1 + math.floor((p - decay_start) / decay_every + 1e-9))
    if schedule == "epochs":
        return decay ** max(0.0, epochs + 1 - decay_after_epochs)
    return 1.0
