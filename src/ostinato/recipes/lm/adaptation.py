"""Models that adapt to the text they are scored on, as options of the task: a cache, or dynamic evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ostinato.data.tokens.tokens import Tokens
from ostinato.errors import ConfigError
from ostinato.models.text.cache import ContinuousCache
from ostinato.models.text.dynamic import DynamicEvaluation, Rule, gradient_rms
from ostinato.models.text.language_model import LanguageModel
from ostinato.recipes.lm.reading import TextReading
from ostinato.training.update.tree import map_tensors

_STATISTICS_ROWS = 100  # the batch of the paper's code


@dataclass(frozen=True)
class CacheSettings:
    """Settings of a cache, see `ContinuousCache`.

    Args:
        window: how many steps it reaches back.
        theta: how much the likeness of two states counts.
        share: the cache's share of the probability (lambda of the paper).
    """

    window: int = 500
    theta: float = 1.0
    share: float = 0.1

    needs_training_text: ClassVar[bool] = False
    chunk_length: ClassVar[int] = 128  # steps read at once; it changes no result

    def adapted(self, model: LanguageModel, training_text: Tokens | None) -> ContinuousCache:
        """Adds the cache to the model."""
        return ContinuousCache(model, self.window, self.theta, self.share)


@dataclass(frozen=True)
class DynamicSettings:
    """Settings of a model that learns from the text it reads, see `DynamicEvaluation`.

    Args:
        rule: rms or sgd.
        learning_rate: eta; None for the default of the rule.
        decay: lambda.
        epsilon: epsilon of the rule rms.
        segment: tokens from one step of learning to the next; at least 1.
        statistics_tokens: rms measures gradients over about so many tokens of the training text; at least 2.
    """

    rule: Rule = "rms"
    learning_rate: float | None = None
    decay: float = 0.002
    epsilon: float = 2e-5
    segment: int = 5
    statistics_tokens: int = 200_000

    def __post_init__(self):
        for name, least in (("segment", 1), ("statistics_tokens", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: expected at least {least}, got {getattr(self, name)}")

    @property
    def chunk_length(self) -> int:
        """The number of steps read at once."""
        return self.segment

    @property
    def needs_training_text(self) -> bool:
        """Whether `adapted` reads the training text."""
        return self.rule == "rms"

    def adapted(self, model: LanguageModel, training_text: Tokens | None) -> DynamicEvaluation:
        """A copy of the model that learns as it reads.

        Args:
            model: the model, on the device to compute on.
            training_text: the text that the model was trained on; only rms needs it.
        """
        statistics = None
        if self.needs_training_text:
            assert training_text is not None
            reading = TextReading(training_text, _STATISTICS_ROWS, self.segment, self.statistics_tokens)
            device = model.embedding.weight.device
            statistics = gradient_rms(model, (map_tensors(lambda v: v.to(device), chunk) for chunk in reading()))
        return DynamicEvaluation(model, self.rule, self.learning_rate, self.decay, self.epsilon, statistics)
