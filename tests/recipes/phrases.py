"""Phrases that anything can learn to translate, word by word, and settings for a small translator."""

import dataclasses
import random

from ostinato.recipes.translate.settings import (
    ScoringSettings,
    TranslateReadingSettings,
    TranslateSettings,
    TranslatorSettings,
    UpdateSettings,
)

WORDS = {"ein": "one", "zwei": "two", "drei": "three", "vier": "four", "und": "and", "oder": "or"}


def phrases(count=400, longest=3, seed=0):
    """Sources of 1 to `longest` words, and what they become."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        words = draw.choices([*WORDS], k=draw.randint(1, longest))
        found.append((" ".join(words), " ".join(WORDS[word] for word in words)))
    return found


def write(path, found):
    """A .tsv file."""
    path.write_text("".join(f"{source}\t{target}\n" for source, target in found), encoding="utf-8")
    return str(path)


def small(folder, data, **changes):
    settings = TranslateSettings(
        data=data,
        run=str(folder),
        device="cpu",
        precision="32-true",
        quiet=True,
        reading=TranslateReadingSettings(tokens="word", joint=False, min_count=1),
        model=TranslatorSettings(embedding_size=16, hidden_size=32, dropout=0.0, label_smoothing=0.0),
        scoring=ScoringSettings(best_by="chrf"),  # they are too short for BLEU
        training=UpdateSettings(batch_size=30, learning_rate=0.01, max_steps=300, evaluate_every=100),
    )
    return dataclasses.replace(settings, **changes)
