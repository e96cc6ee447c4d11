"""A small text, in characters, for the experiments that learn one: the beginning of the built-in text."""

from __future__ import annotations

import torch

from ostinato.data.streams import Chunk
from ostinato.data.text import standard_library
from ostinato.models import LanguageModel
from ostinato.types import Tensor


def small_text(characters: int) -> str:
    """So many ASCII characters of Python's own standard library; the same for the same version of Python."""
    pieces: list[str] = []
    for piece in standard_library().pieces():
        pieces.append(piece.text.encode("ascii", "ignore").decode())
        if sum(map(len, pieces)) >= characters:
            break
    return "".join(pieces)[:characters]


def windows(ids: Tensor, steps: int, rows: int) -> Chunk:
    """Random places of a text, ids (N,): input and target (steps, rows) each."""
    starts = torch.randint(len(ids) - steps, (rows,))
    places = starts + torch.arange(steps + 1)[:, None]
    return Chunk(ids[places[:-1]], ids[places[1:]], None)


def nats_a_character(model: LanguageModel, ids: Tensor, rows: int = 20) -> float:
    """How well a model predicts a text, ids (N,), read as so many parallel parts; in nats."""
    parts = ids[: len(ids) // rows * rows].view(rows, -1).T
    with model.reading():
        return float(model.loss(Chunk(parts[:-1], parts[1:], None))[0])
