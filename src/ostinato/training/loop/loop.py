"""The training loop: chunks of text or examples in, a run folder out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from typing import Any

from torch import nn

from ostinato.data.batches.batches import Batches
from ostinato.data.batches.documents import Documents
from ostinato.data.batches.prefetch import Prefetch
from ostinato.data.batches.streams import Chunk, Streams
from ostinato.training.distributed.device import make_fabric
from ostinato.training.distributed.processes import Processes, told_of_deaths
from ostinato.training.loop.counters import Outcome
from ostinato.training.loop.evaluation import Evaluator, evaluate
from ostinato.training.loop.interrupt import Interrupt
from ostinato.training.loop.metrics import Metrics
from ostinato.training.loop.progress import Progress
from ostinato.training.loop.trainer import Trainer
from ostinato.training.run.run_folder import RunFolder
from ostinato.training.run.settings import Precision, UpdateSettings


def _evaluator_on(validation: Callable[[], Iterable[Chunk]] | None) -> Evaluator:
    if validation is None:
        raise ValueError("fit expected validation chunks or an evaluator, got neither; give one of them")
    if not callable(validation):
        raise TypeError(
            f"validation: expected a function that gives the chunks anew at each call, got a {type(validation).__name__}; "
            "give lambda: chunks"
        )
    return lambda module, *, should_stop, total: evaluate(module, validation(), should_stop=should_stop, total=total)


def fit(
    module: nn.Module,
    train: Streams | Documents | Batches | Prefetch[Any],
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
    on_step: Callable[[int], Mapping[str, float]] | None = None,
    data_fingerprint: str | None = None,
    processes: Processes | None = None,
) -> Outcome:
    """Trains `module`, on a text by truncated BPTT or on examples, until the budget is used up, patience ends or a signal comes.

    The module is trained in place. At each evaluation `run` gets a line of metrics, a checkpoint and, where it is the best so far,
    the model. On SIGINT or SIGTERM the step at work is finished and a checkpoint written.

    Args:
        module: anything with `loss(chunk, state) -> (loss, state)`.
        train: the training text or documents, or examples; read from where it stands.
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
        on_step: called after each update with its number, to look at the module, which it must leave as it is; the numbers that it
            gives, by name, become a line of metrics.
        data_fingerprint: says which text this is; a run is resumed with the same only. See `ostinato.training.run.fingerprint`.
        processes: those that train together; each gives its share of `train` and of `validation`. `device` and `precision` are then
            not looked at, and the first process alone writes to `run`.

    Raises:
        DivergedError: the loss or a gradient became infinite or NaN; the state before that step is kept.
        RunError: all checkpoints are damaged or do not fit, the text is another, another process is at work in the folder, or it
            cannot be written.
        ConfigError: the device or precision is not to be had.
        PeerError: another process is gone.
        ValueError: neither validation chunks nor an evaluator came.
        TypeError: `module` has no loss, `validation` is no function, or `train` has no place that can be saved.
    """
    if not all(hasattr(train, name) for name in ("position", "chunks_per_epoch", "state_dict", "load_state_dict")):
        raise TypeError(
            f"train: expected Streams, Documents, Batches or Prefetch, whose place a checkpoint can keep, got a "
            f"{type(train).__name__}; for anything else write the loop around ostinato.training.chunks"
        )
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
        trainer = Trainer(
            module,
            train,
            evaluator,
            run,
            settings,
            processes,
            progress,
            sample,
            on_evaluation,
            on_step,
            data_fingerprint,
        )
        checkpoint = run.checkpoints.read() if resume else None
        processes.check_alike("checkpoint", None if checkpoint is None else checkpoint.step)
        if checkpoint is not None:
            for line in checkpoint.damaged:
                progress.warn(f"{line}; going on from step {checkpoint.step}")
            trainer.load(checkpoint)
        if processes.is_first:
            with run.writing():
                metrics = stack.enter_context(closing(Metrics(run, trainer.counters.step, trainer.metrics_lines)))
        else:
            metrics = None
        with Interrupt() as interrupt, progress.running():
            trainer.agreement.is_stop_wanted = lambda: interrupt.requested
            ending = trainer.go(metrics)
    trainer.counters.elapsed_s = trainer.pace.elapsed_s()
    used_up = trainer.pace.used_up() if ending == "budget" else {}
    return Outcome(ending, trainer.counters, processes.fabric.strategy.precision.precision, used_up)
