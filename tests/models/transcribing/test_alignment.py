"""Alignment and loss against all paths, one after the other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from ostinato.models.transcribing.alignment import align, frames_needed, greedy_paths, text_nats
from tests.models.transcribing.paths import best_path, random_log_probs, text_of, texts_of_all_paths


@pytest.mark.parametrize("text", [(), (1,), (2, 2), (1, 2, 1), (3, 3, 3)])
def test_the_likeliest_path_of_a_text(text):
    for seed in range(3):
        log_probs = random_log_probs(6, 1, 4, seed)[:, 0]
        path = best_path(log_probs, text)
        runs: list[tuple[int, int]] = []
        for unit, group in itertools.groupby(enumerate(path), key=lambda pair: pair[1]):
            frames = [frame for frame, _ in group]
            if unit:
                runs.append((frames[0], frames[-1] + 1))
        found = align(log_probs, text)
        assert [(each.first, each.end) for each in found] == runs
        for each, unit in zip(found, text, strict=True):
            assert each.probability == pytest.approx(np.exp(log_probs[each.first : each.end, unit].max()))


def test_the_nats_of_a_text_are_the_sum_over_its_paths():
    log_probs = random_log_probs(5, 2, 4, seed=9)
    texts = [(1, 1, 2), (3,)]
    target = torch.tensor([[1, 3], [1, 0], [2, 0]])
    nats = text_nats(torch.from_numpy(log_probs), None, target, torch.tensor([3, 1]))
    for row, text in enumerate(texts):
        assert float(torch.exp(-nats[row])) == pytest.approx(texts_of_all_paths(log_probs[:, row])[text])


def test_greedy_texts_are_those_of_the_likeliest_units():
    log_probs = torch.from_numpy(random_log_probs(12, 5, 4, seed=3))
    lengths = [12, 7, 1, 9, 3]
    for row, (text, length) in enumerate(zip(greedy_paths(log_probs, lengths), lengths, strict=True)):
        assert tuple(text) == text_of(tuple(log_probs[:length, row].argmax(-1).tolist()))


@pytest.mark.parametrize(("text", "frames"), [((), 0), ((1,), 1), ((1, 1), 3), ((1, 2, 2, 2), 6)])
def test_the_fewest_frames_of_a_text(text, frames):
    assert frames_needed(np.array(text, dtype=np.int64)) == frames
    if 0 < frames < 7:
        log_probs = random_log_probs(frames, 1, 3, seed=0)[:, 0]
        assert text in texts_of_all_paths(log_probs)
        assert text not in texts_of_all_paths(log_probs[1:])
