"""Questions whose replies are known."""

import numpy as np
import torch

from ostinato.insight.reasons.question import Question


def question(model, answer, x, base=None, channels=(), **changes):
    """About `x`, (T, 1, F), against zeros."""
    steps = tuple(map(str, range(len(x))))
    base = torch.zeros_like(x) if base is None else base
    return Question(model, answer, x, base, "it", "units", steps, channels, **changes)


def of_numbers(function, values, channels=()):
    """Of a function of (T, K, F), without a model."""
    x = torch.tensor(np.asarray(values), dtype=torch.float32)
    x = x[:, None, None] if x.dim() == 1 else x[:, None]
    return question(torch.nn.Identity(), lambda model, v: function(v), x, channels=channels)
