"""Checks of the layout: which axis is time, and which steps are padding."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ostinato.insight.diagnosis.finding import Finding, Number
from ostinato.insight.diagnosis.passes import Call
from ostinato.insight.diagnosis.patient import Patient
from ostinato.insight.diagnosis.structure import place
from ostinato.nn.lengths import as_tensor
from ostinato.types import Tensor

# Neighbours along time resemble each other in a series (a sine of 20 steps: 0.95); shuffled rows do not. Both axes are tested, and
# must be longer than 16, as a few independent rows resemble each other by chance.
_ALIKE, _UNLIKE, _NEIGHBOURS = 0.6, 0.2, 16
# A share of gradients: masked gradients are exactly zero, so that this allows only for rounding.
_SHARE = 1e-6


def wrong_batch_first(patient: Patient) -> Iterator[Finding]:
    """A layer treats rows of the batch as time steps."""
    for name, layer in patient.layers.items():
        call = patient.seen.calls.get(name)
        if call is None or call.is_packed or call.input.dim() != 3:
            continue
        steps_at = 1 if layer.batch_first else 0
        steps, rows = call.input.shape[steps_at], call.input.shape[1 - steps_at]
        reasons = list(_reasons(patient, call, steps_at))
        if not reasons:
            continue
        longer = " (a batch longer than the sequence)" if rows > steps else ""
        yield Finding(
            "batch_first looks wrong",
            "fault",
            place(patient, name),
            f"with batch_first={layer.batch_first} its input {tuple(call.input.shape)} is a batch of {rows} rows of "
            f"{steps} steps{longer}, but {'; '.join(reasons)}",
            f"make the layer with batch_first={not layer.batch_first}, or transpose its input",
            numbers={"rows": Number(rows, "rows"), "steps": Number(steps, "steps")},
        )


def _reasons(patient: Patient, call: Call, steps_at: int) -> Iterator[str]:
    x, rows_at = call.input, 1 - steps_at
    steps, rows = x.shape[steps_at], x.shape[rows_at]
    given = [tensor for tensor in tensors(patient.batch) if tensor.dim() >= 2 and tensor.shape[:2] == x.shape[:2]]
    if patient.batch_first is not None and given and patient.batch_first != (steps_at == 1):
        yield f"you say batch_first={patient.batch_first} of the batch, which enters it as it is"
    if steps == rows:  # the other reasons depend on sizes, which tell nothing if they are equal
        return
    lengths = patient.lengths
    if lengths is not None and lengths.numel() == steps:
        yield f"there are {steps} lengths, one a row"
    for criterion in patient.seen.criteria:
        if rows > 1 and criterion.target.dim() == 1 and criterion.target.numel() == steps:
            yield f"there are {steps} targets, one a row"
    gradient = call.output_gradient
    if gradient is not None and rows > 1 and steps > 1:
        reached = gradient.abs().amax(-1) > 0
        if int(reached.any(steps_at).sum()) == 1 and int(reached.any(rows_at).sum()) == steps:
            yield f"the loss looks at all {steps} steps of one row and at no other row: it takes that for the last step"
    if (time := _shifted_axis(given)) is not None and time != steps_at:
        yield f"the targets are the inputs shifted along dimension {time}, which is time, therefore"
    if call.is_raw and min(steps, rows) > _NEIGHBOURS:
        along_steps, along_rows = _likeness(x.detach(), steps_at), _likeness(x.detach(), rows_at)
        if along_rows > _ALIKE and along_steps < _UNLIKE:
            yield (
                f"neighbouring rows resemble each other (r = {along_rows:.2f}) and neighbouring steps do not "
                f"(r = {along_steps:.2f})"
            )


def padding_in_loss(patient: Patient) -> Iterator[Finding]:
    """The loss depends on steps past a row's end."""
    for name, layer in patient.layers.items():
        call = patient.seen.calls.get(name)
        if call is None or not (call.is_packed or call.input.dim() == 3):
            continue
        steps_at = 1 if layer.batch_first else 0
        lengths = _lengths(patient, call, steps_at)
        if lengths is None:
            continue
        steps = int(lengths.max()) if call.is_packed else call.input.shape[steps_at]
        rows = lengths.numel() if call.is_packed else call.input.shape[1 - steps_at]
        if lengths.numel() != rows or int(lengths.min()) >= steps:
            continue
        past = torch.arange(steps, device=call.input.device)[:, None] >= lengths.to(call.input.device)
        past = past if steps_at == 0 else past.T
        tried = None
        share, through = 0.0 if call.is_packed else _share(call.input_gradient, past), "what the layer reads there"
        remedy = "give the layer lengths= (ostinato.convert(model) for one of torch.nn), or pack_padded_sequence"
        if share > _SHARE:
            at_end = _looks_at_end(call, steps_at)
            if at_end:
                remedy += (
                    ", and take the last states that it returns, those of each row's last valid step, not output[-1]"
                )
            tried = _loss_with_lengths(patient, name, lengths, steps_at, at_end=at_end)
        else:
            share, through = _share_of_targets(patient, past), "answers that are asked for there"
            remedy = "give these targets the value ignore_index= of cross_entropy, or mask the loss"
        if share <= _SHARE:
            continue
        yield Finding(
            "padding reaches the loss",
            "fault",
            place(patient, name),
            f"{int(past.sum()):,} of {past.numel():,} steps lie past the end of their row, and {share:.1%} of the gradient "
            f"goes to {through}",
            remedy,
            None if tried is None else f"so the loss is {tried:.4g} instead of {patient.seen.loss:.4g}",
            {"padding": Number(int(past.sum()), "steps"), "share": Number(share)}
            | ({} if tried is None else {"loss_with_lengths": Number(tried, "loss")}),
        )
        return


