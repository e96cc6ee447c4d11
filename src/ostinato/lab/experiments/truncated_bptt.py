"""How long the chunks of truncated BPTT must be, and how much memory they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.nn import GRU
from ostinato.training import chunks, clip
from ostinato.types import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHUNKS = (2, 4, 8, 16, 32, 64)
HARDLY = 0.2  # above guessing: the most that may be learned with chunks of up to `DELAY` steps
DELAY = 10  # the number of steps after which a symbol must be repeated
_SYMBOLS, _HIDDEN, _ROWS, _UPDATES = 4, 64, 32, 900
_KIBIBYTE = 1024


def stream(steps: int) -> tuple[Tensor, Tensor]:
    """Random symbols, one-hot (T, B, 4), and for each step the symbol of `DELAY` steps before, (T, B)."""
    ids = torch.randint(_SYMBOLS, (steps + DELAY, _ROWS))
    return F.one_hot(ids[DELAY:], _SYMBOLS).float(), ids[:-DELAY]


def train(length: int, updates: int) -> tuple[float, int, int]:
    """Trains a GRU on chunks of `length` steps; each chunk starts from the state at the end of the one before.

    Returns:
        The share of right symbols on new data, and the bytes kept for the backward pass in the second update (the first
        that starts from an earlier state) and in the last.
    """
    layer, head = GRU(_SYMBOLS, _HIDDEN), nn.Linear(_HIDDEN, _SYMBOLS)
    parameters = [*layer.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, 5e-3)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    weights = {parameter.data_ptr() for parameter in parameters}
    sizes = []
    for window in chunks(stream(length * updates), k1=length):
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = head(window.run(layer))
            loss = F.cross_entropy(output.flatten(0, 1), window.target.flatten())
        sizes.append(sum(size for place, size in kept.items() if place not in weights))
        optimizer.zero_grad()
        loss.backward()
        clip(parameters, norm=1.0)
        optimizer.step()
    with torch.no_grad():
        x, target = stream(200)
        right = (head(layer(x)[0]).argmax(-1) == target)[DELAY:]
    return float(right.float().mean()), sizes[1], sizes[-1]


def measure(seed: int, quick: bool) -> Table:
    """By length of the chunks: the share of right symbols, and memory; each with the same number of updates."""
    rows = []
    for length in CHUNKS:
        right, first, last = train(length, 4 if quick else _UPDATES)
        rows.append((length, DELAY, right, 1 / _SYMBOLS, first / _KIBIBYTE, last / _KIBIBYTE))
    return table("chunk_steps delay_steps right_share guessing_share kept_kib kept_at_the_end_kib", rows)


def judge(measured: Table) -> Verdict:
    """Chunks of up to `DELAY` steps learn almost nothing, long ones learn all; memory grows with the length."""
    lengths, right = measured.column("chunk_steps"), measured.column("right_share")
    kept, guess = measured.column("kept_kib"), measured.column("guessing_share")[0]
    short = max(r for length, r in zip(lengths, right, strict=True) if length <= DELAY)
    growth = (kept[-1] - kept[0]) / (lengths[-1] - lengths[0])
    off = max(abs(k - kept[0] - growth * (n - lengths[0])) / k for n, k in zip(lengths, kept, strict=True))
    drift = max(abs(end / k - 1) for k, end in zip(kept, measured.column("kept_at_the_end_kib"), strict=True))
    return Verdict(
        f"To say again a symbol of {DELAY} steps ago, chunks of up to {DELAY} steps are right in {short:.0%} of all cases at most "
        f"(guessing: {guess:.0%}), and chunks of {lengths[-1]} in {right[-1]:.0%}.",
        f"What is kept for the backward pass grows by {growth:.0f} KiB a step, from {kept[0]:.0f} KiB at {lengths[0]} steps to "
        f"{kept[-1]:.0f} KiB at {lengths[-1]}, a straight line to within "
        f"{off:.0%}; it is the same at the second update, the first that carries a state, and at the last to within {drift:.0%}.",
        short < guess + HARDLY and right[-1] > 0.95 and growth > 0 and off < 0.1 and drift < 0.01,
    )


def draw(measured: Table) -> Figure:
    """Left: right symbols. Right: memory."""
    figure, (left, right) = pictures.panels(2)
    lengths = measured.column("chunk_steps")
    left.plot(lengths, [100 * r for r in measured.column("right_share")], "o-", color=pictures.COLOURS[0], linewidth=2)
    left.set_ylim(0, 105)
    left.axvline(DELAY, color=pictures.GREY, linestyle=":")
    left.annotate("what must be known\nlies here", xy=(DELAY * 1.07, 6), color=pictures.GREY, fontsize=9)
    pictures.threshold(left, 100 * measured.column("guessing_share")[0], "guessing", right=True)
    plots.name_axes(left, "chunk (steps)", "right symbols (%)", "Quality")
    right.plot(lengths, measured.column("kept_kib"), "o-", color=pictures.COLOURS[1], linewidth=2)
    right.set_ylim(0)
    plots.name_axes(right, "chunk (steps)", "kept for the backward pass (KiB)", "Memory")
    left.set_xscale("log")
    left.set_xticks(lengths, [str(n) for n in lengths])
    left.minorticks_off()
    return figure


EXPERIMENT = Experiment(
    name="truncated_bptt",
    claim="Truncated BPTT learns what lies within a chunk and hardly more; its memory grows with the chunk, not with the text.",
    source="Williams & Peng 1990; Sutskever 2013, section 2.8.6",
    measure=measure,
    judge=judge,
    draw=draw,
)
