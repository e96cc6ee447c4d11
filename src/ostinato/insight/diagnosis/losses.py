"""Checks of the value of the loss, compared with the loss of guessing."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from ostinato.insight.diagnosis.finding import Finding, Number
from ostinato.insight.diagnosis.passes import Criterion
from ostinato.insight.diagnosis.patient import Patient
from ostinato.types import Tensor

# After fewer updates it is normal that a model is no better than guessing.
_UPDATES_TO_LEARN = 200
# The share of the loss of guessing by which the loss must be lower then. The demo run is 28 % lower (4.6 to 3.3 nats) after 20
# updates.
_WON = 0.02
# A network with torch's initialisation starts 0.0 to 0.1 nats above ln V (LSTM of 512 units, V = 100); one with a tied embedding
# from N(0, 1) starts tens of nats above.
_NATS_ABOVE = 1.0


def not_finite(patient: Patient) -> Iterator[Finding]:
    """The loss or a gradient is NaN or infinite."""
    seen = patient.seen
    bad_weights = [
        name for name, p in patient.model.named_parameters() if p.is_floating_point() and not torch.isfinite(p).all()
    ]
    bad_gradients = [name for name, g in seen.gradients.items() if g is not None and not torch.isfinite(g).all()]
    if math.isfinite(seen.loss) and not bad_gradients and not bad_weights:
        return
    if bad_weights:
        began = f"the weights {bad_weights[0]} already hold numbers that are not finite"
        remedy = "go back to a checkpoint from before, with a lower learning_rate and clip_norm=1"
    elif seen.first_not_finite:
        began = f"the output of {seen.first_not_finite} was the first that is not finite"
        remedy = (
            "look at the input of this module: NaN in the data, a logarithm or a division there; use precision 32-true"
        )
    elif not math.isfinite(seen.loss):
        began = "all modules give finite numbers, so that it begins in the loss function"
        remedy = (
            "look at the targets, and at the mean over nothing (all of them ignored); add an eps to a logarithm or root"
        )
    else:
        began = f"the loss is finite, but the gradient of {bad_gradients[0]} is not"
        remedy = "clamp what a root, a logarithm or a division in the loss gets; its slope is infinite at zero"
    yield Finding(
        "loss or gradient not finite",
        "fault",
        "loss",
        f"the loss is {seen.loss:g}; {began}",
        remedy,
        numbers={"loss": Number(seen.loss, "loss"), "gradients": Number(len(bad_gradients), "parameters")},
    )


def softmax_twice(patient: Patient) -> Iterator[Finding]:
    """`cross_entropy` gets probabilities, but expects logits."""
    for criterion in patient.seen.criteria:
        if criterion.name != "cross_entropy" or criterion.input.shape[-1] < 2:
            continue
        said = criterion.input.double()
        classes = 0 if said.dim() == 1 else 1
        sums = said.sum(classes)
        # It is practically impossible that logits are positive and add up to 1 everywhere.
        if bool((said >= 0).all()) and bool(((sums - 1).abs() < 1e-3).all()):
            floor = math.log(1 + (said.shape[classes] - 1) / math.e)
            yield Finding(
                "softmax twice",
                "fault",
                "loss",
                f"cross_entropy was given {said.shape[classes]} numbers from {float(said.min()):.3g} to {float(said.max()):.3g} "
                f"that add up to 1, probabilities; it takes a softmax itself, so that the loss cannot fall below {floor:.3g} nats",
                "give it the output layer's logits: leave out the softmax before it",
                numbers={"floor": Number(floor, "nats"), "classes": Number(said.shape[classes], "classes")},
            )
            return


def guessing(patient: Patient) -> Iterator[Finding]:
    """After training, the loss is no better than that of a constant answer."""
    if patient.updates < _UPDATES_TO_LEARN:
        return
    for criterion in patient.seen.criteria:
        level = constant_loss(criterion)
        loss = _own_loss(criterion)
        if level is None or loss is None or level[0] <= 0:
            continue
        guess, unit, answer = level
        if loss > (1 - _WON) * guess:
            yield Finding(
                "loss at the level of guessing",
                "fault",
                "loss",
                f"after {patient.updates:,} updates the loss is {loss:.4g} {unit}; {answer} gets {guess:.4g} {unit}",
                "check that targets belong to inputs (shifted by one step? shuffled apart? batch_first?); then try learning_rate "
                "times 10 and by 10, and one batch alone, which must be learnt by heart",
                numbers={"loss": Number(loss, unit), "guessing": Number(guess, unit)},
            )
            return


def above_guessing(patient: Patient) -> Iterator[Finding]:
    """A classifier is far more wrong than one that knows nothing."""
    for criterion in patient.seen.criteria:
        loss = _own_loss(criterion)
        if criterion.name != "cross_entropy" or loss is None or criterion.target.is_floating_point():
            continue
        classes = criterion.input.shape[0 if criterion.input.dim() == 1 else 1]
        uniform = math.log(classes)
        if loss <= uniform + _NATS_ABOVE:
            continue
        size = float(criterion.input.std())
        yield Finding(
            "loss far above guessing",
            "warning",
            "loss",
            f"the loss is {loss:.4g} nats, guessing evenly among {classes:,} classes gets {uniform:.4g}: the logits "
            f"(standard deviation {size:.3g}) are sure of wrong answers",
            "start with small output weights (initial_range= or embedding_range= of LanguageModel; for a tied embedding "
            "uniform in +-1/sqrt(H), not N(0, 1)); after training, look for targets of another vocabulary",
            numbers={
                "loss": Number(loss, "nats"),
                "guessing": Number(uniform, "nats"),
                "logits": Number(size, "standard deviation"),
            },
        )
        return


def constant_loss(criterion: Criterion) -> tuple[float, str, str] | None:
    """The loss of the best answer that ignores the input, on these targets: the loss, its unit, and that answer in words."""
    target = criterion.target
    if criterion.name in ("cross_entropy", "nll_loss") and not target.is_floating_point():
        counts = torch.bincount(_counted(criterion).flatten()).double()
        p = counts[counts > 0] / counts.sum()
        return float(-(p * p.log()).sum()), "nats", "always answering with the classes' frequencies"
    if criterion.name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss") and target.numel() > 1:
        # One constant for each output along the last dimension, as a bias could learn it.
        rows = target.double().reshape(-1, target.shape[-1]) if target.dim() > 1 else target.double()[:, None]
        if criterion.name == "mse_loss":
            return float((rows - rows.mean(0)).square().mean()), "squared error", "always answering with the mean"
        if criterion.name == "l1_loss":
            return float((rows - rows.median(0).values).abs().mean()), "error", "always answering with the median"
    return None


def _counted(criterion: Criterion) -> Tensor:
    ignored = criterion.arguments.get("ignore_index", -100)
    return criterion.target[criterion.target != ignored]


def _own_loss(criterion: Criterion) -> float | None:
    """The mean loss over targets that are not ignored, without weights of classes and penalties of the model."""
    if criterion.input.shape[:1] != criterion.target.shape[:1] and criterion.input.dim() > 1:
        return None
    said, target = criterion.input.double(), criterion.target
    if criterion.name in ("cross_entropy", "nll_loss") and not target.is_floating_point():
        ignored = criterion.arguments.get("ignore_index", -100)
        if not bool((target != ignored).any()):
            return None
        function = getattr(torch.nn.functional, criterion.name)
        return float(function(said, target, ignore_index=ignored))
    if criterion.name in ("mse_loss", "l1_loss") and said.shape == target.shape:
        return float(getattr(torch.nn.functional, criterion.name)(said, target.double()))
    return None
