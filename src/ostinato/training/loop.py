"""The training loop: chunks of text in, a run folder out."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import asdict
from typing import Any

from torch import nn

from ostinato.data.batches import Batches
from ostinato.data.prefetch import Prefetch
from ostinato.data.streams import Chunk, Streams
from ostinato.errors import RunError
from ostinato.training.checkpoints import Checkpoint
from ostinato.training.counters import Counters, Ending, Outcome
from ostinato.training.device import make_fabric
from ostinato.training.distributed import Processes, told_of_deaths
from ostinato.training.distributed_agreement import Agreement
from ostinato.training.divergence import NOTHING_FOUND, DivergedError, where_it_began
from ostinato.training.evaluation import Evaluator, evaluate
from ostinato.training.generators import kept_generators
from ostinato.training.interrupt import Interrupt
from ostinato.training.metrics import Metrics
from ostinato.training.progress import Moment, Progress
from ostinato.training.run_folder import RunFolder
from ostinato.training.schedules import learning_rate_factor
from ostinato.training.settings import Precision, UpdateSettings
from ostinato.training.sharding import weights_together, whole
from ostinato.training.truncated_bptt import Window, chunks
from ostinato.training.update import Measured, NotFiniteError, Updater

EVALUATIONS = 6  # over the budget, where no distance between them is set


class _Session:
    """One process's share of a run: from the start, or from a checkpoint, to an ending."""

    def __init__(
        self,
        module: nn.Module,
        train: Streams | Batches | Prefetch[Any],
        evaluator: Evaluator,
        run: RunFolder,
        settings: UpdateSettings,
        processes: Processes,
        progress: Progress,
        sample: Callable[[], str] | None,
        on_evaluation: Callable[[int, float], bool | None] | None,
        data_fingerprint: str | None,
    ):
        self.train, self.evaluator, self.sample, self.on_evaluation = train, evaluator, sample, on_evaluation
        self.run, self.settings, self.progress = run, settings, progress
        self.processes, self.fabric = processes, processes.fabric
        self.agreement = Agreement(processes, progress.due)
        self.module = module
        self.source = chunks(train, k2=settings.reach, device=self.fabric.device)
        self.updater = Updater(module, self.source, settings, processes)
        self.budget = settings.budget
        self.counters = Counters()
        self.data_fingerprint = data_fingerprint
        self.metrics_lines = 0
        self.norm = 0.0  # of the last step that was read
        self.saved_step: int | None = None
        self.saved_used = 0.0
        self.saved_at = self.agreement.now_s()
        self._restart_clock()

    # --- going on from a checkpoint ---

    def state(self) -> dict[str, Any]:
        self.counters.elapsed_s = self.elapsed_s()
        return {
            "counters": asdict(self.counters),
            "budget": asdict(self.budget),
            "data_fingerprint": self.data_fingerprint,
            "metrics_lines": self.metrics_lines,
            **self.updater.state_dict(),
        }

    def load(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.state
        try:
            self.counters = Counters(**state["counters"])
            self._put_best_back(checkpoint.step)
            self.metrics_lines = state["metrics_lines"]
            self.updater.load_state_dict(state)
            if state["budget"] != asdict(self.budget):
                self.counters.evaluations = int(self.used() * EVALUATIONS)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise RunError(f"the state in {self.run} does not fit the settings it is resumed with: {reason}") from error
        self.saved_step = checkpoint.step
        self._restart_clock()

    def _put_best_back(self, step: int) -> None:
        """Makes the best model that of the state: a killed process may have gone further, along a path that is not taken again."""
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
        """Inside, the module has the weights to evaluate, whole in every process."""
        averaging = self.updater.averaging
        with nullcontext() if averaging is None else averaging.applied(), weights_together(self.updater.step_module):
            yield

    def _write_model(self) -> None:
        weights = whole(self.module.state_dict())
        if self.processes.is_first:
            with self.run.writing():
                self.run.write_model(weights)

    def save(self, *, best: bool = False) -> None:
        self._read()
        self.saved_used = self.used()
        state = self.state()
        if self.processes.is_first:
            with self.run.writing():
                self.run.checkpoints.write(self.counters.step, state, keep=self.settings.keep_checkpoints, best=best)
        self.saved_step, self.saved_at = self.counters.step, self.agreement.now_s()

    # --- time and budget ---

    def _restart_clock(self) -> None:
        self._since = self.agreement.now_s() - self.counters.elapsed_s
        self._speed_since, self._speed_tokens = self.agreement.now_s(), self.counters.tokens
        self._waited_s = 0.0  # for data

    def elapsed_s(self) -> float:
        return self.agreement.now_s() - self._since

    def epochs(self) -> float:
        return self.counters.epoch + self.train.position / self.train.chunks_per_epoch

    def used(self) -> float:
        return self.budget.used(self.counters.step, self.epochs(), self.elapsed_s())

    def _learning_rate(self, steps: int) -> float:
        """Of the update at work, whose chunks have been given and have so many steps in all."""
        settings, train = self.settings, self.train
        # The used share halfway through the update: neither 0 at the first nor 1 at the last.
        epochs = self.epochs() - 0.5 * settings.accumulate / train.chunks_per_epoch
        factor = learning_rate_factor(
            self.budget.used(self.counters.step + 0.5, epochs, self.elapsed_s()),
            settings.schedule,
            warmup=settings.warmup,
            decay=settings.decay,
            epochs=self.counters.epoch,
            decay_after_epochs=settings.decay_after_epochs,
        )
        return settings.learning_rate * factor * settings.rate_factor(steps)

    # --- the loop ---

    def windows(self) -> Iterator[Window]:
        while True:
            yield from self.source  # it ends with a fresh state: each stream's beginning does not follow its end
            self.counters.epoch += 1

    def go(self, metrics: Metrics | None) -> Ending:
        windows = self.windows()
        self.module.train()
        while True:
            self.agreement.renew()
            if self._evaluation_due():
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
            if self.used() >= 1.0:
                if self.saved_used < 1.0:  # the time ran out while the last checkpoint was written
                    self.save()
                return "budget"
            self._step(windows)
            if self.counters.loss_steps + len(self.updater.unread) >= self.settings.log_every:
                self._log(metrics)
            elif self.agreement.shows():
                self.progress.show(self._moment())

    def _step(self, windows: Iterator[Window]) -> None:
        updater, counters = self.updater, self.counters
        updater.begin(dataclasses.replace(counters))
        steps = 0
        for _ in range(self.settings.accumulate):
            began = time.perf_counter()
            window = next(windows)
            self._waited_s += time.perf_counter() - began
            counters.tokens += updater.add(window) * self.processes.world
            steps += window.steps
        rate = self._learning_rate(steps)
        counters.step += 1
        try:
            self._count(updater.finish(rate))
        except NotFiniteError as error:
            self._diverged(error)

    def _read(self) -> None:
        try:
            self._count(self.updater.read())
        except NotFiniteError as error:
            self._diverged(error)

    def _count(self, measured: list[Measured]) -> None:
        # One by one, so that a sum does not depend on when it was asked for.
        for each in measured:
            self.counters.loss_sum += each.nats
            self.counters.loss_tokens += each.tokens
            self.counters.loss_steps += 1
            self.norm = each.norm

    def _diverged(self, error: NotFiniteError) -> None:
        """Goes back before the step, keeps that state and says what happened."""
        self._count(error.measured)
        attempt, now = error.attempt, self.counters
        self.counters = dataclasses.replace(
            attempt.mark, loss_sum=now.loss_sum, loss_tokens=now.loss_tokens, loss_steps=now.loss_steps
        )
        told = self.processes.texts(where_it_began(self.module, lambda: self.updater.repeat(attempt)))
        where = next(
            (each for each in told if each != NOTHING_FOUND), NOTHING_FOUND
        )  # it may be in the rows of one process only
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
        counters, used = self.counters, min(self.used(), 1.0)
        spent_s = self.agreement.now_s() - self._speed_since
        return Moment(
            step=counters.step,
            used=used,
            loss=counters.loss_sum / max(counters.loss_tokens, 1),
            gradient_norm=self.norm,
            tokens_per_s=(counters.tokens - self._speed_tokens) / max(spent_s, 1e-9),
            time_left_s=self.elapsed_s() * (1.0 / used - 1.0) if used > 0.0 else 0.0,
        )

    def _write(self, metrics: Metrics | None, values: dict[str, float | str]) -> None:
        if metrics is not None:
            with self.run.writing():
                metrics.write(self.counters.step, {"elapsed_s": round(self.elapsed_s(), 3), **values})
        self.metrics_lines += 1

    def _log(self, metrics: Metrics | None) -> None:
        moment, counters = self._moment(), self.counters
        self._write(
            metrics,
            {
                "epoch": self.epochs(),
                "loss": moment.loss,
                **self.progress.training_figures(moment.loss),
                "gradient_norm": moment.gradient_norm,
                "learning_rate": self.updater.learning_rate,
                f"{self.progress.item}s_per_s": round(moment.tokens_per_s, 1),
                "waiting_share": self._waited_s / max(self.agreement.now_s() - self._speed_since, 1e-9),
            },
        )
        if self.progress.due():
            self.progress.show(moment)
        counters.loss_sum, counters.loss_tokens, counters.loss_steps = 0.0, 0, 0

    def _evaluation_due(self) -> bool:
        counters, settings = self.counters, self.settings
        if counters.evaluated_step == counters.step:
            return False
        used, every, every_epochs = self.used(), settings.evaluate_every, settings.evaluate_every_epochs
        if used >= 1.0 or (every is not None and counters.step % every == 0):
            return True
        if every_epochs is not None:  # the tolerance is for sums of fractions
            return int(self.epochs() / every_epochs + 1e-9) > int(counters.evaluated_epochs / every_epochs + 1e-9)
        return every is None and used * EVALUATIONS >= counters.evaluations + 1

    def _evaluate(self, metrics: Metrics | None) -> bool:
        """Evaluates and saves; returns whether the one who listens wants to stop."""
        self._read()
        counters, started = self.counters, self.agreement.now_s()
        with kept_generators(self.fabric.device), self._evaluated_weights():
            evaluation = self.evaluator(
                self.module, should_stop=self.agreement.stops_in_between, total=self.processes.total
            )
            if evaluation is None:  # made up for when the run is resumed
                return False
            loss = evaluation.to_minimise
            best = counters.best is None or loss < counters.best
            sample = self.sample() if self.sample is not None and self.processes.is_first else None
            if best:
                self._write_model()
        counters.evaluations += 1
        counters.evaluated_step, counters.evaluated_epochs = counters.step, self.epochs()
        counters.stale = 0 if best else counters.stale + 1
        if best:
            counters.best, counters.best_step = loss, counters.step
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
        # A long evaluation can use up the time until the next; that one is left out.
        counters.evaluations = max(counters.evaluations, int(self.used() * EVALUATIONS))
        self._speed_since += self.agreement.now_s() - started  # the speed shown is that of training
        hears = self.on_evaluation
        return hears is not None and self.processes.first(lambda: bool(hears(counters.step, loss)))


def _evaluator_on(validation: Callable[[], Iterable[Chunk]] | None) -> Evaluator:
    if validation is None:
        raise ValueError("fit expected validation chunks or an evaluator, got neither; give one of them")
    return lambda module, *, should_stop, total: evaluate(module, validation(), should_stop=should_stop, total=total)


def fit(
    module: nn.Module,
    train: Streams | Batches | Prefetch[Any],
    validation: Callable[[], Iterable[Chunk]] | None = None,
    *,
    run: RunFolder,
    settings: UpdateSettings,
    evaluator: Evaluator | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    resume: bool = False,
    progress: Progress | None = None,
    sample: Callable[[], str] | None = None,
    on_evaluation: Callable[[int, float], bool | None] | None = None,
    data_fingerprint: str | None = None,
    processes: Processes | None = None,
) -> Outcome:
    """Trains `module`, on a text by truncated BPTT or on examples, until the budget is used up, patience ends or a signal comes.

    The module is trained in place. At each evaluation `run` gets a line of metrics, a checkpoint and, where it is the best so far,
    the model. On SIGINT or SIGTERM the step at work is finished and a checkpoint written.

    Args:
        module: anything with `loss(chunk, state) -> (loss, state)`.
        train: the training text, or examples; read from where it stands.
        validation: gives the chunks of the validation text anew at each call; the mean loss on them says which weights are best.
            Needed without `evaluator`.
        run: a folder that was created.
        settings: see there.
        evaluator: evaluates in a way of its own instead, see `Evaluation`.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto" is bf16-mixed where the device has fast bfloat16 products, else 32-true.
        resume: go on from the newest whole checkpoint in `run`, if it has one.
        progress: what a person sees; by default lines on standard output.
        sample: gives a line of text to show at each evaluation.
        on_evaluation: called after each evaluation, when its checkpoint is written, with the step and what is
            minimised, without an `evaluator` the validation loss in nats a token; True ends training with "pruned".
        data_fingerprint: says which text this is; a run is resumed with the same only. See `ostinato.training.fingerprint`.
        processes: those that train together; each gives its share of `train` and of `validation`. `device` and `precision` are then
            not looked at, and the first process alone writes to `run`.

    Raises:
        DivergedError: the loss or a gradient became infinite or NaN; the state before that step is kept.
        RunError: all checkpoints are damaged or do not fit, the text is another, another process is at work in the folder, or it
            cannot be written.
        ConfigError: the device or precision is not to be had.
        PeerError: another process is gone.
        ValueError: neither validation chunks nor an evaluator came.
    """
    if evaluator is None:
        evaluator = _evaluator_on(validation)
    processes = processes or Processes(make_fabric(device, precision))
    progress = progress or Progress(quiet=not processes.is_first)
    with ExitStack() as stack, told_of_deaths(processes.world):
        if processes.is_first:
            stack.enter_context(run.locked(resume=True))
        processes.barrier()
        if resume:
            run.check_data(data_fingerprint)
        processes.seed_apart()
        session = _Session(
            module, train, evaluator, run, settings, processes, progress, sample, on_evaluation, data_fingerprint
        )
        checkpoint = run.checkpoints.read() if resume else None
        processes.check_alike("checkpoint", None if checkpoint is None else checkpoint.step)
        if checkpoint is not None:
            for line in checkpoint.damaged:
                progress.warn(f"{line}; going on from step {checkpoint.step}")
            session.load(checkpoint)
        if processes.is_first:
            with run.writing():
                metrics = stack.enter_context(closing(Metrics(run, session.counters.step, session.metrics_lines)))
        else:
            metrics = None
        with Interrupt() as interrupt, progress.running():
            session.agreement.is_stop_wanted = lambda: interrupt.requested
            ending = session.go(metrics)
    session.counters.elapsed_s = session.elapsed_s()
    return Outcome(ending, session.counters, processes.fabric.strategy.precision.precision)
