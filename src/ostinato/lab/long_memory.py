"""What three experiments share: which cell solves which task at which length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Table, Verdict, table
from ostinato.lab.tasks import LabTask
from ostinato.nn import GRU, LSTM, RHN, RNN, MinGRU, chrono
from ostinato.training.update.clipping import clip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELLS: dict[str, Callable[..., Any]] = {
    "RNN": RNN,
    "GRU": GRU,
    "LSTM": LSTM,
    "RHN": lambda *sizes, **options: RHN(*sizes, depth=2, **options),
    # Its gates do not see the state; in a second layer they see the output of the first.
    "minGRU": lambda *sizes, **options: MinGRU(*sizes, num_layers=2, **options),
}
_HIDDEN, _ROWS = 32, 32
_LOOK_EVERY = 25  # updates between two evaluations on new data, of this many rows
_LOOK_ROWS = 256


def learn(task: LabTask, cell: str, length: int, updates: int, rate: float) -> tuple[float, int]:
    """Trains one network until the task is solved or the updates are used up; gates start as chrono(length).

    Returns:
        The lowest error on new data of all evaluations, and the number of updates made.
    """
    options = {} if cell == "RNN" else {"init": chrono(max(length, 4))}
    layer, head = CELLS[cell](task.inputs, _HIDDEN, **options), nn.Linear(_HIDDEN, task.outputs)
    parameters = [*layer.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, rate)
    lowest = float("inf")
    for update in range(1, updates + 1):
        batch = task.make(length, _ROWS)
        optimizer.zero_grad()
        task.loss(head(layer(batch.input)[0]), batch.target).backward()
        clip(parameters, norm=1.0)
        optimizer.step()
        if update % _LOOK_EVERY == 0 or update == updates:
            with torch.no_grad():
                fresh = task.make(length, _LOOK_ROWS)
                lowest = min(lowest, task.error(head(layer(fresh.input)[0]), fresh.target))
            if lowest < task.solved:
                return lowest, update
    return lowest, updates


def measure(task: LabTask, lengths: Sequence[int], updates: int, rate: float, quick: bool) -> Table:
    """Trains every cell at every length; a quick run takes the first length and a few updates."""
    rows = []
    for length in lengths[:1] if quick else lengths:
        for cell in CELLS:
            # A plain network may need a smaller learning rate than a gated one, so it is trained with two.
            rates = (rate, rate / 5) if cell == "RNN" else (rate,)
            tries = [learn(task, cell, length, 10 if quick else updates, rate) for rate in rates]
            error, made = min(tries)
            rows.append((cell, length, error, task.guessing, error < task.solved, made))
    return table("cell length_steps error guessing_error is_solved updates", rows)


def longest_solved(measured: Table) -> dict[str, int]:
    """For each cell, the greatest length such that it solved all lengths up to there; 0 for none."""
    found = {}
    for cell in measured.kinds("cell"):
        part = measured.where(cell=cell)
        found[cell] = 0
        for length, solved in zip(part.column("length_steps"), part.column("is_solved"), strict=True):
            if not solved:
                break
            found[cell] = length
    return found


def judge(measured: Table, what: str, carriers: Sequence[str]) -> Verdict:
    """Each of the `carriers` solves at least twice the length that the RNN solves, and at least twice the shortest."""
    solved = longest_solved(measured)
    lengths = measured.column("length_steps")
    said = ", ".join(f"{cell} {length or 'none'}" for cell, length in solved.items())
    at_end = {cell: measured.one("error", cell=cell, length_steps=max(lengths)) for cell in solved}
    best = min(at_end, key=lambda cell: at_end[cell])
    return Verdict(
        f"The longest {what}, in steps: {said}.",
        f"At {max(lengths)} steps the error is {at_end['RNN']:.3f} for the RNN, {at_end['LSTM']:.3f} for the LSTM and lowest for "
        f"the {best}, {at_end[best]:.3f}; guessing gives {measured.column('guessing_error')[0]:.3f}.",
        all(solved[cell] >= 2 * max(solved["RNN"], min(lengths)) for cell in carriers),
    )


def draw(measured: Table, title: str, error: str) -> Figure:
    """Left: errors by length. Right: the longest length that was solved."""
    figure, (left, right) = pictures.panels(2)
    series = {}
    for cell in measured.kinds("cell"):
        part = measured.where(cell=cell)
        series[cell] = (part.column("length_steps"), part.column("error"))
    pictures.threshold(left, measured.column("guessing_error")[0], "guessing", below=True)
    plots.name_axes(left, "length (steps)", error, title)
    lengths = measured.kinds("length_steps")
    if len(lengths) > 1:
        left.set_xscale("log")
        left.set_xticks(lengths, [str(length) for length in lengths])
        left.minorticks_off()
    pictures.lines(left, series, marker="o")
    pictures.bars(right, {cell: float(length) for cell, length in longest_solved(measured).items()}, "{:.0f}")
    plots.name_axes(right, "", "longest length that is solved (steps)", "Solved")
    return figure
