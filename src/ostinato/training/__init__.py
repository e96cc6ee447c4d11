"""The training loop and its parts: truncated BPTT, budgets, schedules, clipping, run folders, progress.

It trains any module that has `loss(chunk, state) -> (loss, state)`. Names are loaded when they are first used, so that
importing `ostinato.training` loads neither torch nor Lightning.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.training.budget import Budget
    from ostinato.training.chunks import TruncatedBPTT, detach
    from ostinato.training.clipping import clip
    from ostinato.training.counters import Outcome
    from ostinato.training.divergence import DivergedError
    from ostinato.training.evaluation import Evaluation, evaluate
    from ostinato.training.loop import fit
    from ostinato.training.progress import Progress
    from ostinato.training.run_folder import RunFolder
    from ostinato.training.schedules import learning_rate_factor
    from ostinato.training.settings import TrainingSettings

_HOMES = {
    "Budget": "budget",
    "DivergedError": "divergence",
    "Evaluation": "evaluation",
    "Outcome": "counters",
    "Progress": "progress",
    "RunFolder": "run_folder",
    "TrainingSettings": "settings",
    "TruncatedBPTT": "chunks",
    "clip": "clipping",
    "detach": "chunks",
    "evaluate": "evaluation",
    "fit": "loop",
    "learning_rate_factor": "schedules",
}

__all__ = [
    "Budget",
    "DivergedError",
    "Evaluation",
    "Outcome",
    "Progress",
    "RunFolder",
    "TrainingSettings",
    "TruncatedBPTT",
    "clip",
    "detach",
    "evaluate",
    "fit",
    "learning_rate_factor",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
