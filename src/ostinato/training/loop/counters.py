"""The counters of a run, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Ending: TypeAlias = Literal["budget", "patience", "interrupted", "pruned"]


@dataclass
class Counters:
    """The progress of a run, besides its tensors; all of it is in every checkpoint.

    Args:
        step: the number of updates made.
        epoch: the number of completed passes over the text.
        elapsed_s: wall time spent, over all sessions.
        tokens: the number of tokens trained on, repeats counted.
        loss_sum: the loss in nats, summed over the tokens since the last line of metrics.
        loss_tokens: the number of those tokens.
        loss_steps: the number of steps that had them.
        evaluations: the number of evaluations made.
        evaluated_step: the step of the last evaluation.
        evaluated_epochs: passes over the text at the last evaluation, fractions counted.
        best: the lowest validation loss, nats a token; or the lowest value of whatever else an evaluator minimises.
        best_loss: the validation loss of the evaluation that gave `best`, nats a token; it decides between equal values of `best`.
        best_step: the step of that evaluation.
        stale: the number of evaluations since the best one.
        lowest: the losses of each example in the evaluation with the lowest mean, if an evaluator gives them. Later evaluations
            that validation cannot tell from it count as good as it, and the last one is the best.
    """

    step: int = 0
    epoch: int = 0
    elapsed_s: float = 0.0
    tokens: int = 0
    loss_sum: float = 0.0
    loss_tokens: int = 0
    loss_steps: int = 0
    evaluations: int = 0
    evaluated_step: int = 0
    evaluated_epochs: float = 0.0
    best: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    stale: int = 0
    lowest: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Outcome:
    """How training ended.

    Args:
        ending: "budget", "patience", "interrupted" or "pruned" (by `on_evaluation`).
        counters: the counters at the end.
        precision: the precision that was used.
        used_up: after "budget", the limits that were reached, by name, such as {"max_epochs": 20}.
    """

    ending: Ending
    counters: Counters
    precision: str
    used_up: Mapping[str, float] = field(default_factory=dict)

    def told(self) -> str:
        """A text for people: why training ended and which weights are kept."""
        counters = self.counters
        if self.ending == "budget":
            limits = " and ".join(f"training.{name} {limit:g}" for name, limit in self.used_up.items())
            why = f"{limits} {'are' if len(self.used_up) > 1 else 'is'} used up"
        else:
            why = {"patience": f"{counters.stale} evaluations were not better"}.get(self.ending, self.ending)
        return f"at step {counters.step:,}, for {why}; the weights of step {counters.best_step:,} are kept"
