"""A small text, as characters, for the experiments that train on one."""

from __future__ import annotations

from pydoc_data.topics import topics

import torch

from ostinato.data.batches.streams import Chunk
from ostinato.models import LanguageModel
from ostinato.types import Tensor


def small_text(characters: int) -> str:
    """The first `characters` of an English text in ASCII: the language reference in every Python, which `help()` shows.

    There are some 400,000; they are the same for the same version of Python.
    """
    text = "\n".join(topics.values()).encode("ascii", "ignore").decode()
    if characters > len(text):
        raise ValueError(f"expected at most {len(text):,} characters, the whole text, got {characters:,}")
    return text[:characters]


def windows(ids: Tensor, steps: int, rows: int) -> Chunk:
    """Random parts of a text, ids (N,): input and target, (steps, rows) each."""
    starts = torch.randint(len(ids) - steps, (rows,))
    places = starts + torch.arange(steps + 1)[:, None]
    return Chunk(ids[places[:-1]], ids[places[1:]], None)


def nats_a_character(model: LanguageModel, ids: Tensor, rows: int = 20) -> float:
    """A model's loss on a text, ids (N,), in nats a character; the text is read as `rows` parallel parts."""
    parts = ids[: len(ids) // rows * rows].view(rows, -1).T
    with model.reading():
        return float(model.loss(Chunk(parts[:-1], parts[1:], None))[0])
