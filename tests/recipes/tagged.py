"""A small treebank that anything can learn, and settings for a small tagger."""

import dataclasses
import random

from ostinato.recipes.tag.settings import TaggerSettings, TagReadingSettings, TagSettings, UpdateSettings, WordSettings

WORDS = {"DET": ["the", "a"], "NOUN": ["dog", "house", "fox", "rain"], "VERB": ["sees", "likes", "hears", "finds"]}
PATTERN = ["DET", "NOUN", "VERB", "DET", "NOUN"]


def sentences(count=60, seed=0):
    """Sentences of 3 or 5 words, and the tag of each."""
    draw = random.Random(seed)
    return [[(draw.choice(WORDS[tag]), tag) for tag in PATTERN[: draw.choice((3, 5))]] for _ in range(count)]


def write(path, found):
    """A file in two columns."""
    path.write_text("\n\n".join("\n".join(f"{word}\t{tag}" for word, tag in each) for each in found) + "\n")
    return str(path)


def write_conllu(path, found):
    """The same as CoNLL-U, with a multiword token; xpos is the tag in small letters."""
    lines = []
    for each in found:
        lines += ["# a comment", "1-2\tboth\t" + "\t".join(["_"] * 8)]
        for number, (word, tag) in enumerate(each, start=1):
            lines.append(f"{number}\t{word}\t{word}\t{tag}\t{tag.lower()}\t_\t_\t_\t_\t_")
        lines.append("")
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def small(folder, data, **changes):
    settings = TagSettings(
        data=data,
        run=str(folder),
        device="cpu",
        precision="32-true",
        quiet=True,
        reading=TagReadingSettings(min_count=1, piece_length=64),
        word=WordSettings(embedding_size=8, character_embedding_size=4, character_hidden_size=4),
        model=TaggerSettings(embedding_size=8, hidden_size=8, num_layers=1, dropout=0.0, input_dropout=0.0),
        training=UpdateSettings(batch_size=8, learning_rate=0.05, max_steps=40, evaluate_every=20),
    )
    return dataclasses.replace(settings, **changes)
