"""Dropout for recurrent networks on a small text: Zaremba's, Gal's and zoneout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ostinato.data.tokens.vocabulary import CharVocabulary
from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.lab.text import nats_a_character, small_text, windows
from ostinato.models import LanguageModel
from ostinato.training.update.clipping import clip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAYS: dict[str, dict[str, Any]] = {
    "none": {},
    "Zaremba": {"dropout": 0.4},
    "Gal": {"options": {"variational_dropout": (0.1, 0.25, 0.4)}},
    "zoneout": {"options": {"zoneout": {"h": 0.15, "c": 0.5}}},
}
_SEEN, _HELD_OUT = 8_000, 8_000  # characters
_HIDDEN, _ROWS, _STEPS = 96, 16, 40
_LOOK_EVERY = 50


def train(way: str, text: str, updates: int) -> list[tuple[int, float, float]]:
    """Trains a character model of two layers on the same `_SEEN` characters again and again.

    Returns:
        At each evaluation: the update, the loss on the training text, and the loss on held-out text, nats a character.
    """
    vocabulary = CharVocabulary.build([text], 0)
    model = LanguageModel(vocabulary, 32, _HIDDEN, 2, **WAYS[way])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    seen, held_out = torch.from_numpy(vocabulary.encode(text)).long().split([_SEEN, _HELD_OUT])
    looks = []
    for update in range(1, updates + 1):
        loss, _ = model.loss(windows(seen, _STEPS, _ROWS))
        optimizer.zero_grad()
        loss.backward()
        clip(model.parameters(), norm=1.0)
        optimizer.step()
        if update % _LOOK_EVERY == 0 or update == updates:
            looks.append((update, nats_a_character(model, seen), nats_a_character(model, held_out)))
    return looks


def measure(seed: int, quick: bool) -> Table:
    """Losses by update, on the training text and on held-out text."""
    text = small_text(_SEEN + _HELD_OUT)
    rows = []
    for way in WAYS:
        rows += [(way, *look) for look in train(way, text, 2 if quick else 350)]
    return table("dropout update seen_nats held_out_nats", rows)


def judge(measured: Table) -> Verdict:
    """Reproduced if each way ends with a lower held-out loss than none, and with a smaller gap to the training loss."""
    last = {way: measured.where(dropout=way).rows[-1] for way in WAYS}
    held_out, gap = ({way: f(row) for way, row in last.items()} for f in (lambda r: r[3], lambda r: r[3] - r[2]))
    best = {way: min(measured.where(dropout=way).column("held_out_nats")) for way in WAYS}
    ways = [way for way in WAYS if way != "none"]
    order = sorted(WAYS, key=lambda way: best[way])

    def said(values: dict[str, float]) -> str:
        return ", ".join(f"{way} {values[way]:.2f}" for way in ways)

    return Verdict(
        f"After {last['none'][1]} updates on {_SEEN:,} characters the loss on others is {held_out['none']:.2f} nats a character "
        f"without dropout and {said(held_out)}; what is seen is predicted better than that by {gap['none']:.2f} nats without, and "
        f"by {said(gap)} with it.",
        f"At the best moment of each it is {best['none']:.2f} without, {said(best)}; the best is {order[0]}.",
        all(held_out[way] < held_out["none"] and gap[way] < gap["none"] for way in ways),
    )


def draw(measured: Table) -> Figure:
    """Left: losses on held-out text. Right: losses on the training text."""
    figure, axes = pictures.panels(2)
    for axis, column, title in zip(
        axes, ("held_out_nats", "seen_nats"), ("On text that is held out", "On the text that is read"), strict=True
    ):
        series = {}
        for way in WAYS:
            part = measured.where(dropout=way)
            series[way] = (part.column("update"), part.column(column))
        plots.name_axes(axis, "training (updates)", "loss (nats / character)", title)
        pictures.lines(axis, series)
    return figure


EXPERIMENT = Experiment(
    name="dropout",
    claim="Dropout that fits a recurrence, between layers (Zaremba), one mask for all steps (Gal) or zoneout, lessens overfitting.",
    source="Zaremba et al. 2015, arXiv 1409.2329; Gal & Ghahramani 2016, arXiv 1512.05287; Krueger et al. 2017, arXiv 1606.01305",
    measure=measure,
    judge=judge,
    draw=draw,
)
