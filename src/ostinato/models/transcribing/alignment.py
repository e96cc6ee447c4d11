"""Alignment of frames with the units of a text: the probability of a text, its best path, and the text of a path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from ostinato.nn.lengths import moved
from ostinato.types import Lengths

BLANK = 0


@dataclass(frozen=True)
class Aligned:
    """The place of a unit of a text.

    Attributes:
        first: its first frame.
        end: the frame after its last.
        probability: the highest probability of the unit in these frames.
    """

    first: int
    end: int
    probability: float


def frames_needed(units: Sequence[int] | np.ndarray) -> int:
    """The fewest frames that a text needs: one a unit, and a blank between two equal units."""
    found = np.asarray(units)
    return len(found) + int((found[1:] == found[:-1]).sum())


def text_nats(
    log_probs: torch.Tensor, lengths: Lengths | None, target: torch.Tensor, target_lengths: torch.Tensor
) -> torch.Tensor:
    """- log p(text | frames) of each row, (B,) float32 or float64, over all paths; infinite if there is no path.

    Args:
        log_probs: (T, B, V), of the units; unit 0 is the blank.
        lengths: (B,) from 1 to T, or None for T.
        target: (S, B) int64, units from 1 to V - 1.
        target_lengths: (B,) from 0 to S.
    """
    T, B, _ = log_probs.shape
    frames = torch.full((B,), T) if lengths is None else moved(lengths, torch.device("cpu"))
    # Torch has this loss on no other device.
    values = log_probs if log_probs.device.type in ("cpu", "cuda") else log_probs.cpu()
    nats = F.ctc_loss(
        values,
        target.T.to(values.device),
        frames.to(values.device),
        target_lengths.to(values.device),
        blank=BLANK,
        reduction="none",
        zero_infinity=False,
    )
    return nats.to(log_probs.device)


def greedy_paths(log_probs: torch.Tensor, lengths: Lengths | None = None) -> list[list[int]]:
    """The text of the likeliest path of each row, without its repeats, and then without its blanks.

    Args:
        log_probs: (T, B, V).
        lengths: (B,) from 1 to T, or None for T.
    """
    best = log_probs.argmax(-1)
    before = torch.zeros_like(best)
    before[1:] = best[:-1]
    T, B = best.shape
    ends = torch.full((B,), T) if lengths is None else moved(lengths, torch.device("cpu"))
    is_new = ((best != BLANK) & (best != before)).cpu() & (torch.arange(T)[:, None] < ends)
    columns, kept = best.cpu().T, is_new.T
    return [columns[row][kept[row]].tolist() for row in range(B)]


def align(log_probs: np.ndarray, units: Sequence[int]) -> list[Aligned]:
    """The frames of each unit on the likeliest path that gives the text (Viterbi).

    Args:
        log_probs: (T, V) of one row.
        units: the text; it must fit, see `frames_needed`.

    Returns:
        A place for each unit, in order; they do not overlap.
    """
    if not len(units):
        return []
    T, S = len(log_probs), 2 * len(units) + 1
    path = np.full(S, BLANK)  # blanks around and between the units
    path[1::2] = units
    may_skip = np.zeros(S, dtype=bool)  # the blank between two different units may be skipped
    may_skip[3::2] = path[3::2] != path[1:-2:2]
    scores = log_probs[:, path].astype(np.float64)
    best = np.full(S, -np.inf)
    best[:2] = scores[0, :2]
    back = np.zeros((T, S), dtype=np.int8)
    for t in range(1, T):
        ways = np.full((3, S), -np.inf)
        ways[0], ways[1, 1:] = best, best[:-1]
        ways[2, 2:] = np.where(may_skip[2:], best[:-2], -np.inf)
        back[t] = ways.argmax(0)
        best = ways.max(0) + scores[t]
    at = S - 1 if best[S - 1] >= best[S - 2] else S - 2
    found: list[list[int]] = [[] for _ in units]
    for t in range(T - 1, -1, -1):
        if at % 2:
            found[at // 2].append(t)
        at -= int(back[t, at])
    return [
        Aligned(frames[-1], frames[0] + 1, float(np.exp(max(log_probs[t, unit] for t in frames))))
        for frames, unit in zip(found, units, strict=True)
    ]
