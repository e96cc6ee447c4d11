"""The network beside simpler models: what has it learnt that counting could not?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ostinato.models.fixed_window import FixedWindow
from ostinato.models.markov import compare_orders
from ostinato.recipes.settings import BaselineSettings


def baselines(
    seen: Sequence[np.ndarray], validation: Sequence[np.ndarray], vocabulary_size: int, settings: BaselineSettings
) -> dict[str, float]:
    """Trains the simpler models on what the network has seen and scores them on what it was scored on.

    Args:
        seen: token runs of the training text.
        validation: token runs of the validation text.
        vocabulary_size: V.
        settings: which models, and how large they may be.

    Returns:
        Nats a token by the name of the model: Markov models by order, then the fixed-window model.
    """
    held = sum(len(run) for run in seen)
    share = min(1.0, settings.max_tokens / max(held, 1))
    note = f", {share:.0%} of the text" if share < 1.0 else ""
    seen = [run[: max(1, int(len(run) * share))] for run in seen]
    rows: dict[str, float] = {}
    if settings.markov_orders:
        orders = range(1, settings.markov_orders + 1)
        ids = np.concatenate(validation)
        losses = compare_orders(seen, ids, vocabulary_size, orders, settings.smoothing)
        rows |= {f"Markov, order {order}{note}": nats for order, nats in losses.items()}
    if settings.window:
        model = FixedWindow(vocabulary_size, settings.window)
        model.fit(seen, max_time_s=settings.window_time_s)
        nats = np.concatenate([model.score(run) for run in validation])
        rows[f"fixed window of {settings.window}{note}"] = float(nats.mean())
    return rows
