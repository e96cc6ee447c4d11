"""`doctor`: run all checks, one after the other, on a copy of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ostinato.insight.diagnosis import gradients, inputs, layout, losses, pace, records, simpler, structure, units
from ostinato.insight.diagnosis.finding import Diagnosis, Finding
from ostinato.insight.diagnosis.patient import Patient, fit_for_examination, left_as_they_are
from ostinato.insight.layers import InsightError, Loss, recurrent_modules
from ostinato.nn.lengths import as_lengths, as_tensor
from ostinato.types import Lengths

Check = Callable[[Patient], Iterator[Finding]]

# The checks by the names of their findings; findings that explain others come first.
CHECKS: dict[str, Check] = {
    "loss or gradient not finite": losses.not_finite,
    "worse than a simpler model": simpler.worse_than_simpler,
    "softmax twice": losses.softmax_twice,
    "batch_first looks wrong": layout.wrong_batch_first,
    "padding reaches the loss": layout.padding_in_loss,
    "states not carried between chunks": inputs.states_not_carried,
    "output ignores the recurrent state": gradients.state_ignored,
    "parameters without gradient": gradients.without_gradient,
    "parameters not in the optimizer": structure.not_in_optimizer,
    "frozen parameters": structure.frozen,
    "one layer under several names": structure.tied_layers,
    "dropout without effect": structure.dropout_between_no_layers,
    "input not normalised": inputs.scale_of_input,
    "saturated gates": units.saturated,
    "dead ReLU units": units.dead,
    "stuck units": units.stuck,
    "exploding gradient": gradients.exploding,
    "vanishing gradient": gradients.vanishing,
    "forget bias near 0": gradients.forget_bias,
    "loss far above guessing": losses.above_guessing,
    "loss at the level of guessing": losses.guessing,
    "learning rate": pace.learning_rate,
    "clipping in nearly every step": records.clipping_always,
    "training loss rises again": records.loss_rises_again,
    "overfitting": records.overfitting,
    "embedding rows never used": structure.unused_rows,
}
# The arguments that a check cannot do without.
_NEEDS = {
    "worse than a simpler model": ("figures", "baselines"),
    "states not carried between chunks": ("next_batch",),
    "parameters not in the optimizer": ("optimizer",),
    "learning rate": ("optimizer",),
    "clipping in nearly every step": ("history", "clip_norm"),
    "training loss rises again": ("history",),
    "overfitting": ("history",),
    "embedding rows never used": ("optimizer",),
}
# Checks that need no number from the model; the others mean nothing if its numbers are not finite.
_WITHOUT_NUMBERS = {
    "loss or gradient not finite",
    "worse than a simpler model",
    "batch_first looks wrong",
    "parameters not in the optimizer",
    "frozen parameters",
    "one layer under several names",
    "dropout without effect",
    "input not normalised",
    "clipping in nearly every step",
    "training loss rises again",
    "overfitting",
}


def doctor(
    model: nn.Module,
    batch: Any,
    loss: Loss | None = None,
    *,
    next_batch: Any = None,
    optimizer: torch.optim.Optimizer | None = None,
    history: Sequence[Mapping[str, Any]] | None = None,
    clip_norm: float | None = None,
    lengths: Lengths | None = None,
    batch_first: bool | None = None,
    figures: Mapping[str, float] | None = None,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
) -> Diagnosis:
    """Find what is wrong with a recurrent model, with the evidence and the argument to change.

    Everything is measured, and remedies are tried, on a copy: the model, its gradients, mode, buffers, the optimiser and the random
    generators are as before. More arguments allow more checks; the checks that were not possible are in `unchecked`.

    Args:
        model: a model with recurrent layers, ours or torch.nn's.
        batch: a batch of training, as `loss` takes it.
        loss: `loss(model, batch)` gives a scalar, or a tuple that begins with it; it must use the model that it is given. None
            calls the model's own `loss(batch, state)`, which gives the loss and the next state, as in training.
        next_batch: the batch that follows in the same streams; for the check whether states are carried over.
        optimizer: the optimiser of the model's parameters; for the checks whether it has all of them, and whether its learning rate
            fits.
        history: lines of training, oldest first, with any of "step", "loss", "validation_loss", "gradient_norm" (before clipping),
            as `metrics.jsonl` of a run has them.
        clip_norm: the norm that training clips at, above 0.
        lengths: `(B,)` valid steps of each row of the batch.
        batch_first: whether the batch's sequences are `(B, T, ...)`, if that is known.
        figures: how good the model is on data that it was not trained on, by name, such as {"accuracy": 0.9}; the most important
            figure first.
        baselines: figures of simpler models on the same data, by the name of the model; `report.json` of a run has both.

    Returns:
        The findings, the worst first. Print it, or read `findings`.

    Raises:
        InsightError: the model has no recurrent layer or cannot be copied, or the loss is not a scalar.
    """
    rows = None if lengths is None else as_tensor(lengths)
    if rows is not None:
        rows = as_lengths(rows, rows.numel(), max(int(rows.max()), 0), torch.device("cpu"))
    findings: list[Finding] = []
    checked: list[str] = []
    unchecked: dict[str, str] = {}
    with left_as_they_are(model), torch.enable_grad():
        patient = Patient(
            model,
            fit_for_examination(model),
            batch,
            loss,
            next_batch=next_batch,
            optimizer=optimizer,
            history=list(history or ()),
            clip_norm=clip_norm,
            lengths=rows,
            batch_first=batch_first,
            figures=figures,
            baselines=baselines,
        )
        if not any(isinstance(part, nn.RNNBase | nn.RNNCellBase) for part in model.modules()):
            recurrent_modules(model)  # raises an error that says what the model has instead
        _ = patient.seen  # errors of the batch or the loss go to the caller
        is_finite = True
        for name, check in CHECKS.items():
            if reason := _not_possible(patient, name, is_finite):
                unchecked[name] = reason
                continue
            try:
                found = list(check(patient))
            except (InsightError, RuntimeError) as error:  # a user's model may not run in the way that a check needs
                unchecked[name] = " ".join(str(error).split())
                continue
            checked.append(name)
            findings += found
            is_finite = is_finite and not (found and check is losses.not_finite)
    return Diagnosis(findings, checked, unchecked)


def _not_possible(patient: Patient, name: str, is_finite: bool) -> str | None:
    """The reason why a check is not possible; None if it is possible."""
    missing = [each for each in _NEEDS.get(name, ()) if getattr(patient, each) is None or not _has_lines(patient, each)]
    if missing:
        return f"give {', '.join(f'{each}=' for each in missing)}"
    return None if is_finite or name in _WITHOUT_NUMBERS else "the numbers are not finite"


def _has_lines(patient: Patient, name: str) -> bool:
    return name not in ("history", "figures", "baselines") or len(getattr(patient, name)) > 0
