"""The training loop: chunks of text in, a run folder out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import nn

from ostinato.data.streams import Chunk, Streams
from ostinato.errors import OstinatoError, RunError
from ostinato.training.chunks import TruncatedBPTT
from ostinato.training.clipping import clip
from ostinato.training.device import make_fabric
from ostinato.training.evaluation import evaluate
from ostinato.training.interrupt import Interrupt
from ostinato.training.metrics import Metrics
from ostinato.training.optimizers import make_optimizer
from ostinato.training.progress import Moment, Progress
from ostinato.training.run_folder import RunFolder
from ostinato.training.schedules import learning_rate_factor
from ostinato.training.settings import Precision, TrainingSettings
from ostinato.training.tree import map_tensors

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EVALUATIONS = 6  # over the budget, where `evaluate_every` is not set

Ending: TypeAlias = Literal["budget", "patience", "interrupted"]


class DivergedError(OstinatoError):
    """The loss is no longer a finite number."""


@dataclass
class Counters:
    """Where a run stands, besides its tensors; all of it is written to `state/`.

    Args:
        step: updates made.
        epoch: passes over the text completed.
        elapsed_s: wall time spent, over all sessions.
        tokens: trained on, repeats counted.
        loss_sum: of the steps since the last line of metrics.
        loss_steps: how many those are.
        evaluations: made.
        evaluated_step: the step of the last evaluation.
        best: lowest validation loss, nats a token.
        best_step: its step.
        stale: evaluations since the best one.
    """

    step: int = 0
    epoch: int = 0
    elapsed_s: float = 0.0
    tokens: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    evaluations: int = 0
    evaluated_step: int = 0
    best: float | None = None
    best_step: int = 0
    stale: int = 0


@dataclass(frozen=True)
class Outcome:
    """How training ended.

    Args:
        ending: "budget", "patience" or "interrupted".
        counters: where it stands.
        precision: what it computed in.
    """

    ending: Ending
    counters: Counters
    precision: str


class _Fields(nn.Module):
    """Takes a chunk as the dict of its fields: Fabric looks into the arguments of forward and refuses frozen dataclasses."""

    def __init__(self, bptt: TruncatedBPTT):
        super().__init__()
        self.bptt = bptt

    def forward(self, fields: dict[str, Any]) -> torch.Tensor:
        return self.bptt(Chunk(**fields))


class _Session:
    """One process's share of a run: from the start, or from a state, to an ending."""

    def __init__(
        self,
        module: nn.Module,
        train: Streams,
        validation: Callable[[], Iterable[Chunk]],
        run: RunFolder,
        settings: TrainingSettings,
        fabric: Fabric,
        progress: Progress,
        sample: Callable[[], str] | None,
    ):
        self.train, self.validation, self.sample = train, validation, sample
        self.run, self.settings, self.fabric, self.progress = run, settings, fabric, progress
        self.budget = settings.budget
        self.counters = Counters()
        self.bptt = TruncatedBPTT(module)
        self.step_module = fabric.setup_module(_Fields(self.bptt))
        self.module = module
        self.scaled = fabric.strategy.precision.precision == "16-mixed"
        self.optimizer = make_optimizer(
            settings.optimizer,
            module.parameters(),
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=not self.scaled and fabric.device.type in ("cpu", "cuda"),
        )
        # Fabric's wrapper scales steps in 16-mixed; the state and the learning rate are those of the optimiser inside.
        self.wrapped_optimizer: Any = fabric.setup_optimizers(self.optimizer)
        # On the CPU a loss can be read at no cost; elsewhere reading waits for the device, so it is summed up there.
        self.reads_every_step = fabric.device.type == "cpu"
        self.unread: list[torch.Tensor] = []
        self.norm = torch.zeros(())
        self._restart_clock()

    # --- going on from a state ---

    def state(self) -> dict[str, Any]:
        self._read_losses()
        self.counters.elapsed_s = self.elapsed_s()
        device = self.fabric.device
        return {
            "counters": asdict(self.counters),
            "data": self.train.state_dict(),
            "model": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.fabric.strategy.precision.state_dict(),
            "hidden": self.bptt.state,
            "random": {
                "cpu": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
            },
        }

    def load(self, state: dict[str, Any]) -> None:
        try:
            self.counters = Counters(**state["counters"])
            self.module.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.train.load_state_dict(state["data"])
            self.fabric.strategy.precision.load_state_dict(state["scaler"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise RunError(f"the state in {self.run} does not fit the settings it is resumed with: {reason}") from error
        device = self.fabric.device
        self.bptt.state = map_tensors(lambda tensor: tensor.to(device), state["hidden"])
        torch.set_rng_state(state["random"]["cpu"])
        if device.type == "cuda" and state["random"]["cuda"] is not None:
            torch.cuda.set_rng_state(state["random"]["cuda"], device)
        if self.settings.evaluate_every is None:  # the budget may be another one now
            self.counters.evaluations = int(self.used() * EVALUATIONS)
        self._restart_clock()

    def save(self) -> None:
        try:
            self.run.write_state(self.counters.step, self.state())
        except OSError as error:
            reason = error.strerror or error
            raise RunError(f"cannot write to {self.run}: {reason}; the state before this one is kept") from error

    # --- time and budget ---

    def _restart_clock(self) -> None:
        self._since = time.monotonic() - self.counters.elapsed_s
        self._speed_since, self._speed_tokens = time.monotonic(), self.counters.tokens

    def elapsed_s(self) -> float:
        return time.monotonic() - self._since

    def epochs(self) -> float:
        return self.counters.epoch + self.train.position / self.train.chunks_per_epoch

    def used(self) -> float:
        return self.budget.used(self.counters.step, self.epochs(), self.elapsed_s())

    def _middle_of_step(self) -> float:
        """The used share halfway through the step at work, whose chunk has been given: neither 0 at the first nor 1 at the last."""
        epochs = self.epochs() - 0.5 / self.train.chunks_per_epoch
        return self.budget.used(self.counters.step + 0.5, epochs, self.elapsed_s())

    # --- the loop ---

    def chunks(self) -> Iterator[Chunk]:
        while True:
            yield from self.train
            self.counters.epoch += 1
            self.bptt.reset()  # each stream is back at its beginning, which does not follow its end

    def go(self, metrics: Metrics, interrupt: Interrupt) -> Ending:
        chunks = self.chunks()
        self.module.train()
        while True:
            if self._evaluation_due():
                self._evaluate(metrics, interrupt)
            if interrupt.requested:
                self.save()
                return "interrupted"
            if self.settings.patience is not None and self.counters.stale >= self.settings.patience:
                return "patience"
            if self.used() >= 1.0:
                return "budget"
            self._step(next(chunks))
            if self.counters.loss_steps + len(self.unread) >= self.settings.log_every:
                self._log(metrics)
            elif self.progress.due():
                self.progress.show(self._moment())

    def _step(self, chunk: Chunk) -> None:
        settings, device = self.settings, self.fabric.device
        factor = learning_rate_factor(self._middle_of_step(), settings.schedule, warmup=settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * factor
        fields = {name: None if value is None else value.to(device) for name, value in vars(chunk).items()}
        loss = self.step_module(fields)
        self.unread.append(loss.detach())
        if self.reads_every_step:
            self._read_losses()  # before the weights change: a loss that is not finite leaves them as they were
        self.fabric.backward(loss)
        if self.scaled:
            self.fabric.strategy.precision.unscale_gradients(self.optimizer)
        self.norm = clip(self.module.parameters(), norm=settings.clip_norm, value=settings.clip_value)
        self.wrapped_optimizer.step()
        self.wrapped_optimizer.zero_grad()
        self.counters.step += 1
        self.counters.tokens += chunk.target.numel()

    def _read_losses(self) -> None:
        if not self.unread:
            return
        total = float(torch.stack(self.unread).sum())
        if not math.isfinite(total):
            first = self.counters.step + 1 if self.reads_every_step else self.counters.step + 1 - len(self.unread)
            rate = self.optimizer.param_groups[0]["lr"]
            raise DivergedError(
                f"the loss became {total} at step {first} (learning rate {rate:.2g}, last gradient norm {float(self.norm):.3g}); "
                f"lower training.learning_rate or training.clip_norm. {self.run} keeps the best model and state before it"
            )
        self.counters.loss_sum += total
        self.counters.loss_steps += len(self.unread)
        self.unread.clear()

    # --- measuring ---

    def _moment(self) -> Moment:
        self._read_losses()
        counters, used = self.counters, min(self.used(), 1.0)
        spent_s = time.monotonic() - self._speed_since
        return Moment(
            step=counters.step,
            used=used,
            loss=counters.loss_sum / max(counters.loss_steps, 1),
            gradient_norm=float(self.norm),
            tokens_per_s=(counters.tokens - self._speed_tokens) / max(spent_s, 1e-9),
            time_left_s=self.elapsed_s() * (1.0 / used - 1.0) if used > 0.0 else 0.0,
        )

    def _log(self, metrics: Metrics) -> None:
        moment, counters = self._moment(), self.counters
        metrics.write(
            counters.step,
            {
                "epoch": self.epochs(),
                "elapsed_s": round(self.elapsed_s(), 3),
                "loss": moment.loss,
                "bits_per_character": self.progress.bits(moment.loss),
                "gradient_norm": moment.gradient_norm,
                "learning_rate": self.optimizer.param_groups[0]["lr"],
                "tokens_per_s": round(moment.tokens_per_s, 1),
            },
        )
        if self.progress.due():
            self.progress.show(moment)
        counters.loss_sum, counters.loss_steps = 0.0, 0

    def _evaluation_due(self) -> bool:
        counters, every = self.counters, self.settings.evaluate_every
        if counters.evaluated_step == counters.step:
            return False
        used = self.used()
        due = used * EVALUATIONS >= counters.evaluations + 1 if every is None else counters.step % every == 0
        return due or used >= 1.0

    def _evaluate(self, metrics: Metrics, interrupt: Interrupt) -> None:
        self._read_losses()
        counters, started = self.counters, time.monotonic()
        evaluation = evaluate(self.module, self.validation(), should_stop=lambda: interrupt.requested)
        if evaluation is None:  # made up for when the run is resumed
            return
        loss = evaluation.nats_per_token
        best = counters.best is None or loss < counters.best
        counters.evaluations += 1
        counters.evaluated_step = counters.step
        counters.stale = 0 if best else counters.stale + 1
        sample = self.sample() if self.sample is not None else None
        if best:
            counters.best, counters.best_step = loss, counters.step
            self.run.write_model(self.module.state_dict())
        bits = self.progress.validation_bits(loss)
        values: dict[str, float | str] = {"validation_loss": loss, "validation_bits_per_character": bits}
        if sample is not None:
            values["sample"] = sample
        metrics.write(counters.step, {"elapsed_s": round(self.elapsed_s(), 3), **values})
        self.progress.evaluated(counters.step, loss, best=best, sample=sample)
        self.save()
        # A long evaluation can use up the time until the next; that one is left out.
        counters.evaluations = max(counters.evaluations, int(self.used() * EVALUATIONS))
        self._speed_since += time.monotonic() - started  # the speed shown is that of training


def fit(
    module: nn.Module,
    train: Streams,
    validation: Callable[[], Iterable[Chunk]],
    *,
    run: RunFolder,
    settings: TrainingSettings,
    device: str = "auto",
    precision: Precision = "auto",
    resume: bool = False,
    progress: Progress | None = None,
    sample: Callable[[], str] | None = None,
) -> Outcome:
    """Trains `module` by truncated BPTT until the budget is used up, patience ends or a signal comes.

    The module is trained in place. At each evaluation `run` gets a line of metrics, the state to resume from and, where it is
    the best so far, the model. On SIGINT or SIGTERM the step at work is finished and the state written.

    Args:
        module: anything with `loss(chunk, state) -> (loss, state)`.
        train: the training text; read from where it stands.
        validation: gives the chunks of the validation text anew at each call.
        run: a folder that was created.
        settings: see there.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto" is bf16-mixed where the device has fast bfloat16 products, else 32-true.
        resume: go on from the state in `run`, if it has one.
        progress: what a person sees; by default lines on standard output.
        sample: gives a line of text to show at each evaluation.

    Raises:
        DivergedError: the loss became infinite or NaN.
        RunError: the state does not fit, or the folder cannot be written.
        ConfigError: the device or precision is not to be had.
    """
    fabric = make_fabric(device, precision)
    progress = progress or Progress()
    session = _Session(module, train, validation, run, settings, fabric, progress, sample)
    if resume and run.has_state():
        session.load(run.read_state())
    metrics = Metrics(run, session.counters.step)
    try:
        with Interrupt() as interrupt, progress.running():
            ending = session.go(metrics, interrupt)
    finally:
        metrics.close()
    session.counters.elapsed_s = session.elapsed_s()
    return Outcome(ending, session.counters, fabric.strategy.precision.precision)
