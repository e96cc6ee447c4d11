"""One training: a cell between two linear maps learns a task."""

from __future__ import annotations

import functools
import math
import time
from typing import Any

import torch
from torch import nn

from benchmarks.catalogue.tasks import Task, task
from ostinato import catalogue
from ostinato.errors import OstinatoError
from ostinato.training.update.clipping import clip
from ostinato.types import Tensor

# Features that enter the cell. With the two of a task, a cell without a recurrent product would have thousands of units.
WIDTH = 64
LIKE, LIKE_HIDDEN = "lstm", 64
RATE, NORM = 5e-3, 1.0
LIMIT_S = 30.0  # of one core; most cells need 3 to 8, one that is not compiled would need an hour
_JUDGED_TOGETHER = 100  # rows
_TRIED = 16  # hidden sizes: some cells want an even one, or a multiple of their own


class Reader(nn.Module):
    """A linear map, the cell, a linear map."""

    def __init__(self, cell: str, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(inputs, WIDTH)
        self.recurrent = catalogue.make(cell, WIDTH, hidden)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, input: Tensor) -> Tensor:
        """`input`: (T, B, inputs). Returns (T, B, outputs)."""
        x = self.encoder(input)
        return self.head(self.recurrent(x, **extras(self.recurrent, len(x), x.shape[1]))[0])


def extras(layer: Any, steps: int, rows: int) -> dict[str, Tensor]:
    """What a cell takes beside its input, (T, B, width) each: `t` is the number of the step, all else (times, masks) is 1."""
    sizes = layer.cell.extra_sizes(layer.input_size, layer.hidden_size)
    found = {name: torch.ones(steps, rows, size) for name, size in sizes.items()}
    if "t" in found:
        found["t"] *= torch.arange(1.0, steps + 1)[:, None, None]
    return found


def count(cell: str, hidden: int, outputs: int) -> int:
    """Numbers in the parameters of a cell and of the linear map behind it, those that are not learned too."""
    shapes = catalogue.cell(cell).parameter_sizes(WIDTH, hidden)
    return sum(math.prod(shape) for shape in shapes.values()) + (hidden + 1) * outputs


@functools.cache
def equal_hidden(cell: str, outputs: int) -> int:
    """The hidden size with which a cell has as near as can be as many parameters as the LSTM."""
    wanted = count(LIKE, LIKE_HIDDEN, outputs)
    every = range(1, wanted // (outputs + 1))
    nearest = sorted(every, key=lambda hidden: abs(count(cell, hidden, outputs) - wanted))[:_TRIED]
    for hidden in nearest:
        try:
            Reader(cell, 1, hidden, outputs)(torch.zeros(2, 1, 1))
        except (OstinatoError, ValueError, RuntimeError):
            continue
        return hidden
    # None will do: let the training say why.
    return nearest[0]


def train(cell: str, name: str, seed: int, quick: bool = False) -> dict[str, Any]:
    """What is written of a training: the error, or why there is none."""
    began = time.process_time()
    try:
        found = learn(cell, task(name, quick), seed)
    except Exception as error:  # whatever a cell cannot do; the page says it
        return {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
    return {**found, "cpu_s": round(time.process_time() - began, 1)}


def learn(cell: str, of: Task, seed: int) -> dict[str, Any]:
    """Train, and judge the weights at the end. A loss that is not finite ends it, and is as bad as guessing.

    After `LIMIT_S` it ends too; the weights are judged as they are, and `stopped` is the number of updates.
    """
    lab = of.lab
    hidden = equal_hidden(cell, lab.outputs)
    torch.manual_seed(seed)
    model = Reader(cell, lab.inputs, hidden, lab.outputs)
    found: dict[str, Any] = {"hidden": hidden, "parameters": count(cell, hidden, lab.outputs)}
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, of.updates)
    began = time.process_time()
    for update in range(of.updates):
        if time.process_time() - began > LIMIT_S:
            found["stopped"] = update
            break
        batch = lab.make(of.length, of.rows)
        optimizer.zero_grad()
        loss = lab.loss(model(batch.input), batch.target)
        if not math.isfinite(loss.item()):
            return found | {"diverged": update}
        loss.backward()
        clip(parameters, norm=NORM)
        optimizer.step()
        schedule.step()
    error = judge(model.eval(), of)
    return found | ({"error": error} if math.isfinite(error) else {"diverged": of.updates})


@torch.no_grad()
def judge(model: Reader, of: Task) -> float:
    """The error over all rows, some at a time: the states of a cell may be matrices."""
    batch = of.judged()
    inputs, targets = (v.split(_JUDGED_TOGETHER, 1 if v.dim() > 1 else 0) for v in batch)
    parts = [(of.lab.error(model(x), y), x.shape[1]) for x, y in zip(inputs, targets, strict=True)]
    return sum(error * rows for error, rows in parts) / batch.input.shape[1]
