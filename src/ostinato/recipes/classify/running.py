"""A classifier's answers while a recording is still coming: probabilities after every step, and when they are sure.

A network that learns from whole recordings is too sure after the first steps of one. So its logits z after k steps are
multiplied by a scale of their own, s_b for k from 2^b to below 2^(b + 1), each fitted to the validation data like the
scale of whole recordings (Guo et al. 2017, section 4.2): answers with probability 0.9 are then right nine times in ten,
early and late.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ostinato.data.batches.batches import Batch, InOrder
from ostinato.errors import ConfigError
from ostinato.models.classifying.calibration import best_scales
from ostinato.models.classifying.classifier import Classifier
from ostinato.models.parts.reading import reading
from ostinato.recipes.recordings.examples import RecordingExamples

_MOST_RECORDINGS, _ROWS, _LOOKS = 200, 32, 16
CONFIDENCE = 0.9


@dataclass(frozen=True)
class ClassifyAnswering:
    """How a classifier answers.

    Args:
        running: for recordings, give the probabilities after every step too, and the step from which on the class stays
            the same with at least the wanted confidence.
        confidence: the wanted confidence, above 0 and below 1.
    """

    running: bool = False
    confidence: float = CONFIDENCE

    def __post_init__(self):
        if not 0 < self.confidence < 1:
            raise ConfigError(f"confidence: expected a number above 0 and below 1, got {self.confidence}")


def looks(steps: int, most: int = 64) -> list[int]:
    """The numbers of steps after which probabilities are given: all, or `most` evenly spaced with the last."""
    return sorted({round((at + 1) * steps / min(steps, most)) for at in range(min(steps, most))})


@torch.no_grad()
def running_logits(model: Classifier, input: torch.Tensor, lengths: torch.Tensor, after: Sequence[int]) -> torch.Tensor:
    """The network's logits z after some numbers of steps, (K, B, C); for a row that has ended, those at its end.

    Args:
        model: the model in evaluation mode; one direction reads the input once, two directions read it again each time.
        input: (T, B, I).
        lengths: (B,).
        after: K numbers of steps, increasing.
    """
    if model.recurrent.num_directions > 1:
        some = [model._network(input[:k], lengths.clamp(max=k).to(input.device)) for k in after]
        return torch.stack(some)
    h, wanted = model.steps(input, lengths), set(after)
    memory = model.pooling.begin(h.shape[1], h)
    pooled, found = h[0], []
    for step in range(max(after)):
        then, now = model.pooling.go_on(memory, h[step])
        is_on = (step < lengths.to(h.device))[:, None]
        memory = {name: torch.where(is_on, v, memory[name]) for name, v in then.items()}
        pooled = torch.where(is_on, now, pooled)
        if step + 1 in wanted:
            found.append(model.output(pooled))
    return torch.stack(found)


def fit_running(model: Classifier, examples: RecordingExamples) -> tuple[float, ...]:
    """Fits the scales s_b on validation data; one without data is that before it, or at first the model's own."""
    length = int(examples.lengths.max())
    after = sorted({*looks(length, _LOOKS), *(2**b for b in range(length.bit_length()))})
    rows = np.flatnonzero(examples.counts)[:_MOST_RECORDINGS]
    logits: list[list[torch.Tensor]] = [[] for _ in range(length.bit_length())]
    targets: list[list[torch.Tensor]] = [[] for _ in logits]
    device = next(model.parameters()).device
    with reading(model):
        for batch in InOrder(_Some(examples, rows), _ROWS):
            lengths = lengths_of(batch)
            said = running_logits(
                model, batch.input.to(device), lengths, [k for k in after if k <= len(batch.input)]
            ).cpu()
            for k, z in zip(after, said, strict=False):
                own = lengths >= k
                logits[k.bit_length() - 1].append(z[own])
                targets[k.bit_length() - 1].append(batch.target[own])
    scales, before = list[float](), float(model.scales[0])
    for z, y in zip(logits, targets, strict=True):
        if z and sum(map(len, z)):
            before = float(best_scales(torch.cat(z)[None], torch.cat(y))[0])
        scales.append(before)
    return tuple(scales)


