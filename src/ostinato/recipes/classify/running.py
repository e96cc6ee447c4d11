"""What a classifier says while a recording is still coming: probabilities after every step, and since when they are sure.

A network that learns from whole recordings is too sure of the first steps of one. So its logits z after k steps are multiplied by a
scale of their own, s_b for k from 2^b to below 2^(b + 1), each fitted to the validation data as that of whole recordings is (Guo et
al. 2017, section 4.2): of 0.9 it is then right nine times in ten, early and late.
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
        running: of recordings, the probabilities after every step too, and the step from which on the class stays the same with at
            least the confidence that is wanted.
        confidence: from above 0 to below 1.
    """

    running: bool = False
    confidence: float = CONFIDENCE

    def __post_init__(self):
        if not 0 < self.confidence < 1:
            raise ConfigError(f"confidence: expected a number above 0 and below 1, got {self.confidence}")


def looks(steps: int, most: int = 64) -> list[int]:
    """After how many steps something is said: all, or so many evenly spaced, the last among them."""
    return sorted({round((at + 1) * steps / min(steps, most)) for at in range(min(steps, most))})


@torch.no_grad()
def running_logits(model: Classifier, input: torch.Tensor, lengths: torch.Tensor, after: Sequence[int]) -> torch.Tensor:
    """The network's logits z after some steps, (K, B, C), in evaluation mode; of a row that has ended before, those at its end.

    Args:
        model: of one direction, which reads once; or of two, which reads again each time.
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
    """The scales s_b of a model, of validation data; where there is nothing to fit, that of the one before, or of the whole."""
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
    """(B,), also where all are alike, and a batch says none."""
    input = batch.input
    return torch.full((input.shape[1],), len(input)) if batch.lengths is None else batch.lengths.cpu()


class _Some:
    """Some of the examples."""

    def __init__(self, examples: RecordingExamples, rows: np.ndarray):
        self._examples, self._rows = examples, rows
        self.lengths, self.counts = examples.lengths[rows], examples.counts[rows]

    def batch(self, rows: np.ndarray) -> Any:
        return dataclasses.replace(self._examples.batch(self._rows[rows]), rows=torch.from_numpy(rows))


def scale_after(scales: Sequence[float], steps: int, otherwise: float) -> float:
    """That of the logits after so many steps; `otherwise` of runs that have none."""
    return scales[min(steps.bit_length() - 1, len(scales) - 1)] if scales else otherwise


class Sureness:
    """Since when the class of a recording has been the same, and sure. What is remembered is an array (N, 2) int64 of N recordings.

    Args:
        confidence: the probability from which on it is sure.
    """

    def __init__(self, confidence: float = CONFIDENCE):
        self.confidence = confidence

    @staticmethod
    def fresh(rows: int) -> np.ndarray:
        """Of recordings that have not begun: the class, and the step since when; -1 for none."""
        return np.full((rows, 2), -1, dtype=np.int64)

    def go_on(self, memory: np.ndarray, row: int, p: Sequence[float], step: int) -> int | None:
        """Takes in the probabilities after a step.

        Args:
            memory: is changed.
            row: of the recording.
            p: (C,).
            step: how many steps were read.

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
    """Of each row "running", a list of [steps, probabilities by class], and "sure_after", the steps after which it stays sure.

    Args:
        model: in evaluation mode.
        scales: of `fit_running`.
        classes: C names.
        input: (T, B, I).
        lengths: (B,).
        steps: of each recording, of which the network reads `stack` at once.
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
            if at and after[at - 1] >= own:  # it has ended; that after its last step is told once
                break
            step = min(min(k, own) * stack, length)
            said = p[at, row].tolist()
            sure = sureness.go_on(memory, 0, said, step)
            told.append([step, dict(zip(classes, said, strict=True))])
        found.append({"running": told, "sure_after": sure})
    return found
