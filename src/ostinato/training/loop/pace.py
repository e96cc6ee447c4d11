"""The pace of a run: its time, its used budget, and the learning rate, speed and evaluations that follow from them."""

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

EVALUATIONS = 6  # the number of evaluations over the budget, if no distance between them is set


class Pace:
    """The clock of a run, used together with its counters.

    Args:
        settings: the settings of the run.
        train: the training data, which know their position in an epoch.
        now_s: returns the time in seconds since some fixed moment, the same in all processes.

    Attributes:
        counters: the counters of the run; may be replaced.
        budget: the budget of the settings.
        waited_s: seconds spent waiting for data since `restart`; the caller adds to it.
    """

    def __init__(
        self, settings: UpdateSettings, train: Streams | Documents | Batches | Prefetch[Any], now_s: Callable[[], float]
    ):
        self.settings, self.train, self.now_s = settings, train, now_s
        self.budget = settings.budget
        self.counters = Counters()
        self.restart()

    def restart(self) -> None:
        """Continue from the time in the counters, and measure speed from now on."""
        self._since = self.now_s() - self.counters.elapsed_s
        self._speed_since, self._speed_tokens = self.now_s(), self.counters.tokens
        self.waited_s = 0.0

    def elapsed_s(self) -> float:
        """Seconds spent on the run, over all sessions."""
        return self.now_s() - self._since

    def epochs(self) -> float:
        """Passes over the training data, fractions counted."""
        return self.counters.epoch + self.train.position / self.train.chunks_per_epoch

    def used(self) -> float:
        """The used share of the budget; from 1 on it is used up."""
        return self.budget.used(self.counters.step, self.epochs(), self.elapsed_s())

    def used_up(self) -> dict[str, float]:
        """The limits of the budget that are reached, by name."""
        return self.budget.used_up(self.counters.step, self.epochs(), self.elapsed_s())

    def learning_rate(self, steps: int) -> float:
        """The learning rate of the current update, whose chunks have been read and have `steps` steps in all."""
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
        """The share of the budget that schedules are at now, at most 1."""
        return min(self.budget.scheduled(self.counters.step, self.epochs(), self.elapsed_s()), 1.0)

    # --- speed ---

    def tokens_per_s(self) -> float:
        """Tokens per second since `restart`, without the time that was left out."""
        return (self.counters.tokens - self._speed_tokens) / max(self.now_s() - self._speed_since, 1e-9)

    def waiting_share(self) -> float:
        """The share of that time that was spent waiting for data."""
        return self.waited_s / max(self.now_s() - self._speed_since, 1e-9)

    def leave_out(self, seconds: float) -> None:
        """Exclude seconds that were not spent on training from the speed."""
        self._speed_since += seconds

    # --- evaluations ---

    def evaluations_by_now(self) -> int:
        """How many evaluations would have been made by now, if they were spread over the budget."""
        return int(self.used() * EVALUATIONS)

    def evaluation_due(self) -> bool:
        """Whether it is time for an evaluation."""
        counters = self.counters
        if counters.evaluated_step == counters.step:
            return False
        used, (every, every_epochs) = self.used(), self.settings.evaluated_every
        if used >= 1.0 or (every is not None and counters.step % every == 0):
            return True
        if every_epochs is not None:  # 1e-9 allows for rounding in sums of fractions
            return int(self.epochs() / every_epochs + 1e-9) > int(counters.evaluated_epochs / every_epochs + 1e-9)
        return every is None and used * EVALUATIONS >= counters.evaluations + 1
