"""A language model as graphs: scores of the next token, over a text or one token at a time, with states in and out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ostinato.exporting.graph import Around, Axis, Graph, Port, flat
from ostinato.exporting.layers import StateNames
from ostinato.models.text.language_model import LanguageModel
from ostinato.recipes.exporting.exported import Exported, drawn_tokens, first_states, tokens_port
from ostinato.recipes.lm.text import TextPart
from ostinato.types import Tensor

_JUDGED = 5000  # tokens of the validation text


class _Scores(Around):
    """The graph of scores: takes `tokens`, then states; one token a row if `step`, else a sequence."""

    def __init__(self, model: LanguageModel, step: bool) -> None:
        super().__init__()
        self.model, self._is_step = model, step
        self._states = StateNames(model.recurrent)

    def forward(self, tokens: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Returns the scores of the next token, and the states after the last one."""
        logits, after = self.model(tokens[None] if self._is_step else tokens, self._states.opened(states))
        return (logits[0] if self._is_step else logits, *flat(after))


def graph_of(model: LanguageModel, name: str, *, step: bool) -> Graph:
    """The graph that reads one token (`step`) or a sequence."""
    axes: tuple[Axis, ...] = ("B",) if step else ("T", "B")
    size, states = len(model.vocabulary), StateNames(model.recurrent)
    inputs = (tokens_port("tokens", axes, size), *states.ports("0", "states before the first token"))
    scores = Port("scores", (*axes, size), "of the token after each, logits: softmax gives probabilities")
    outputs = (scores, *states.ports("n", "states after the last token"))

    def draw(sizes: Mapping[str, int], generator: torch.Generator) -> list[Tensor]:
        tokens = drawn_tokens(axes, size, sizes, generator)
        return [tokens, *(0.5 * v for v in states.draw(sizes["B"], generator, torch.float32))]

    return Graph(name, _Scores(model, step), inputs, outputs, draw, prefix="model.")


def exported(model: LanguageModel, validation: Callable[[], TextPart]) -> Exported:
    """Both graphs, and the vocabulary.

    Args:
        model: the model in evaluation mode.
        validation: reads the validation text.
    """

    def judge(runner: Any) -> Mapping[str, float]:
        ids = validation().tokens.ids[: _JUDGED + 1].astype(np.int64)
        return {"nats_per_token": runner.score_tokens(ids) / max(len(ids) - 1, 1)}

    graphs = tuple(graph_of(model, name, step=name == "step") for name in ("sequence", "step"))
    constants = {"vocabulary": model.vocabulary.to_dict(), "first_states": first_states(model.recurrent)}
    return Exported(graphs, constants, "language_model.py", judge, beside=("vocabulary.py",))