def lengths_of(batch: Batch) -> torch.Tensor:
    """The lengths of a batch, (B,), also of a batch without lengths, whose rows are all equally long."""
    input = batch.input
    return torch.full((input.shape[1],), len(input)) if batch.lengths is None else batch.lengths.cpu()


class _Some:
    """Some of the examples, numbered anew from 0."""

    def __init__(self, examples: RecordingExamples, rows: np.ndarray):
        self._examples, self._rows = examples, rows
        self.lengths, self.counts = examples.lengths[rows], examples.counts[rows]

    def batch(self, rows: np.ndarray) -> Any:
        return dataclasses.replace(self._examples.batch(self._rows[rows]), rows=torch.from_numpy(rows))


def scale_after(scales: Sequence[float], steps: int, otherwise: float) -> float:
    """The scale of the logits after so many steps; `otherwise` for a run that has no scales."""
    return scales[min(steps.bit_length() - 1, len(scales) - 1)] if scales else otherwise


class Sureness:
    """Since when a recording's class has been the same, and sure. The memory of N recordings is an (N, 2) int64 array.

    Args:
        confidence: the probability from which on a class is sure.
    """

    def __init__(self, confidence: float = CONFIDENCE):
        self.confidence = confidence

    @staticmethod
    def fresh(rows: int) -> np.ndarray:
        """The memory of recordings that have not begun: for each the class, and the step since when; -1 for none."""
        return np.full((rows, 2), -1, dtype=np.int64)

    def go_on(self, memory: np.ndarray, row: int, p: Sequence[float], step: int) -> int | None:
        """Takes in the probabilities after a step of a recording.

        Args:
            memory: the memory, which is changed.
            row: the recording's row in the memory.
            p: (C,) probabilities.
            step: how many steps have been read.

        Returns:
            The number of steps after which the class was sure, and has been since; None while it is not.
        """
        best = max(range(len(p)), key=p.__getitem__)
        if p[best] < self.confidence:
            memory[row] = -1
            return None
        if memory[row, 0] != best:
            memory[row] = best, step
        return int(memory[row, 1])


def running_answers(
    model: Classifier,
    scales: Sequence[float],
    classes: Sequence[str],
    input: torch.Tensor,
    lengths: torch.Tensor,
    steps: Sequence[int],
    stack: int,
    confidence: float,
) -> list[dict[str, Any]]:
    """For each row "running", a list of [steps, probabilities by class], and "sure_after", steps until it stays sure.

    Args:
        model: the model in evaluation mode.
        scales: the result of `fit_running`.
        classes: the names of the C classes.
        input: (T, B, I).
        lengths: (B,) in steps of the network.
        steps: the length of each recording in its own steps, of which the network reads `stack` at once.
        stack: see `Scaling`.
        confidence: see `Sureness`.
    """
    after = looks(len(input))
    z = running_logits(model, input, lengths, after).float().cpu()
    otherwise = float(model.scales[0])
    factors = torch.tensor([scale_after(scales, k, otherwise) for k in after])
    p = (z * factors[:, None, None]).softmax(-1)
    found: list[dict[str, Any]] = []
    for row, (own, length) in enumerate(zip(lengths.tolist(), steps, strict=True)):
        sureness, memory = Sureness(confidence), Sureness.fresh(1)
        told: list[list[Any]] = []
        sure: int | None = None
        for at, k in enumerate(after):
            if at and after[at - 1] >= own:  # the recording has ended: the answer after its last step is given once
                break
            step = min(min(k, own) * stack, length)
            said = p[at, row].tolist()
            sure = sureness.go_on(memory, 0, said, step)
            told.append([step, dict(zip(classes, said, strict=True))])
        found.append({"running": told, "sure_after": sure})
    return found
