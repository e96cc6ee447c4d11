"""Check whether the learning rate fits the loss: by its curvature, and by some updates on a copy."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from ostinato.insight.diagnosis.finding import Finding, Number
from ostinato.insight.diagnosis.patient import Patient
from ostinato.insight.layers import InsightError
from ostinato.types import Tensor

_UPDATES = 5
_PRODUCTS = 12  # products with the Hessian; each costs as much as two or three updates
_SLOWER = 100.0
# Training can work beyond the bound of a quadratic loss ("edge of stability", Cohen et al. 2021, arXiv 2103.00065). So exceeding
# the bound is not enough for a finding: the loss of this batch must also rise when it is learnt 5 times. Learning is too slow if
# these updates win less than 0.1 % of the loss, but with 100 times the rate, still within the bound, more than 1 % and 20 times as
# much. Adam with its default of 1e-3 wins 4 % on an LSTM of 16 units at the beginning of training.
_TOO_LITTLE = 1e-3
_WORTH_IT = 0.01
_SHARE = 0.05


def learning_rate(patient: Patient) -> Iterator[Finding]:
    """The learning rate is too high, or far too low, for the curvature of the loss."""
    optimizer = patient.optimizer
    if optimizer is None or not any(group["lr"] > 0 for group in optimizer.param_groups):
        return
    now = max(group["lr"] for group in optimizer.param_groups)
    # A schedule lowers the rate on purpose: only its initial rate can be too low.
    start = max(group.get("initial_lr", group["lr"]) for group in optimizer.param_groups)
    sharpness, bound = sharpness_of(patient), _bound(optimizer)
    ratio = None if sharpness is None else now * sharpness / bound
    before = patient.seen.loss
    after = _after(patient, 1.0)
    curved = (
        ""
        if sharpness is None
        else f"; the sharpness{_of_what(optimizer)} is {sharpness:.3g}, for which rates above {bound / sharpness:.2g} are unstable"
    )
    numbers = {"learning_rate": Number(now, "learning rate"), "before": Number(before, "loss")}
    if sharpness is not None:
        numbers |= {
            "sharpness": Number(sharpness, "loss a squared step"),
            "bound": Number(bound / sharpness, "learning rate"),
        }
    if not after <= before and (ratio is None or ratio > 1):
        factor = 0.1 if ratio is None else 0.5 / ratio
        better = _after(patient, factor)
        yield Finding(
            "learning rate too high",
            "fault",
            "lr",
            f"{_UPDATES} updates with lr={now:.2g} on this batch take its loss from {before:.4g} to {after:.4g}{curved}",
            f"lower lr (learning_rate of the recipe) to {now * factor:.1g}, with warmup= while training is young",
            f"{_UPDATES} updates with lr={now * factor:.1g}: {before:.4g} to {better:.4g}",
            numbers | {"after": Number(after, "loss"), "after the remedy": Number(better, "loss")},
        )
        return
    # If the curvature is not known, as with Adam before its first updates, a few updates cannot show that the rate is too low:
    # their length is then the rate itself, whatever the gradient.
    if ratio is None or ratio * start / now * _SLOWER > 1:
        return
    slow, fast = before - _after(patient, start / now), before - _after(patient, _SLOWER * start / now)
    if slow < min(_TOO_LITTLE * abs(before), _SHARE * fast) and fast > _WORTH_IT * abs(before):
        yield Finding(
            "learning rate too low",
            "warning",
            "lr",
            f"{_UPDATES} updates with lr={start:.2g} on this batch win {slow:.2g} of a loss of {before:.4g}{curved}",
            f"raise lr (learning_rate of the recipe), up to {_SLOWER * start:.1g}",
            f"{_UPDATES} updates with lr={_SLOWER * start:.1g} win {fast:.2g}",
            numbers | {"won": Number(slow, "loss"), "won by the remedy": Number(fast, "loss")},
        )


def sharpness_of(patient: Patient) -> float | None:
    """The largest eigenvalue of the Hessian H of the batch's loss, preconditioned as by the optimiser.

    For gradient descent it is H itself; for Adam and RMSprop D^-1/2 H D^-1/2, where D is the root of the mean squared gradient by
    which they divide.

    Source: Cohen et al. 2021, arXiv 2103.00065; with preconditioner: Cohen et al. 2022, arXiv 2207.14484, (2).

    Returns:
        The eigenvalue; None if it is not positive and finite, if the optimiser has not measured its divisor yet, or if its kind is
        not known.
    """
    optimizer = patient.optimizer
    assert optimizer is not None
    model = patient.another()
    original = dict(patient.original.named_parameters())
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    pairs = [(p, original[n]) for n, p in model.named_parameters() if p.requires_grad and id(original[n]) in held]
    scales = [_scale(optimizer, theirs) for _, theirs in pairs]
    if not pairs or any(scale is None for scale in scales):
        return None
    roots = [
        torch.ones_like(p) if scale is None else scale.to(p).rsqrt()
        for (p, _), scale in zip(pairs, scales, strict=True)
    ]
    parameters = [p for p, _ in pairs]
    loss, _ = patient.evaluate(model, patient.batch)
    gradients = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
    used = [
        (p, g, r) for p, g, r in zip(parameters, gradients, roots, strict=True) if g is not None and g.requires_grad
    ]
    if not used:
        return None
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(p.shape, generator=generator, device="cpu").to(p) for p, _, _ in used]

    def product(v: list[Tensor]) -> list[Tensor]:
        found = torch.autograd.grad(
            [g for _, g, _ in used],
            [p for p, _, _ in used],
            [each * r for each, (_, _, r) in zip(v, used, strict=True)],
            retain_graph=True,
            allow_unused=True,
        )
        return [torch.zeros_like(p) if h is None else h * r for h, (p, _, r) in zip(found, used, strict=True)]

    value = _largest_eigenvalue(product, start)
    return value if math.isfinite(value) and value > 0 else None


def _largest_eigenvalue(product: Callable[[list[Tensor]], list[Tensor]], start: list[Tensor]) -> float:
    """The largest eigenvalue of a symmetric matrix by Lanczos' method; the power method could end at a large negative one.

    Args:
        product: multiplies the matrix with a vector, which is a list of tensors.
        start: any vector.
    """
    size = math.sqrt(_dot(start, start))
    v, before, below = [each / size for each in start], None, 0.0
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(_PRODUCTS):
        w = product(v)
        diagonal.append(along := _dot(v, w))
        if not math.isfinite(along):
            return math.nan
        w = [a - along * b for a, b in zip(w, v, strict=True)]
        if before is not None:
            w = [a - below * b for a, b in zip(w, before, strict=True)]
        below = math.sqrt(_dot(w, w))
        if below <= 1e-6 * abs(along):  # the next vector would add nothing: the Krylov space is complete
            break
        beside.append(below)
        before, v = v, [each / below for each in w]
    off = torch.tensor(beside[: len(diagonal) - 1], dtype=torch.float64, device="cpu")
    small = (
        torch.diag(torch.tensor(diagonal, dtype=torch.float64, device="cpu")) + torch.diag(off, 1) + torch.diag(off, -1)
    )
    return float(torch.linalg.eigvalsh(small).max())


def _dot(a: list[Tensor], b: list[Tensor]) -> float:
    return sum(float((x.double() * y.double()).sum()) for x, y in zip(a, b, strict=True))


def _scale(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> Tensor | None:
    """The tensor by which the optimiser divides the gradient; None if it is not known."""
    group = next(group for group in optimizer.param_groups if any(p is parameter for p in group["params"]))
    state = optimizer.state.get(parameter, {})
    if isinstance(optimizer, torch.optim.SGD):
        return torch.ones_like(parameter)
    if isinstance(optimizer, torch.optim.Adam) and "exp_avg_sq" in state:  # AdamW is one, too
        return (state["exp_avg_sq"] / (1 - group["betas"][1] ** float(state["step"]))).sqrt() + group["eps"]
    if isinstance(optimizer, torch.optim.RMSprop) and "square_avg" in state:
        return state["square_avg"].sqrt() + group["eps"]
    return None


def _bound(optimizer: torch.optim.Optimizer) -> float:
    """The product of learning rate and sharpness above which a quadratic loss diverges."""
    group = optimizer.param_groups[0]
    if "betas" in group:
        beta = group["betas"][0]
        return 2 * (1 + beta) / (1 - beta)
    return 2 * (1 + group.get("momentum", 0.0))


def _of_what(optimizer: torch.optim.Optimizer) -> str:
    return "" if isinstance(optimizer, torch.optim.SGD) else f" in {type(optimizer).__name__}'s measure"


def _after(patient: Patient, factor: float) -> float:
    """The loss of the batch after some updates on a copy, at `factor` times the learning rate."""
    optimizer = patient.optimizer
    assert optimizer is not None
    model = patient.another()
    ours = dict(model.named_parameters())
    names = {id(p): name for name, p in patient.original.named_parameters()}
    groups = []
    for group in optimizer.param_groups:
        parameters = [ours[names[id(p)]] for p in group["params"] if id(p) in names]
        groups.append({"params": parameters, "lr": group["lr"] * factor})
    if [len(g["params"]) for g in groups] != [len(g["params"]) for g in optimizer.param_groups]:
        raise InsightError("the optimizer holds parameters of other modules too")
    trial = _made_anew(optimizer, groups)
    for group in trial.param_groups:
        group["lr"] = group["lr"] * factor
    for _ in range(_UPDATES):
        loss, _ = patient.evaluate(model, patient.batch)
        trial.zero_grad(set_to_none=True)
        loss.backward()
        if patient.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), patient.clip_norm)
        try:
            trial.step()
        except TypeError as error:  # LBFGS needs a function that returns the loss
            raise InsightError(f"an update of {type(optimizer).__name__} cannot be tried: {error}") from error
    with torch.no_grad():
        return float(patient.evaluate(model, patient.batch)[0])


def _made_anew(optimizer: torch.optim.Optimizer, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """An optimiser of the same kind and state for other parameters."""
    try:
        made = type(optimizer)(groups, **_arguments(optimizer))
    except Exception as error:  # a user's class may need any arguments
        raise InsightError(
            f"an optimizer {type(optimizer).__name__} cannot be made from parameter groups to try it on a copy: {error}"
        ) from error
    made.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    return made


def _arguments(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimiser's arguments that its class takes; `defaults` also has entries that schedulers added."""
    taken = inspect.signature(type(optimizer)).parameters
    return {name: value for name, value in optimizer.defaults.items() if name in taken and name != "lr"} | {
        "lr": optimizer.defaults.get("lr", 1e-3)
    }
