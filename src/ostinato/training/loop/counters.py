"""Where a run stands, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Ending: TypeAlias = Literal["budget", "patience", "interrupted", "pruned"]


@dataclass
class Counters:
    """Where a run stands, besides its tensors; all of it is in every checkpoint.

    Args:
        step: updates made.
        epoch: passes over the text completed.
        elapsed_s: wall time spent, over all sessions.
        tokens: trained on, repeats counted.
        loss_sum: nats of the tokens since the last line of metrics.
        loss_tokens: how many those are.
        loss_steps: in how many steps.
        evaluations: made.
        evaluated_step: the step of the last evaluation.
        evaluated_epochs: passes over the text at the last evaluation, fractions counted.
        best: lowest validation loss, nats a token; or of whatever else an evaluator has minimised.
        best_loss: of the evaluation that gave `best`, nats a token; it decides between two with the same `best`.
        best_step: the step of both.
        stale: evaluations since the best one.
        lowest: the losses of each example in the evaluation that had the lowest mean, where an evaluator tells them: of others that
            validation cannot tell from it, the last one is the best.
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
        ending: "budget", "patience", "interrupted" or "pruned" (`on_evaluation` said so).
        counters: where it stands.
        precision: what it computed in.
        used_up: after "budget", the limits that were reached, by name, such as {"max_epochs": 20}.
    """

    ending: Ending
    counters: Counters
    precision: str
    used_up: Mapping[str, float] = field(default_factory=dict)

    def told(self) -> str:
        """Why training ended and which weights are kept, for people."""
        counters = self.counters
        if self.ending == "budget":
            limits = " and ".join(f"training.{name} {limit:g}" for name, limit in self.used_up.items())
            why = f"{limits} {'are' if len(self.used_up) > 1 else 'is'} used up"
        else:
            why = {"patience": f"{counters.stale} evaluations were not better"}.get(self.ending, self.ending)
        return f"at step {counters.step:,}, for {why}; the weights of step {counters.best_step:,} are kept"
