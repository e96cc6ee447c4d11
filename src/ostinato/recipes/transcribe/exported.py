"""A transcriber as a graph: log-probabilities of units at each frame, of which the runner takes the likeliest path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ostinato.data.recordings.recording import Recordings
from ostinato.exporting.graph import Around, Graph, Port
from ostinato.exporting.layers import drawn
from ostinato.models.transcribing.transcriber import Transcriber
from ostinato.recipes.exporting.exported import ROW_LENGTHS, Exported, drawn_lengths
from ostinato.recipes.transcribe.data import TranscribeKnown
from ostinato.recipes.transcribe.judge import error_rates
from ostinato.types import Tensor

_JUDGED = 300


class _Frames(Around):
    """The graph of log-probabilities at all frames."""

    def __init__(self, model: Transcriber) -> None:
        super().__init__()
        self.model = model

    def forward(self, input: Tensor, lengths: Tensor) -> tuple[Tensor]:
        """The log-probabilities, (T, B, V)."""
        return (self.model(input, lengths),)


def exported(model: Transcriber, known: TranscribeKnown, validation: Callable[[], Recordings]) -> Exported:
    """The graph, the units, and how a runner makes the graph's input of recordings or pictures."""
    inputs = (
        Port("frames", ("T", "B", known.width), "frames of recordings, as the runner scales and stacks them"),
        ROW_LENGTHS,
    )

    def draw(sizes: Mapping[str, int], generator: torch.Generator) -> list[Tensor]:
        return [drawn(inputs[0].axes, sizes, generator), drawn_lengths(sizes, generator, least=1)]

    units = len(known.vocabulary)
    outputs = (Port("log_probs", ("T", "B", units), "log probability of each unit at each frame; unit 0 is the blank"),)
    graph = Graph("transcriber", _Frames(model), inputs, outputs, draw, prefix="model.")
    constants = {
        "units": ["", *(known.unit_name(unit) for unit in range(1, units))],
        "tokens": known.tokens,
        "scaling": known.scaling.to_dict(),
        "stack": known.stack,
        "stride": known.stride,
        "height": known.height,
    }
    return Exported((graph,), constants, "transcribe.py", _judge(known, validation), beside=("recordings.py",))


def _judge(known: TranscribeKnown, validation: Callable[[], Recordings]) -> Callable[[Any], Mapping[str, float]]:
    def judge(runner: Any) -> Mapping[str, float]:
        items = validation().items[:_JUDGED]
        pairs = [
            (known.normal(each.label), runner.transcribe(each.values, each.times)["text"])
            for each in items
            if each.label is not None
        ]
        return error_rates(pairs)

    return judge
