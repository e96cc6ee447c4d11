"""How well a language model predicts a text."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch

from ostinato.errors import ConfigError
from ostinato.recipes.lm.adaptation import CacheSettings, DynamicSettings
from ostinato.recipes.lm.figures import Figures, figures
from ostinato.recipes.lm.text import TextPart
from ostinato.recipes.task import Judge
from ostinato.training.loop.evaluation import Evaluation


@dataclass(frozen=True)
class Scoring:
    """How a text is scored.

    Args:
        max_tokens: score about so many tokens, spread over the text; None for all. With an adaptation, those at its
            beginning.
        adaptation: how the model adapts to the text, which it then reads as one stream, from beginning to end; None for
            not at all.
    """

    max_tokens: int | None = None
    adaptation: CacheSettings | DynamicSettings | None = None

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ConfigError(f"max_tokens: expected an integer of at least 1, got {self.max_tokens}")


class TextJudge(Judge):
    """Turns the loss of a text into figures in every unit.

    Args:
        text: the text that is scored.

    Attributes:
        found: the figures, once the text is scored.
    """

    def __init__(self, text: TextPart) -> None:
        self._text = text
        self.found: Figures | None = None

    def see(self, batch: Any) -> torch.Tensor:
        """Not used: states pass from chunk to chunk, so that chunks cannot be judged one by one."""
        raise NotImplementedError("a text is scored as a whole")

    def take(self, loss: Evaluation) -> None:
        """Takes the loss of the text and makes the figures."""
        self.found = figures(loss.nats_per_token, loss.tokens, self._text.tokens)

    def figures(self) -> dict[str, float]:
        """The figures in all units except those of the loss itself."""
        if self.found is None:
            return {}
        return {
            name: value
            for name, value in dataclasses.asdict(self.found).items()
            if name not in ("tokens", "nats_per_token")
        }