def tensors(batch: Any) -> Iterator[Tensor]:
    """All tensors in a batch: in tuples, lists, mappings and dataclasses."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for each in batch.values():
            yield from tensors(each)
    elif isinstance(batch, tuple | list):
        for each in batch:
            yield from tensors(each)
    elif dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        for each in dataclasses.fields(batch):
            yield from tensors(getattr(batch, each.name))


def _shifted_axis(given: list[Tensor]) -> int | None:
    """The dimension along which a tensor is another one shifted by a step; None if there is no such pair, or both fit."""
    for at, first in enumerate(given):
        for second in given[at + 1 :]:
            if first.shape != second.shape or first.dtype != second.dtype or bool((first == second).all()):
                continue
            found = [
                axis
                for axis in (0, 1)
                if first.shape[axis] > 2
                and bool((second.narrow(axis, 0, n := first.shape[axis] - 1) == first.narrow(axis, 1, n)).all())
            ]
            if len(found) == 1:
                return found[0]
    return None


def _likeness(x: Tensor, axis: int) -> float:
    """The correlation of neighbours along an axis, over all features: 1 - E (x' - x)^2 / (2 var x)."""
    x = x.double()
    spread = float((x - x.mean((0, 1))).square().mean())
    if not spread > 0:
        return 0.0
    n = x.shape[axis] - 1
    return 1.0 - float((x.narrow(axis, 1, n) - x.narrow(axis, 0, n)).square().mean()) / (2 * spread)


def _lengths(patient: Patient, call: Call, steps_at: int) -> Tensor | None:
    """The lengths given to the layer; or the user's, if they fit its input; or those that trailing padding shows."""
    if call.lengths is not None:
        return as_tensor(call.lengths)
    if patient.lengths is not None and _are_of(patient.lengths, patient.batch, call, steps_at):
        return patient.lengths
    shape = call.input.shape[:2]
    paddings = {part.padding_idx for part in patient.model.modules() if isinstance(part, nn.Embedding)} - {None}
    for tensor in tensors(patient.batch):
        if paddings and not tensor.is_floating_point() and tensor.shape == shape and tensor.dtype != torch.bool:
            return _filled(tensor != paddings.copy().pop(), steps_at)
    if call.is_raw and not call.is_packed:
        lengths = _filled((call.input.detach() != 0).any(-1), steps_at)
        # Zeros may be data: it looks like padding only if rows end with zeros from different steps on.
        steps = call.input.shape[steps_at]
        short = lengths[lengths < steps - 1]
        if short.numel() >= lengths.numel() / 4 and short.unique().numel() > 1 and int(lengths.min()) > 0:
            return lengths
    return None


def _are_of(lengths: Tensor, batch: Any, call: Call, steps_at: int) -> bool:
    """Whether lengths of a batch may belong to a layer's input: a decoder, for example, reads answers of other lengths.

    They are assumed to belong to the first tensor that has their number of rows.
    """
    rows, longest = lengths.numel(), int(lengths.max())
    if call.is_packed:
        return int(lengths.sum()) == len(call.input)
    steps = call.input.shape[steps_at]
    for tensor in tensors(batch):
        if tensor.dim() >= 2 and rows in tensor.shape[:2]:
            return longest <= steps == tensor.shape[1 if tensor.shape[0] == rows else 0]
    return longest <= steps


def _filled(filled: Tensor, steps_at: int) -> Tensor:
    """The lengths `(B,)`: one past the last step that is filled. `filled` is bool, with steps along `steps_at`."""
    rows = filled.T if steps_at == 0 else filled  # (B, T)
    places = torch.arange(1, rows.shape[1] + 1, device=rows.device)
    return (rows * places).amax(1)


def _share(gradient: Tensor | None, past: Tensor) -> float:
    if gradient is None:
        return 0.0
    size = gradient.norm(dim=-1)
    total = float(size.sum())
    return float(size[past].sum()) / total if total > 0 else 0.0


def _share_of_targets(patient: Patient, past: Tensor) -> float:
    """The share of the model's output gradient at the steps `past`, if it has one output for each step, in the layer's order."""
    for criterion in patient.seen.criteria:
        gradient = criterion.gradient
        if gradient is None:
            continue
        if gradient.dim() >= 2 and gradient[..., 0].numel() == past.numel():
            return _share(gradient.reshape(past.numel(), -1), past.flatten())
        if gradient.numel() == past.numel():
            return _share(gradient.reshape(-1, 1), past.flatten())
    return 0.0


def _looks_at_end(call: Call, steps_at: int) -> bool:
    """Whether the loss depends only on the last step of the output."""
    gradient = call.output_gradient
    if gradient is None:
        return False
    reached = (gradient.abs().amax(-1) > 0).any(1 - steps_at)
    return bool(reached[-1]) and int(reached.sum()) == 1


def _loss_with_lengths(patient: Patient, name: str, lengths: Tensor, steps_at: int, *, at_end: bool) -> float | None:
    """The batch's loss if the layer gets the lengths; with `at_end`, also if each row's last valid output is put at the end."""
    model = patient.another()

    def give(layer: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        return args, kwargs | {"lengths": lengths}

    def move(layer: nn.Module, args: Any, result: Any) -> Any:
        output, last = result
        rows = output.transpose(0, 1) if steps_at == 0 else output  # (B, T, H)
        ends = rows[torch.arange(len(rows), device=rows.device), lengths.to(rows.device).clamp(min=1) - 1]
        rows = torch.cat([rows[:, :-1], ends[:, None]], 1)
        return rows.transpose(0, 1) if steps_at == 0 else rows, last

    layer = model.get_submodule(name)
    layer.register_forward_pre_hook(give, with_kwargs=True)
    if at_end:
        layer.register_forward_hook(move)
    try:
        with torch.no_grad():
            return float(patient.evaluate(model, patient.batch)[0])
    except TypeError:  # a subclass of torch.nn's layer, which takes no lengths
        return None
