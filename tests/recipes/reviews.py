"""A small table of texts that anything can learn, and settings for a small classifier."""

import dataclasses
import random

from ostinato.recipes.classify.settings import (
    ClassifierSettings,
    ClassifyReadingSettings,
    ClassifySettings,
    UpdateSettings,
)

WORDS = {"bad": ["bad", "awful", "dull"], "good": ["good", "great", "fun"]}
BETWEEN = ["the", "film", "was", "a", "very"]


def rows(count=120):
    """Texts of 1 to 6 words and their labels; the words of the label are never those of the other."""
    draw = random.Random(0)
    found = []
    for number in range(count):
        label = ("bad", "good")[number % 2]
        words = [draw.choice(WORDS[label]), *draw.choices(BETWEEN, k=draw.randrange(6))]
        draw.shuffle(words)
        found.append((" ".join(words), label))
    return found


def write(path, found):
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in found))
    return str(path)


def small(folder, data, **changes):
    settings = ClassifySettings(
        data=data,
        run=str(folder),
        device="cpu",
        precision="32-true",
        quiet=True,
        reading=ClassifyReadingSettings(),
        model=ClassifierSettings(embedding_size=8, hidden_size=8, dropout=0.0, input_dropout=0.0),
        training=UpdateSettings(batch_size=7, learning_rate=0.05, max_steps=45, evaluate_every=15),
    )
    return dataclasses.replace(settings, **changes)
