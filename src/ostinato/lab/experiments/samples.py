"""What a character model writes after 100, 300, 700 and 2000 updates."""

from __future__ import annotations

import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING

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

MOMENTS = (100, 300, 700, 2000)
_TEXT, _HELD_OUT = 300_000, 20_000  # characters
_HIDDEN, _ROWS, _STEPS = 160, 24, 48
_SAMPLE = 1500  # characters written at each moment; the first of them are shown
_SHOWN = 170


def real_words(sample: str, text: str) -> float:
    """The share of the words in a sample (of two letters or more) that occur in the text."""
    words, known = ("".join(c if c.isalpha() else " " for c in part).split() for part in (sample, text))
    long, lexicon = [word for word in words if len(word) > 1], set(known)
    return sum(word in lexicon for word in long) / max(1, len(long))


def measure(seed: int, quick: bool) -> Table:
    """At each moment: the loss on held-out text, the share of real words, and a sample."""
    text = small_text(_TEXT + _HELD_OUT)
    vocabulary = CharVocabulary.build([text], 0)
    seen, held_out = torch.from_numpy(vocabulary.encode(text)).long().split([_TEXT, _HELD_OUT])
    model = LanguageModel(vocabulary, 48, _HIDDEN)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    rows, moments = [], [max(1, moment // 500) for moment in MOMENTS] if quick else list(MOMENTS)
    for update in range(1, moments[-1] + 1):
        loss, _ = model.loss(windows(seen, _STEPS, _ROWS))
        optimizer.zero_grad()
        loss.backward()
        clip(model.parameters(), norm=1.0)
        optimizer.step()
        if update in moments:
            sample = model.generate("\n", 100 if quick else _SAMPLE, temperature=0.8, seed=seed)
            nats = nats_a_character(model, held_out)
            rows.append((update, nats, real_words(sample, text), sample[:_SHOWN]))
    return table("updates held_out_nats real_words_share sample", rows)


def judge(measured: Table) -> Verdict:
    """The loss falls from moment to moment, and the last sample has more real words than the first."""
    updates, nats, words = (measured.column(name) for name in measured.columns[:3])
    falls = all(after < before for before, after in pairwise(nats))
    return Verdict(
        f"The loss on held-out text goes {', '.join(f'{n:.2f}' for n in nats)} nats a character at updates "
        f"{', '.join(f'{n:,}' for n in updates)}.",
        f"Of the words that the model writes, {', '.join(f'{share:.0%}' for share in words)} are words of the text: what looks "
        "like noise at first takes the form of the text and then its words.",
        len(nats) == len(MOMENTS) and falls and words[-1] > words[0] + 0.1,
    )


def draw(measured: Table) -> Figure:
    """Left: the loss. Right: what the model writes."""
    figure, (left, right) = plots.figure(11, 5, columns=2)
    left.plot(
        measured.column("updates"), measured.column("held_out_nats"), "o-", color=pictures.COLOURS[0], linewidth=2
    )
    left.set_xscale("log")
    updates = measured.column("updates")
    left.set_xticks(updates, [str(n) for n in updates])
    left.minorticks_off()
    plots.name_axes(left, "training (updates)", "loss on held-out text (nats / character)", "A character model learns")
    for n, (update, _, share, sample) in enumerate(measured.rows):
        top = 1 - n / len(measured.rows)
        title = f"after {update:,} updates: {share:.0%} real words"
        right.text(0, top, title, fontsize=10, fontweight="bold", color=pictures.COLOURS[0], va="top")
        right.text(0, top - 0.05, shown(sample), fontsize=9, family="monospace", va="top", parse_math=False)
    right.set_axis_off()
    return figure


def shown(sample: str) -> str:
    """The first lines of a sample, folded to the width of the picture."""
    folded = [
        line for part in sample.strip("\n").split("\n") for line in textwrap.wrap(part, 62, drop_whitespace=False)
    ]
    return "\n".join(folded[:4])


EXPERIMENT = Experiment(
    name="samples",
    claim="A character model writes nonsense at first and, the longer it learns, more and more like its text.",
    source="Sutskever, Martens & Hinton 2011; Karpathy 2015, The Unreasonable Effectiveness of Recurrent Neural Networks",
    measure=measure,
    judge=judge,
    draw=draw,
)
