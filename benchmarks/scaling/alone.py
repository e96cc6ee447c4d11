"""What one process does alone: the update, a checkpoint, reading its input, the loss of validation."""

from __future__ import annotations

import copy
import itertools
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.scaling.workloads import Prepared
from ostinato.training.loop.evaluation import evaluate
from ostinato.training.run.checkpoints import Checkpoints
from ostinato.training.update.clipping import clip
from ostinato.training.update.optimizers import make_optimizer

_BATCHES = 6


def alone(prepared: Prepared, rows: int, folder: Path) -> dict[str, Any]:
    """Seconds, and sizes.

    Args:
        prepared: what is trained.
        rows: of a batch.
        folder: for a checkpoint.
    """
    model, settings = copy.deepcopy(prepared.model), prepared.settings
    parameters = list(model.parameters())
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    optimizer = make_optimizer(
        settings.optimizer,
        parameters,
        learning_rate=1e-6,
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        fused=True,
    )

    def update() -> None:
        clip(parameters, norm=settings.clip_norm, value=settings.clip_value)
        optimizer.step()

    update_s = median_s(update)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    place = folder / "state"
    place.mkdir(exist_ok=True)
    checkpoints, numbers = Checkpoints(place), itertools.count(1)
    checkpoint_s = median_s(lambda: checkpoints.write(next(numbers), state), least=3)
    written = max(file.stat().st_size for file in place.iterdir())
    shutil.rmtree(place)
    reading_s, batches = _reading(prepared, rows)
    began = time.perf_counter()
    evaluate(copy.deepcopy(prepared.model), batches)
    validation_s = time.perf_counter() - began
    evaluation_s = None
    if prepared.evaluate is not None:
        began = time.perf_counter()
        prepared.evaluate()
        evaluation_s = time.perf_counter() - began
    return {
        "parameters": sum(each.numel() for each in parameters),
        "tensors": len(parameters),
        "items": prepared.items,
        "update_s": update_s,
        "checkpoint_bytes": written,
        "checkpoint_s": checkpoint_s,
        "reading_s": reading_s / rows,
        "row_bytes": _bytes_of(batches[0]) / rows,
        "validation_s": validation_s / (len(batches) * rows * prepared.items),
        "evaluation_s": evaluation_s,
        "rows": rows,
    }


def _reading(prepared: Prepared, rows: int) -> tuple[float, list[Any]]:
    """Seconds of a batch, and some."""
    batches = prepared.batches(rows, 0, 1)
    source = (batch for _ in itertools.count() for batch in batches)  # over the end of an epoch
    found = [next(source) for _ in range(_BATCHES)]
    return median_s(lambda: next(source), budget_s=0.3), found


def _bytes_of(batch: Any) -> int:
    return sum(each.nbytes for each in vars(batch).values() if isinstance(each, torch.Tensor))


def median_s(call: Callable[[], object], budget_s: float = 0.4, least: int = 5) -> float:
    """Seconds of a call, the median."""
    call()
    took: list[float] = []
    while len(took) < least or sum(took) < budget_s:
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return statistics.median(took)
