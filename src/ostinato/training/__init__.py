"""The training loop and its parts: truncated BPTT, budgets, schedules, clipping, run folders, progress.

It trains any module that has `loss(chunk, state) -> (loss, state)`. Names are loaded when they are first used, so that
importing `ostinato.training` loads neither torch nor Lightning.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.training.budget import Budget
    from ostinato.training.clipping import clip
    from ostinato.training.counters import Outcome
    from ostinato.training.device import make_fabric
    from ostinato.training.distributed import Processes
    from ostinato.training.divergence import DivergedError
    from ostinato.training.evaluation import Evaluation, evaluate
    from ostinato.training.loop import fit
    from ostinato.training.progress import Progress
    from ostinato.training.run_folder import RunFolder
    from ostinato.training.schedules import learning_rate_factor
    from ostinato.training.settings import TrainingSettings
    from ostinato.training.truncated_bptt import Chunks, Window, chunks, detach

_HOMES = {
    "Budget": "budget",
    "Chunks": "truncated_bptt",
    "DivergedError": "divergence",
    "Evaluation": "evaluation",
    "Outcome": "counters",
    "Processes": "distributed",
    "Progress": "progress",
    "RunFolder": "run_folder",
    "TrainingSettings": "settings",
    "Window": "truncated_bptt",
    "clip": "clipping",
    "chunks": "truncated_bptt",
    "detach": "truncated_bptt",
    "evaluate": "evaluation",
    "fit": "loop",
    "learning_rate_factor": "schedules",
    "make_fabric": "device",
}

__all__ = [
    "Budget",
    "Chunks",
    "DivergedError",
    "Evaluation",
    "Outcome",
    "Processes",
    "Progress",
    "RunFolder",
    "TrainingSettings",
    "Window",
    "chunks",
    "clip",
    "detach",
    "evaluate",
    "fit",
    "learning_rate_factor",
    "make_fabric",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
