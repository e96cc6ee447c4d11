"""Comparing the network with simpler models: what has it learnt that counting could not?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ostinato.models.text.fixed_window import FixedWindow
from ostinato.models.text.markov import compare_orders_on
from ostinato.recipes.lm.settings import BaselineSettings


def baselines(
    seen: Sequence[np.ndarray],
    texts: Mapping[str, Sequence[np.ndarray]],
    vocabulary_size: int,
    settings: BaselineSettings,
) -> dict[str, dict[str, float]]:
    """Trains the simpler models on what the network has seen and scores them on what it was scored on.

    Args:
        seen: token runs of the training text.
        texts: the token runs of each part of the data, by name, such as "validation".
        vocabulary_size: V, the number of tokens in the vocabulary.
        settings: which models, and how large they may be.

    Returns:
        For each part, the loss in nats a token by the name of the model: Markov models by order, then the fixed-window
        model.
    """
    held = sum(len(run) for run in seen)
    share = min(1.0, settings.max_tokens / max(held, 1))
    note = f", {share:.0%} of the text" if share < 1.0 else ""
    seen = [run[: max(1, int(len(run) * share))] for run in seen]
    rows: dict[str, dict[str, float]] = {part: {} for part in texts}
    if settings.markov_orders:
        orders = range(1, settings.markov_orders + 1)
        ids = [runs[0] if len(runs) == 1 else np.concatenate(runs) for runs in texts.values()]
        found = compare_orders_on(ids, seen, vocabulary_size, orders, settings.smoothing)
        for part, losses in zip(texts, found, strict=True):
            rows[part] |= {f"Markov, order {order}{note}": nats for order, nats in losses.items()}
    if settings.window:
        model = FixedWindow(vocabulary_size, settings.window)
        model.fit(seen, max_time_s=settings.window_time_s)
        for part, runs in texts.items():
            scored = [model.score(run) for run in runs]
            nats = sum(float(each.sum()) for each in scored) / sum(map(len, scored))
            rows[part][f"fixed window of {settings.window}{note}"] = nats
    return rows
