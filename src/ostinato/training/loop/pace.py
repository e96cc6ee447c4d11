"""How far a run has come: its time, its budget, and what goes with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ostinato.data.batches.batches import Batches
from ostinato.data.batches.documents import Documents
from ostinato.data.batches.prefetch import Prefetch
from ostinato.data.batches.streams import Streams
from ostinato.training.loop.counters import Counters
from ostinato.training.run.settings import UpdateSettings
from ostinato.training.update.schedules import learning_rate_factor

EVALUATIONS = 6  # over the budget, where no distance between them is set


class Pace:
    """The clock of a run beside its counters.

    Args:
        settings: of the run.
        train: the training data, which say where in an epoch they stand.
        now_s: the time in seconds since some moment, the same in all processes.

    Attributes:
        counters: where the run stands; may be set.
        budget: of the settings.
        waited_s: for data, since `restart`; may be added to.
    """

    def __init__(
        self, settings: UpdateSettings, train: Streams | Documents | Batches | Prefetch[Any], now_s: Callable[[], float]
    ):
        self.settings, self.train, self.now_s = settings, train, now_s
        self.budget = settings.budget
        self.counters = Counters()
        self.restart()

    def restart(self) -> None:
        """Goes on from the time that the counters tell, and measures speed from here."""
        self._since = self.now_s() - self.counters.elapsed_s
        self._speed_since, self._speed_tokens = self.now_s(), self.counters.tokens
        self.waited_s = 0.0

    def elapsed_s(self) -> float:
        """Spent on the run, over all sessions."""
        return self.now_s() - self._since

    def epochs(self) -> float:
        """Passes over the training data, fractions counted."""
        return self.counters.epoch + self.train.position / self.train.chunks_per_epoch

    def used(self) -> float:
        """The share of the budget; from 1 on it is used up."""
        return self.budget.used(self.counters.step, self.epochs(), self.elapsed_s())

    def used_up(self) -> dict[str, float]:
        """The limits of the budget that are reached, by name."""
        return self.budget.used_up(self.counters.step, self.epochs(), self.elapsed_s())

    def learning_rate(self, steps: int) -> float:
        """Of the update at work, whose chunks have been given and have so many steps in all."""
        settings, train = self.settings, self.train
        # The used share halfway through the update: neither 0 at the first nor 1 at the last.
        epochs = self.epochs() - 0.5 * settings.accumulate / train.chunks_per_epoch
        factor = learning_rate_factor(
            self.budget.scheduled(self.counters.step + 0.5, epochs, self.elapsed_s()),
            settings.schedule,
            warmup=settings.warmup,
            decay=settings.decay,
            epochs=self.counters.epoch,
            decay_after_epochs=settings.decay_after_epochs,
        )
        return settings.learning_rate * factor * settings.rate_factor(steps)

    def progress(self) -> float:
        """The share that schedules have followed by now, at most 1."""
        return min(self.budget.scheduled(self.counters.step, self.epochs(), self.elapsed_s()), 1.0)

    # --- speed ---

    def tokens_per_s(self) -> float:
        """Since `restart`, without what was left out."""
        return (self.counters.tokens - self._speed_tokens) / max(self.now_s() - self._speed_since, 1e-9)

    def waiting_share(self) -> float:
        """Of the same time, what went into waiting for data."""
        return self.waited_s / max(self.now_s() - self._speed_since, 1e-9)

    def leave_out(self, seconds: float) -> None:
        """What took so long was no training."""
        self._speed_since += seconds

    # --- evaluations ---

    def evaluations_by_now(self) -> int:
        """How many there would have been without a distance between them."""
        return int(self.used() * EVALUATIONS)

    def evaluation_due(self) -> bool:
        """Whether it is time for one."""
        counters = self.counters
        if counters.evaluated_step == counters.step:
            return False
        used, (every, every_epochs) = self.used(), self.settings.evaluated_every
        if used >= 1.0 or (every is not None and counters.step % every == 0):
            return True
        if every_epochs is not None:  # the tolerance is for sums of fractions
            return int(self.epochs() / every_epochs + 1e-9) > int(counters.evaluated_epochs / every_epochs + 1e-9)
        return every is None and used * EVALUATIONS >= counters.evaluations + 1
