"""What a user can set about training: the `training` group of every recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ostinato.errors import ConfigError
from ostinato.training.budget import Budget
from ostinato.training.schedules import Schedule

OptimizerName: TypeAlias = Literal["adam", "adamw", "sgd", "rmsprop"]
Precision: TypeAlias = Literal["auto", "32-true", "bf16-mixed", "16-mixed", "64-true"]

DEFAULT_TIME_S = 85.0


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Args:
        batch_size: parallel streams, B; at least 1.
        chunk_length: steps that a gradient reaches back, T; at least 1.
        optimizer: adam, adamw, sgd (with momentum 0.9) or rmsprop.
        learning_rate: the largest of the schedule; above 0.
        weight_decay: of adamw decoupled, of the others added to the gradient; at least 0.
        schedule: of the learning rate over the budget: constant, linear, cosine (to 0) or step (halved each tenth from the middle).
        warmup: share of the budget over which the learning rate rises from 0; from 0 to below 1.
        clip_norm: largest norm of all gradients together; above 0, or null for no clipping.
        clip_value: largest absolute value of a gradient; above 0, or null for no clipping.
        max_steps: budget: updates of the weights.
        max_epochs: budget: passes over the training text, fractions allowed.
        max_time_s: budget: wall time in seconds, evaluations included. Without any budget it is 85.
        evaluate_every: steps between evaluations; null for 6 evaluations over the budget.
        max_validation_tokens: an evaluation reads about so many tokens, spread over the validation text; null for all.
        patience: training ends after so many evaluations without a better one; null for never.
        log_every: steps between two lines in metrics.jsonl.
    """

    batch_size: int = 48
    chunk_length: int = 24
    optimizer: OptimizerName = "adamw"
    learning_rate: float = 5e-3
    weight_decay: float = 0.01
    schedule: Schedule = "cosine"
    warmup: float = 0.02
    clip_norm: float | None = 1.0
    clip_value: float | None = None
    max_steps: int | None = None
    max_epochs: float | None = None
    max_time_s: float | None = None
    evaluate_every: int | None = None
    max_validation_tokens: int | None = 131_072
    patience: int | None = None
    log_every: int = 20

    def __post_init__(self):
        for name in ("batch_size", "chunk_length", "log_every"):
            self._check(name, getattr(self, name) >= 1, "an integer of at least 1")
        for name in ("evaluate_every", "max_validation_tokens", "patience"):
            value = getattr(self, name)
            self._check(name, value is None or value >= 1, "an integer of at least 1, or null")
        for name in ("clip_norm", "clip_value"):
            value = getattr(self, name)
            self._check(name, value is None or value > 0, "a number above 0, or null")
        for name in ("max_steps", "max_epochs", "max_time_s"):
            value = getattr(self, name)
            self._check(name, value is None or value > 0, "a budget above 0, or null")
        self._check("learning_rate", self.learning_rate > 0, "a number above 0")
        self._check("weight_decay", self.weight_decay >= 0, "a number of at least 0")
        self._check("warmup", 0 <= self.warmup < 1, "a share of the budget, from 0 to below 1")

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ConfigError(f"training.{name}: expected {expected}, got {getattr(self, name)}")

    @property
    def budget(self) -> Budget:
        """The limits given; without any, 85 seconds."""
        if self.max_steps is None and self.max_epochs is None and self.max_time_s is None:
            return Budget(max_time_s=DEFAULT_TIME_S)
        return Budget(self.max_steps, self.max_epochs, self.max_time_s)
