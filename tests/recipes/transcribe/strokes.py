"""Recordings that anything can transcribe: each letter is three steps of a channel of its own, after some steps of nothing."""

import dataclasses
import json

import numpy as np

from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.recipes.transcribe.settings import TranscribeReadingSettings, TranscriberSettings, TranscribeSettings
from ostinato.training.run.settings import UpdateSettings

CHANNELS = ("x0", "x1", "x2")
LETTERS = "ab "
TRAINING = UpdateSettings(batch_size=8, max_steps=150, learning_rate=0.03, evaluate_every=50, log_every=50)
FEW = dataclasses.replace(TRAINING, max_steps=2, evaluate_every=2)


def text(draw):
    """Words of a and b."""
    words = ["".join(draw.choice(["a", "b"], draw.integers(1, 4))) for _ in range(draw.integers(1, 3))]
    return " ".join(words)


def values(said, draw):
    """(T, 3): x2 is a blank, in another unit than the others."""
    steps = [np.zeros((2, 3))]
    for letter in said:
        step = np.zeros((3, 3))
        step[:, LETTERS.index(letter) if letter in LETTERS else 0] = 1.0
        steps += [step, np.zeros((draw.integers(1, 3), 3))]
    found = np.concatenate(steps) + 0.1 * draw.standard_normal((sum(map(len, steps)), 3))
    return (found * [1.0, 1.0, 1000.0]).astype(np.float32)


def recordings(count=60, seed=0):
    """Recordings with their texts."""
    draw = np.random.default_rng(seed)
    texts = [text(draw) for _ in range(count)]
    items = tuple(Recording(f"r{at}", values(said, draw), said) for at, said in enumerate(texts))
    return Recordings(CHANNELS, items)


def write(path, found, **cells):
    """JSON lines of recordings; `cells` add others to each line."""
    rows = [
        {"id": each.id, "values": each.values.astype(float).round(4).tolist(), "text": each.label, **cells}
        for each in found.items
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def small(run, data, **changes):
    """Settings of a small model."""
    given = {
        "reading": TranscribeReadingSettings(),
        "model": TranscriberSettings(hidden_size=16, dropout=0.0, input_dropout=0.0),
        "training": TRAINING,
        **changes,
    }
    return TranscribeSettings(data=data, run=str(run), device="cpu", quiet=True, **given)
