"""The training loop: chunks of text or examples in, a run folder out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import torch
from torch import nn

from ostinato.data.batches.batches import Batch, Batches, InOrder
from ostinato.data.batches.datasets import DatasetExamples, MapDataset
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


Loss = Callable[[nn.Module, Any], Any]


def fit(
    module: nn.Module,
    train: Streams | Documents | Batches | Prefetch[Any] | MapDataset,
    validation: Callable[[], Iterable[Chunk | Batch]] | MapDataset | None = None,
    *,
    run: RunFolder | str | os.PathLike[str],
    settings: UpdateSettings,
    loss: Loss | None = None,
    collate_fn: Callable[[list[Any]], Any] | None = None,
    seed: int = 0,
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
    """Train `module` on a text (by truncated BPTT), on examples or on a Dataset, until the budget or the patience is used up.

    The module is trained in place. At each evaluation, `run` gets a line of metrics, a checkpoint and, if it is the best so far,
    the model. On SIGINT or SIGTERM, training finishes the current step and writes a checkpoint.

    Args:
        module: a module with `loss(chunk, state) -> (loss, state)`, or for a Dataset with `loss(batch) -> loss`; or any module, if
            `loss` is given.
        train: the training text, documents or examples, read from their current place. Or a map-style Dataset of torch, read in
            random batches of `settings.batch_size` items, in a new order each epoch; a resumed run continues with the next batch.
            `Batches(DatasetExamples(...), ...)` does the same with more options.
        validation: a function that returns the chunks of the validation text at each call; the mean loss on them decides which
            weights are best. Needed without `evaluator`. Or a Dataset like `train`.
        run: a `RunFolder` that was created, or a path, whose folder is then made.
        settings: how to train, see `UpdateSettings` and `TrainingSettings`.
        loss: `loss(module, batch)` returns the mean loss of a batch, a scalar, or a tuple that begins with it. `batch` is what
            `collate_fn` returned, on the module's device; for other data it is the `Batch`. None for the module's own loss.
        collate_fn: a function that puts a list of items of a Dataset into one batch; `torch.utils.data.default_collate` by default.
        seed: the seed of the order of a Dataset.
        evaluator: a function that evaluates the module in place of the mean loss, see `Evaluation`.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto" is bf16-mixed if the device has fast bfloat16 products, else 32-true.
        resume: continue from the newest whole checkpoint in `run`, if it has one.
        progress: shows the progress to a person; by default lines on standard output.
        sample: returns a line of text to show at each evaluation.
        on_evaluation: called after each evaluation, when its checkpoint is written, with the step and the value to minimise
            (without an `evaluator` the validation loss in nats a token); True ends training with "pruned".
        on_step: called after each update with its number, to look at the module, which it must not change; the numbers that it
            returns by name become a line of metrics.
        data_fingerprint: identifies the text; a run can only be resumed with the same one. See `ostinato.training.run.fingerprint`.
        processes: the processes that train together; each gives its share of `train` and of `validation`. `device` and `precision`
            are then ignored, and only the first process writes to `run`.

    Raises:
        DivergedError: the loss or a gradient became infinite or NaN; the state before that step is kept.
        RunError: all checkpoints are damaged or do not fit, the text is another one, another process is at work in the folder, or
            the folder cannot be written.
        ConfigError: the device or precision is not available.
        PeerError: another process is gone.
        ValueError: neither validation chunks nor an evaluator were given.
        TypeError: `module` has no loss, `validation` is not a function, or `train` has no place that can be saved.
    """
    processes = processes or Processes(make_fabric(device, precision))
    is_dataset = _is_dataset(train)
    source: Any = train
    if is_dataset:
        examples = DatasetExamples(source, collate_fn)
        source = Batches(examples, settings.batch_size, seed=seed, rank=processes.rank, world=processes.world)
    if not all(hasattr(source, name) for name in ("position", "chunks_per_epoch", "state_dict", "load_state_dict")):
        raise TypeError(_no_place(source))
    held_out: Any = validation
    if _is_dataset(held_out):
        held = InOrder(DatasetExamples(held_out, collate_fn), settings.batch_size)
        validation = lambda: held  # noqa: E731
    if evaluator is None:
        evaluator = _evaluator_on(validation)  # pyright: ignore[reportArgumentType]
    if not isinstance(run, RunFolder):
        run = RunFolder(run)
        if processes.is_first and not run.config_file.exists():
            run.create({})
    progress = progress or Progress(quiet=not processes.is_first)
    with ExitStack() as stack, told_of_deaths(processes.world):
        stack.enter_context(processes.beating())
        stack.enter_context(_with_loss(module, loss, of_items=is_dataset))
        if processes.is_first:
            stack.enter_context(run.locked(resume=True))
        processes.barrier()
        if resume:
            run.check_data(data_fingerprint)
        processes.seed_apart()
        trainer = Trainer(
            module,
            source,
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


def _is_dataset(given: Any) -> bool:
    """Whether `given` is a map-style Dataset: it has items by number, and a length; batches and streams have no items by number.

    A tuple is not one, because it means inputs and targets. Nor is a class, such as `list` given as a function.
    """
    if isinstance(given, (tuple, type)):
        return False
    return hasattr(given, "__getitem__") and hasattr(given, "__len__") and not hasattr(given, "state_dict")


def _no_place(given: Any) -> str:
    what = "Streams, Documents, Batches, Prefetch or a map-style Dataset, whose place a checkpoint can keep"
    kind = type(given).__name__
    if isinstance(given, torch.utils.data.DataLoader):
        return f"train: expected {what}, got a DataLoader; give fit(module, loader.dataset, collate_fn=loader.collate_fn, ...)"
    return f"train: expected {what}, got a {kind}; for anything else write the loop around ostinato.training.chunks"


@contextmanager
def _with_loss(module: nn.Module, loss: Loss | None, *, of_items: bool) -> Iterator[None]:
    """Inside, the module has a `loss` of the form that the loop needs; its parameters keep their names."""
    own = getattr(module, "loss", None)
    if loss is None and not (of_items and callable(own)):
        yield
        return

    def loss_and_state(batch: Any, state: Any = None) -> tuple[Any, Any]:
        given = batch.input if of_items else batch
        found: Any = (
            own(given) if loss is None and own is not None else loss(module, given) if loss is not None else None
        )
        found = found[0] if isinstance(found, tuple | list) and found else found
        if not isinstance(found, torch.Tensor) or found.numel() != 1:
            kind = f"a tensor {tuple(found.shape)}" if isinstance(found, torch.Tensor) else f"a {type(found).__name__}"
            raise TypeError(
                f"loss: expected the mean loss of the batch, a tensor with one number, got {kind}; take its mean"
            )
        return found.reshape(()), None

    kept = module.__dict__.get("loss", None)
    module.__dict__["loss"] = loss_and_state
    try:
        yield
    finally:
        if kept is None:
            del module.__dict__["loss"]
        else:
            module.__dict__["loss"] = kept
