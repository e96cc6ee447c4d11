"""The settings of training: the `training` group of every recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

from ostinato.errors import ConfigError
from ostinato.training.loop.budget import Budget
from ostinato.training.update.schedules import Schedule

OptimizerName: TypeAlias = Literal["adam", "adamw", "sgd", "rmsprop"]
AveragingName: TypeAlias = Literal["nt-asgd", "ema"]
Precision: TypeAlias = Literal["auto", "32-true", "bf16-mixed", "16-mixed", "64-true"]


@dataclass(frozen=True)
class UpdateSettings:
    """How to train on examples, or on any other data.

    Args:
        batch_size: the number of rows of a batch, B, over all processes; at least 1.
        accumulate: the number of batches that make one update together; the gradient is that of the mean over all their terms
            (tokens, examples); at least 1.
        optimizer: the optimiser: adam, adamw, sgd or rmsprop.
        momentum: the momentum of sgd; from 0 (plain gradient descent) to below 1.
        learning_rate: the largest learning rate of the schedule; above 0.
        weight_decay: how fast weights shrink: decoupled from the gradient with adamw, added to it with the others; at least 0.
        schedule: how the learning rate changes over the budget: constant, linear, cosine (to 0), step (it decays at each tenth from
            the middle on) or epochs (it decays with each epoch after decay_after_epochs).
        decay: the factor of each decay with step and epochs; above 0.
        decay_after_epochs: the number of epochs before the first decay with epochs; at least 0.
        warmup: the share of the budget over which the learning rate rises from 0; from 0 to below 1.
        clip_norm: largest norm of all gradients together; above 0, or null for no clipping.
        clip_value: largest absolute value of a gradient; above 0, or null for no clipping.
        averaging: evaluate and keep averaged weights: nt-asgd (their mean since validation stopped improving; Merity et al. 2017,
            algorithm 1) or ema (exponentially weighted); null for the weights themselves.
        averaging_patience: how many evaluations nt-asgd waits for a better one before it averages (n of the paper); at least 1.
        ema_decay: the weight of the past with ema; above 0 and below 1.
        max_steps: the budget in updates of the weights.
        max_epochs: the budget in passes over the training data, fractions allowed.
        max_time_s: the budget in seconds, evaluations included. Of several budgets the first that is used up ends training; if any
            is given, it replaces all default budgets of the task.
        evaluate_first: evaluate before the first update too, so that the initial weights are kept if no later ones are better.
        evaluate_every: the number of steps between evaluations, in place of the epochs that a task has by default; with neither
            this nor evaluate_every_epochs there are 6 over the budget.
        evaluate_every_epochs: the number of epochs between evaluations, fractions allowed; or null.
        patience: the number of evaluations without a better one after which training ends; null for never.
        checkpoint_every: the number of steps between checkpoints, besides one at each evaluation; null for none by steps.
        checkpoint_every_s: the seconds from a checkpoint to the next.
        keep_checkpoints: how many of the newest checkpoints are kept, besides the best; at least 1.
        log_every: the number of steps between two lines in metrics.jsonl.
        watch_every: the number of steps between two measurements of gradient flow, saturation and update ratios, written to
            metrics.jsonl too; some are left out if they would take more than 5 % of the time. null for none.
    """

    default_budget: ClassVar[Budget] = Budget(max_time_s=85.0)
    """Where no limit is given."""

    batch_size: int = 48
    accumulate: int = 1
    optimizer: OptimizerName = "adamw"
    momentum: float = 0.9
    learning_rate: float = 5e-3
    weight_decay: float = 0.01
    schedule: Schedule = "cosine"
    decay: float = 0.5
    decay_after_epochs: float = 4.0
    warmup: float = 0.02
    clip_norm: float | None = 1.0
    clip_value: float | None = None
    averaging: AveragingName | None = None
    averaging_patience: int = 5
    ema_decay: float = 0.999
    max_steps: int | None = None
    max_epochs: float | None = None
    max_time_s: float | None = None
    evaluate_first: bool = False
    evaluate_every: int | None = None
    evaluate_every_epochs: float | None = None
    patience: int | None = None
    checkpoint_every: int | None = None
    checkpoint_every_s: float = 600.0
    keep_checkpoints: int = 2
    log_every: int = 20
    watch_every: int | None = None

    def __post_init__(self):
        for name, kind in (("optimizer", OptimizerName), ("schedule", Schedule), ("averaging", AveragingName)):
            value = getattr(self, name)
            if not (value is None and name == "averaging"):
                self._check(name, value in get_args(kind), f"one of {', '.join(get_args(kind))}")
        for name in ("batch_size", "accumulate", "averaging_patience", "keep_checkpoints", "log_every"):
            self._check(name, getattr(self, name) >= 1, "an integer of at least 1")
        for name in ("evaluate_every", "patience", "checkpoint_every", "watch_every"):
            value = getattr(self, name)
            self._check(name, value is None or value >= 1, "an integer of at least 1, or null")
        for name in ("clip_norm", "clip_value", "evaluate_every_epochs"):
            value = getattr(self, name)
            self._check(name, value is None or value > 0, "a number above 0, or null")
        for name in ("max_steps", "max_epochs", "max_time_s"):
            value = getattr(self, name)
            self._check(name, value is None or value > 0, "a budget above 0, or null")
        for name in ("learning_rate", "decay", "checkpoint_every_s"):
            self._check(name, getattr(self, name) > 0, "a number above 0")
        for name in ("weight_decay", "decay_after_epochs"):
            self._check(name, getattr(self, name) >= 0, "a number of at least 0")
        self._check("momentum", 0 <= self.momentum < 1, "a number from 0 to below 1")
        self._check("ema_decay", 0 < self.ema_decay < 1, "a number above 0 and below 1")
        self._check("warmup", 0 <= self.warmup < 1, "a share of the budget, from 0 to below 1")

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ConfigError(f"training.{name}: expected {expected}, got {getattr(self, name)}")

    @property
    def budget(self) -> Budget:
        """The limits given; without any, those of `default_budget`."""
        if self.max_steps is None and self.max_epochs is None and self.max_time_s is None:
            return self.default_budget
        return Budget(self.max_steps, self.max_epochs, self.max_time_s)

    @property
    def evaluated_every(self) -> tuple[int | None, float | None]:
        """The steps and the epochs between evaluations; given steps replace the default number of epochs."""
        steps, epochs = self.evaluate_every, self.evaluate_every_epochs
        return steps, None if steps is not None and epochs == type(self).evaluate_every_epochs else epochs

    @property
    def reach(self) -> int | None:
        """The steps that a gradient goes back (k2), if data come in consecutive chunks; None to stay within a chunk."""
        return None

    def rate_factor(self, steps: int) -> float:
        """The factor of the learning rate of an update whose batches have `steps` steps in all."""
        return 1.0


@dataclass(frozen=True)
class TrainingSettings(UpdateSettings):
    """How to train on a text: as `UpdateSettings`, and in chunks.

    Args:
        chunk_length: steps between two updates, T (k1 of truncated BPTT); at least 1.
        backprop_length: steps that a gradient reaches back (k2); at least chunk_length, or null for as many.
        vary_length: draw the length of each chunk around chunk_length; the learning rate is scaled with it (Merity et al. 2017,
            section 5).
        max_validation_tokens: about how many tokens an evaluation reads, spread over the validation text; null for all.
    """

    chunk_length: int = 24
    backprop_length: int | None = None
    vary_length: bool = False
    max_validation_tokens: int | None = 131_072

    def __post_init__(self):
        super().__post_init__()
        self._check("chunk_length", self.chunk_length >= 1, "an integer of at least 1")
        most = self.max_validation_tokens
        self._check("max_validation_tokens", most is None or most >= 1, "an integer of at least 1, or null")
        k2 = self.backprop_length
        self._check("backprop_length", k2 is None or k2 >= self.chunk_length, "at least chunk_length, or null")

    @property
    def reach(self) -> int | None:
        """The setting backprop_length."""
        return self.backprop_length

    def rate_factor(self, steps: int) -> float:
        """With vary_length, scale with the length: else each token of a long chunk would count less (Merity et al. 2017, 5)."""
        return steps / (self.accumulate * self.chunk_length) if self.vary_length else 1.0
