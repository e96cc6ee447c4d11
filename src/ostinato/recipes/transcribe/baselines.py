"""Simple transcribers to compare with: the most frequent text, and a linear layer that sees a few frames at a time."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

import torch
from torch import nn

from ostinato.data.batches.batches import Batches, InOrder, TargetBatch
from ostinato.data.recordings.recording import Recordings
from ostinato.models.transcribing.alignment import greedy_paths
from ostinato.models.transcribing.transcriber import text_loss
from ostinato.recipes.transcribe.data import TranscribeKnown, TranscriptExamples
from ostinato.recipes.transcribe.judge import error_rates

_UPDATES, _EPOCHS, _ROWS, _RATE = 400, 20, 32, 0.01
_WINDOW = 8  # strides that are seen together: about two characters


def baselines(
    known: TranscribeKnown, train: Recordings, parts: Mapping[str, Recordings]
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of the most frequent text, and of a linear layer with the same loss that sees a window at a time.

    Args:
        known: the units and the frames.
        train: recordings with texts.
        parts: the parts to judge on, by name.

    Returns:
        By part, then by model: the figures of `TranscriptJudge`.
    """
    counts = Counter(known.normal(each.label) for each in train.items if each.label is not None)
    usual = min(counts, key=lambda text: (-counts[text], text))
    known = dataclasses.replace(known, stack=_WINDOW * known.stride)
    linear = _linear(TranscriptExamples(train, known), known)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, part in parts.items():
        examples = TranscriptExamples(part, known)
        wanted = [None if each.label is None else known.normal(each.label) for each in part.items]
        answers = [""] * len(part)
        with torch.no_grad():
            for batch in InOrder(examples, _ROWS):
                texts = greedy_paths(linear(batch.input).log_softmax(-1), batch.lengths)
                for row, units in zip(batch.rows.tolist(), texts, strict=True):
                    answers[row] = known.said(units)
        by_frame = [(a, b) for a, b in zip(wanted, answers, strict=True) if a is not None]
        found[name] = {
            "a window by itself": error_rates(by_frame),
            "most frequent text": error_rates([(a, usual) for a, _ in by_frame]),
        }
    return found


def _linear(examples: TranscriptExamples, known: TranscribeKnown) -> nn.Linear:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        linear = nn.Linear(known.width, len(known.vocabulary))
    optimiser = torch.optim.Adam(linear.parameters(), _RATE)
    batches, done = Batches(examples, _ROWS), 0
    updates = min(_UPDATES, _EPOCHS * batches.chunks_per_epoch)
    with torch.enable_grad():
        while done < updates:
            for batch in batches:
                assert isinstance(batch, TargetBatch)
                loss = text_loss(linear(batch.input).log_softmax(-1), batch)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                done += 1
                if done == updates:
                    break
    return linear
