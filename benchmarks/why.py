"""Whether reasons find what an answer was made of, on data where that is known: `python -m benchmarks.why`.

Recordings are noise in three channels. The class is the sign of a bump in one of them, at a place that is drawn; another channel
has a bump as well, whose sign says nothing. Texts are words that say nothing, and one at a place that is drawn, which says the
class. A small model of the recipe learns each, and is asked about examples that it has not seen. A cause is found where the one
step and channel that speaks most for the answer is the planted one; a bump of three steps ends by a change at the fourth.

Beside that stands how far answers fall without what is named, and without as much drawn at random.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ostinato.cli.parser import Parser
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.sources.tables import Example
from ostinato.insight.reasons.deletion import Deletion, deletion
from ostinato.insight.reasons.methods import METHODS
from ostinato.insight.reasons.question import Question, Reasons
from ostinato.recipes import open_run, train
from ostinato.recipes.classify.settings import ClassifySettings
from ostinato.recipes.reasons.asking import answered

STEPS, BUMP, HEIGHT, CAUSE, DECOY = 60, 3, 3.0, 1, 0
_SAYS = {"bad": ("bad", "awful", "dull"), "good": ("good", "great", "fun")}
_BETWEEN = ("the", "film", "was", "a", "very", "and", "plot", "we", "saw", "it", "long", "then")


@dataclass(frozen=True)
class Planted:
    """Data whose causes are known.

    Attributes:
        kind: "recordings" or "texts".
        part: the examples, as the task reads them.
        causes: for each example which steps made its label, the first and the one behind the last.
        channel: which channel; 0 of texts.
    """

    kind: str
    part: Any
    causes: tuple[tuple[int, int], ...]
    channel: int


def recordings(count: int, seed: int) -> Planted:
    """Noise with a bump that says the class, and one that does not."""
    draw, items, causes = np.random.default_rng(seed), [], []
    for number in range(count):
        values = draw.standard_normal((STEPS, 3)).astype(np.float32) * 0.5
        at, other = draw.integers(3, STEPS - BUMP - 3, 2)
        sign = 1 if number % 2 else -1
        values[at : at + BUMP, CAUSE] += sign * HEIGHT
        values[other : other + BUMP, DECOY] += draw.choice((-1, 1)) * HEIGHT
        items.append(Recording(str(number), values, label="up" if sign > 0 else "down"))
        causes.append((int(at), int(at) + BUMP + 1))
    return Planted("recordings", Recordings(("decoy", "cause", "noise"), tuple(items)), tuple(causes), CAUSE)


def texts(count: int, seed: int) -> Planted:
    """Words that say nothing around one that says the class."""
    draw, items, causes = np.random.default_rng(seed), [], []
    for number in range(count):
        label = ("bad", "good")[number % 2]
        words = [str(word) for word in draw.choice(_BETWEEN, draw.integers(4, 14))]
        at = int(draw.integers(0, len(words) + 1))
        words.insert(at, str(draw.choice(_SAYS[label])))
        items.append(Example(" ".join(words), label))
        causes.append((at, at + 1))
    return Planted("texts", tuple(items), tuple(causes), 0)


MAKERS = {"recordings": recordings, "texts": texts}


def learn(planted: Planted, folder: Path, **model: Any) -> Any:
    """A small model of the recipe `classify` that has learnt from examples."""
    data = folder / f"{planted.kind}{'.npz' if planted.kind == 'recordings' else '.csv'}"
    if planted.kind == "recordings":
        values = np.stack([each.values for each in planted.part.items])
        labels = np.array([each.label for each in planted.part.items])
        np.savez(data, x=values, y=labels, channels=np.array(planted.part.channels))
    else:
        lines = "".join(f"{each.text},{each.label}\n" for each in planted.part)
        data.write_text("text,label\n" + lines)
    run = folder / "run" / planted.kind
    epochs, size = (12, 16) if planted.kind == "recordings" else (6, 16)
    settings = ClassifySettings.from_dict(
        {
            "data": str(data),
            "run": str(run),
            "device": "cpu",
            "quiet": True,
            "model": {"hidden_size": size, **({"embedding_size": 16} if planted.kind == "texts" else {}), **model},
            "reading": {"tokens": "word"} if planted.kind == "texts" else {},
            "training": {"max_epochs": epochs, "batch_size": 16, "learning_rate": 0.01},
        }
    )
    train(settings)
    return open_run(run)


def found(planted: Planted, pairs: Sequence[tuple[Question, Reasons]]) -> list[bool]:
    """For each example whether the strongest step and channel is the planted one."""
    hits = []
    for (start, end), (_, each) in zip(planted.causes, pairs, strict=False):
        step, channel = np.unravel_index(int(each.values.argmax()), each.values.shape)
        hits.append(bool(start <= step < end) and int(channel) == planted.channel)
    return hits


def measure(trained: Any, planted: Planted, method: str, count: int) -> tuple[float, Deletion, float]:
    """The share of causes that are found, how far answers fall, and the seconds an example takes."""
    began = time.perf_counter()
    pairs = list(answered(trained, planted.part, method, limit=count))
    took = (time.perf_counter() - began) / len(pairs)
    return float(np.mean(found(planted, pairs))), deletion(pairs), took


def main(words: Sequence[str]) -> int:
    """Trains both models, asks them, and prints what was found."""
    parser = Parser("python -m benchmarks.why", "Are planted causes found, and do answers fall without what is named?")
    parser.add_argument("--examples", type=int, default=200, help="that are asked about, of each kind")
    parser.add_argument("--train", type=int, default=600, help="examples to learn from")
    given = parser.read(words)
    with TemporaryDirectory() as folder:
        for kind, make in MAKERS.items():
            trained, asked = learn(make(given.train, 0), Path(folder)), make(given.examples, 1)
            for method in METHODS:
                share, fall, took = measure(trained, asked, method, given.examples)
                print(f"{kind}, {method}: {share:.1%} of {given.examples} causes found, {took * 1e3:.0f} ms each")
                print(f"{fall}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
