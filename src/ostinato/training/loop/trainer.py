"""Train step by step, and evaluate, save and log between the steps."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import Any

from torch import nn

from ostinato.data.batches.batches import Batches
from ostinato.data.batches.documents import Documents
from ostinato.data.batches.prefetch import Prefetch
from ostinato.data.batches.streams import Streams
from ostinato.errors import RunError
from ostinato.training.distributed.agreement import Agreement
from ostinato.training.distributed.processes import Processes
from ostinato.training.distributed.sharding import weights_together, whole
from ostinato.training.loop.counters import Counters, Ending
from ostinato.training.loop.divergence import NOTHING_FOUND, DivergedError, where_it_began
from ostinato.training.loop.evaluation import Evaluator
from ostinato.training.loop.metrics import Metrics
from ostinato.training.loop.pace import Pace
from ostinato.training.loop.progress import Moment, Progress
from ostinato.training.run.checkpoints import Checkpoint
from ostinato.training.run.run_folder import RunFolder
from ostinato.training.run.settings import UpdateSettings
from ostinato.training.update.generators import kept_generators
from ostinato.training.update.truncated_bptt import BPTTWindow, chunks
from ostinato.training.update.update import Measured, NotFiniteError, Updater


class Trainer:
    """The training of a run in one process: from the start, or from a checkpoint, to an ending. For the arguments see `fit`."""

    def __init__(
        self,
        module: nn.Module,
        train: Streams | Documents | Batches | Prefetch[Any],
        evaluator: Evaluator,
        run: RunFolder,
        settings: UpdateSettings,
        processes: Processes,
        progress: Progress,
        sample: Callable[[], str] | None,
        on_evaluation: Callable[[int, float], bool | None] | None,
        on_step: Callable[[int], Mapping[str, float]] | None,
        data_fingerprint: str | None,
    ):
        self.evaluator, self.sample = evaluator, sample
        self.on_evaluation, self.on_step = on_evaluation, on_step
        self.run, self.settings, self.progress = run, settings, progress
        self.processes, self.fabric = processes, processes.fabric
        self.agreement = Agreement(processes, progress.due)
        self.module = module
        self.source = chunks(train, k2=settings.reach, device=self.fabric.device)
        self.updater = Updater(module, self.source, settings, processes, self.agreement.total)
        self.pace = Pace(settings, train, self.agreement.now_s)
        # Parts that change during training, such as `Augmentation`, have this method.
        followers = (getattr(part, "follow_training", None) for part in module.modules())
        self.followers: list[Callable[[float], object]] = [each for each in followers if each is not None]
        self.data_fingerprint = data_fingerprint
        self.metrics_lines = 0
        self.norm = 0.0  # gradient norm of the last step whose numbers were read
        self.saved_step: int | None = None
        self.saved_used = 0.0
        self.saved_at = self.agreement.now_s()

    @property
    def counters(self) -> Counters:
        """The counters of the run."""
        return self.pace.counters

    # --- going on from a checkpoint ---

    def state(self) -> dict[str, Any]:
        """Everything that later steps depend on."""
        self.counters.elapsed_s = self.pace.elapsed_s()
        return {
            "counters": asdict(self.counters),
            "budget": asdict(self.pace.budget),
            "data_fingerprint": self.data_fingerprint,
            "metrics_lines": self.metrics_lines,
            **self.updater.state_dict(),
        }

    def load(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint.

        Raises:
            RunError: the checkpoint belongs to other settings.
        """
        state = checkpoint.state
        try:
            self.pace.counters = Counters(**state["counters"])
            self._put_best_back(checkpoint.step)
            self.metrics_lines = state["metrics_lines"]
            self.updater.load_state_dict(state)
            self.pace.restart()
            if state["budget"] != asdict(self.pace.budget):
                self.counters.evaluations = self.pace.evaluations_by_now()
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise RunError(f"the state in {self.run} does not fit the settings it is resumed with: {reason}") from error
        self.saved_step = checkpoint.step

    def _put_best_back(self, step: int) -> None:
        """Restore the best model as of this step: a killed process may have written a later one, which is not reached again."""
        checkpoints = self.run.checkpoints
        with self.run.writing():
            if self.counters.best_step == step:
                self.processes.first(lambda: checkpoints.name_best(step))
            best = checkpoints.read_best()
            if best is not None and best.step == self.counters.best_step:
                self.updater.load_state_dict(best.state)
                with self._evaluated_weights():
                    self._write_model()

    @contextmanager
    def _evaluated_weights(self) -> Iterator[None]:
        """Inside, the module has the weights to evaluate (the averaged ones, if there are any), whole in every process.

        All processes get the buffers of the first, which are the ones that are saved: a buffer that training changes, such as
        batch normalisation's, depends on the rows of its process.
        """
        averaging = self.updater.averaging
        self.processes.broadcast(self.module.buffers())
        with nullcontext() if averaging is None else averaging.applied(), weights_together(self.updater.step_module):
            yield

    def _write_model(self) -> None:
        weights = whole(self.module.state_dict())
        if self.processes.is_first:
            with self.run.writing():
                self.run.write_model(weights)

    def save(self, *, best: bool = False) -> None:
        """Write a checkpoint; with `best` it is kept until there is a better one."""
        self._read()
        self.saved_used = self.pace.used()
        state = self.state()
        if self.processes.is_first:
            with self.run.writing():
                self.run.checkpoints.write(self.counters.step, state, keep=self.settings.keep_checkpoints, best=best)
        self.saved_step, self.saved_at = self.counters.step, self.agreement.now_s()

    # --- the loop ---

    def _windows(self) -> Iterator[BPTTWindow]:
        while True:
            yield from self.source  # an epoch ends with a reset: a stream's beginning does not follow its end
            self.counters.epoch += 1

    def go(self, metrics: Metrics | None) -> Ending:
        """Train to an ending, and write the metrics."""
        windows = self._windows()
        self.module.train()
        is_new = self.counters.step == 0 and self.counters.best is None
        if self.settings.evaluate_first and is_new and self._evaluate(metrics):
            return "pruned"
        while True:
            self.agreement.keep_up()
            if self.pace.evaluation_due():
                if self._evaluate(metrics):
                    return "pruned"
            elif self._checkpoint_due():
                self.save()
            if self.agreement.stops():
                if self.saved_step != self.counters.step:
                    self.save()
                return "interrupted"
            if self.settings.patience is not None and self.counters.stale >= self.settings.patience:
                return "patience"
            if self.pace.used() >= 1.0:
                if self.saved_used < 1.0:  # the time ran out while the last checkpoint was written
                    self.save()
                return "budget"
            self._step(windows)
            if self.on_step is not None:
                self._hear(self.on_step(self.counters.step), metrics)
            if self.counters.loss_steps + len(self.updater.unread) >= self.settings.log_every:
                self._log(metrics)
            elif self.agreement.shows():
                self.progress.show(self._moment())

    def _step(self, windows: Iterator[BPTTWindow]) -> None:
        updater, counters = self.updater, self.counters
        updater.begin(dataclasses.replace(counters))
        progress = self.pace.progress()
        for follow in self.followers:
            follow(progress)
        steps = 0
        for _ in range(self.settings.accumulate):
            began = time.perf_counter()
            window = next(windows)
            self.pace.waited_s += time.perf_counter() - began
            counters.tokens += updater.add(window)
            steps += window.steps
        rate = self.pace.learning_rate(steps)
        counters.step += 1
        try:
            self._count(updater.finish(rate))
        except NotFiniteError as error:
            self._diverged(error)

    def _hear(self, told: Mapping[str, float], metrics: Metrics | None) -> None:
        """Write the numbers that were measured after a step."""
        if told:
            self._read()  # raises if the step was not made after all, so that nothing is written
            self._write(metrics, dict(told))

    def _read(self) -> None:
        try:
            self._count(self.updater.read())
        except NotFiniteError as error:
            self._diverged(error)

    def _count(self, measured: list[Measured]) -> None:
        # Added one by one, so that the rounding of a sum does not depend on how often numbers are read.
        for each in measured:
            self.counters.loss_sum += each.nats
            self.counters.loss_tokens += each.tokens
            self.counters.loss_steps += 1
            self.norm = each.norm

    def _diverged(self, error: NotFiniteError) -> None:
        """Go back to the state before the step, save it, and raise an error that says what happened."""
        self._count(error.measured)
        attempt, now = error.attempt, self.counters
        self.pace.counters = dataclasses.replace(
            attempt.mark, loss_sum=now.loss_sum, loss_tokens=now.loss_tokens, loss_steps=now.loss_steps
        )
        told = self.processes.texts(where_it_began(self.module, lambda: self.updater.repeat(attempt)))
        where = next(
            (each for each in told if each != NOTHING_FOUND), NOTHING_FOUND
        )  # only one process may have the rows that cause it
        self.updater.go_back(attempt)
        self.save()
        is_loss = not math.isfinite(error.loss)
        what = f"the loss became {error.loss}" if is_loss else f"the norm of the gradients became {error.norm}"
        raise DivergedError(
            f"{what} at step {self.counters.step + 1} (learning rate {self.updater.learning_rate:.2g}, last gradient norm "
            f"{self.norm:.3g}). {where}. {self.run} keeps the state before that step: lower training.learning_rate or "
            "training.clip_norm and add --resume"
        )

    def _checkpoint_due(self) -> bool:
        step, every = self.counters.step, self.settings.checkpoint_every
        if step == (self.saved_step or 0):
            return False
        if every is not None and step % every == 0:
            return True
        return self.agreement.now_s() - self.saved_at >= self.settings.checkpoint_every_s

    # --- measuring ---

    def _moment(self) -> Moment:
        self._read()
        counters, used = self.counters, min(self.pace.used(), 1.0)
        return Moment(
            step=counters.step,
            used=used,
            loss=counters.loss_sum / max(counters.loss_tokens, 1),
            gradient_norm=self.norm,
            tokens_per_s=self.pace.tokens_per_s(),
            time_left_s=self.pace.elapsed_s() * (1.0 / used - 1.0) if used > 0.0 else 0.0,
        )

    def _write(self, metrics: Metrics | None, values: dict[str, float | str]) -> None:
        if metrics is not None:
            with self.run.writing():
                metrics.write(self.counters.step, {"elapsed_s": round(self.pace.elapsed_s(), 3), **values})
        self.metrics_lines += 1

    def _log(self, metrics: Metrics | None) -> None:
        moment, counters = self._moment(), self.counters
        self._write(
            metrics,
            {
                "epoch": self.pace.epochs(),
                "loss": moment.loss,
                **self.progress.training_figures(moment.loss),
                "gradient_norm": moment.gradient_norm,
                "learning_rate": self.updater.learning_rate,
                f"{self.progress.item}s_per_s": round(moment.tokens_per_s, 1),
                "waiting_share": self.pace.waiting_share(),
            },
        )
        if self.progress.due():
            self.progress.show(moment)
        counters.loss_sum, counters.loss_tokens, counters.loss_steps = 0.0, 0, 0

    def _evaluate(self, metrics: Metrics | None) -> bool:
        """Evaluate and save; returns whether `on_evaluation` wants to stop."""
        self._read()
        counters, started = self.counters, self.agreement.now_s()
        with kept_generators(self.fabric.device), self._evaluated_weights():
            evaluation = self.evaluator(
                self.module, should_stop=self.agreement.stops_in_between, total=self.processes.total
            )
            if evaluation is None:  # abandoned because of a request to stop; it is repeated when the run is resumed
                return False
            loss = evaluation.to_minimise
            best = better = evaluation.is_better_than(counters.best, counters.best_loss)
            if evaluation.losses is not None:
                lowest = counters.lowest
                better = lowest is None or math.fsum(evaluation.losses) < math.fsum(lowest)
                best = better or evaluation.is_as_good_as(counters.lowest or ())
            sample = self.sample() if self.sample is not None and self.processes.is_first else None
            if best:
                self._write_model()
        counters.evaluations += counters.step > 0  # one of the initial weights is not of those spread over the budget
        counters.evaluated_step, counters.evaluated_epochs = counters.step, self.pace.epochs()
        counters.stale = 0 if better else counters.stale + 1
        if better and evaluation.losses is not None:
            counters.lowest = evaluation.losses
        if best:
            counters.best, counters.best_loss, counters.best_step = loss, evaluation.nats_per_token, counters.step
        if self.updater.averaging is not None:
            self.updater.averaging.evaluated(loss)
        values: dict[str, float | str] = {
            "validation_loss": evaluation.nats_per_token,
            **{f"validation_{name}": value for name, value in self.progress.validation_figures(evaluation).items()},
        }
        if sample is not None:
            values["sample"] = sample
        self._write(metrics, values)
        self.progress.evaluated(counters.step, evaluation, best=best, sample=sample)
        self.save(best=best)
        self.agreement.renew()
        # A long evaluation can last until the next would be due; that one is skipped.
        counters.evaluations = max(counters.evaluations, self.pace.evaluations_by_now())
        self.pace.leave_out(self.agreement.now_s() - started)
        hears = self.on_evaluation
        return hears is not None and self.processes.first(lambda: bool(hears(counters.step, loss)))
