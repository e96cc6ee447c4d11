"""The training loop and its parts: truncated BPTT, budgets, schedules, clipping, run folders, progress.

It trains any module that has `loss(chunk, state) -> (loss, state)`. Names are loaded when they are first used, so that
importing `ostinato.training` loads neither torch nor Lightning.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.training.distributed.device import make_fabric
    from ostinato.training.distributed.processes import Processes
    from ostinato.training.loop.budget import Budget
    from ostinato.training.loop.counters import Outcome
    from ostinato.training.loop.divergence import DivergedError
    from ostinato.training.loop.evaluation import Evaluation, evaluate
    from ostinato.training.loop.loop import fit
    from ostinato.training.loop.progress import Progress
    from ostinato.training.run.run_folder import RunFolder
    from ostinato.training.run.settings import TrainingSettings
    from ostinato.training.update.clipping import clip
    from ostinato.training.update.schedules import learning_rate_factor
    from ostinato.training.update.truncated_bptt import BPTTWindow, Chunks, chunks, detach

_HOMES = {
    "Budget": "loop.budget",
    "Chunks": "update.truncated_bptt",
    "DivergedError": "loop.divergence",
    "Evaluation": "loop.evaluation",
    "Outcome": "loop.counters",
    "Processes": "distributed.processes",
    "Progress": "loop.progress",
    "RunFolder": "run.run_folder",
    "TrainingSettings": "run.settings",
    "BPTTWindow": "update.truncated_bptt",
    "clip": "update.clipping",
    "chunks": "update.truncated_bptt",
    "detach": "update.truncated_bptt",
    "evaluate": "loop.evaluation",
    "fit": "loop.loop",
    "learning_rate_factor": "update.schedules",
    "make_fabric": "distributed.device",
}

__all__ = [
    "BPTTWindow",
    "Budget",
    "Chunks",
    "DivergedError",
    "Evaluation",
    "Outcome",
    "Processes",
    "Progress",
    "RunFolder",
    "TrainingSettings",
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
