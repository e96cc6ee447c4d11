"""A tagger as a graph: emissions of each step. With a CRF the runner finds the best path, in a few lines of numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ostinato.data.recordings.recording import Recordings
from ostinato.exporting.graph import Around, Graph, Port
from ostinato.exporting.layers import drawn
from ostinato.models.tagging.tagger import Tagger
from ostinato.models.tagging.words import Words
from ostinato.recipes.exporting.exported import ROW_LENGTHS, Exported, drawn_lengths, drawn_tokens, tokens_port
from ostinato.recipes.tag.data import LONGEST_SPELLING, Part, TagKnown, is_source
from ostinato.types import Tensor

_JUDGED = 300


class _Steps(Around):
    """The graph for characters or numbers; the runner cuts long sequences into windows."""

    def __init__(self, model: Tagger) -> None:
        super().__init__()
        self.model = model

    def forward(self, input: Tensor, lengths: Tensor) -> tuple[Tensor]:
        """The emissions, (T, B, N)."""
        return (self.model._emissions(self.model.encoder(input), lengths),)


class _Words(Around):
    """The graph for words and their spellings."""

    def __init__(self, model: Tagger) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, words: Tensor, lengths: Tensor, places: Tensor, spellings: Tensor, spelling_lengths: Tensor
    ) -> tuple[Tensor]:
        """The emissions, (T, B, N)."""
        given = Words(words, spellings, spelling_lengths, places)
        return (self.model._emissions(self.model.encoder(given), lengths),)


def exported(model: Tagger, known: TagKnown, validation: Callable[[], Part]) -> Exported:
    """The graph, the tags, and how a runner makes the graph's input of words or characters."""
    characters = len(known.characters)
    if known.scaling is not None:
        inputs = (
            Port("steps", ("T", "B", known.scaling.width), "steps of recordings, as the runner scales them"),
            ROW_LENGTHS,
        )
    elif known.words is None:
        inputs = (tokens_port("tokens", ("T", "B"), characters), ROW_LENGTHS)
    else:
        inputs = (
            tokens_port("words", ("T", "B"), len(known.words) + 1),
            ROW_LENGTHS,
            Port("places", ("T", "B"), "which of the W spellings each word has, int64"),
            tokens_port("spellings", ("S", "W"), characters),
            Port("spelling_lengths", ("W",), "characters of each spelling, 0 to S, int64"),
        )

    def draw(sizes: Mapping[str, int], generator: torch.Generator) -> list[Tensor]:
        lengths = drawn_lengths(sizes, generator, least=1)
        if known.scaling is not None:
            return [drawn(inputs[0].axes, sizes, generator), lengths]
        if known.words is None:
            return [drawn_tokens(("T", "B"), characters, sizes, generator), lengths]
        return [
            drawn_tokens(("T", "B"), len(known.words) + 1, sizes, generator),
            lengths,
            drawn_tokens(("T", "B"), sizes["W"], sizes, generator),
            drawn_tokens(("S", "W"), characters, sizes, generator),
            torch.randint(0, sizes["S"] + 1, (sizes["W"],), generator=generator, device="cpu"),
        ]

    about = "of each tag, before " + ("the best path is looked for" if model.crf is not None else "a softmax")
    outputs = (Port("emissions", ("T", "B", len(known.tags)), about),)
    wrapper = _Steps(model) if known.words is None else _Words(model)
    graph = Graph("tagger", wrapper, inputs, outputs, draw, sizes={"T": 7, "B": 3, "S": 5, "W": 6}, prefix="model.")
    constants = {
        "tags": list(known.tags),
        "characters": known.characters.characters,
        "words": None if known.words is None else list(known.words),
        "lower_case": known.lower_case,
        "normalisation": known.normalisation,
        "longest_spelling": LONGEST_SPELLING,
        "window": model.window,
        "scaling": None if known.scaling is None else known.scaling.to_dict(),
    }
    return Exported((graph,), constants, "tag.py", _judge(known, validation), _crf(model), ("recordings.py",))


def _crf(model: Tagger) -> dict[str, np.ndarray]:
    """The CRF's scores from tag to tag, of first and last tags; minus infinity if not allowed; empty without CRF."""
    if model.crf is None:
        return {}
    found = {name: getattr(model.crf, name).detach().double() for name in ("transitions", "start", "end")}
    if model.constraints is not None:
        for name, v in found.items():
            v.masked_fill_(getattr(model.constraints, name), -torch.inf)
    return {name: v.numpy() for name, v in found.items()}


def _judge(known: TagKnown, validation: Callable[[], Part]) -> Callable[[Any], Mapping[str, float]]:
    def judge(runner: Any) -> Mapping[str, float]:
        part = validation()
        pairs: list[tuple[str | None, str]] = []
        if isinstance(part, Recordings):
            for each in part.items[:_JUDGED]:
                pairs += zip(each.labels or (), runner.tag_recording(each.values, each.times)["tags"], strict=True)
        elif is_source(part):
            for file in part[:_JUDGED]:
                wanted = [] if file.labels is None else [known.tags[at] for at in file.labels]
                pairs += zip(wanted, runner.tag_text(file.text), strict=True)
        else:
            for sentence in part[:_JUDGED]:
                pairs += zip(sentence.tags, runner.tag(list(sentence.words))["tags"], strict=True)  # pyright: ignore[reportAttributeAccessIssue]
        right = [wanted == found for wanted, found in pairs if wanted is not None]
        return {"accuracy": float(np.mean(right)) if right else math.nan}

    return judge
