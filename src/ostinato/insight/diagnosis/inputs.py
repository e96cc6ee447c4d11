"""Checks of what enters the layers: the scale of the input, and the states of the chunk before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from ostinato.insight.diagnosis.finding import Finding, Number
from ostinato.insight.diagnosis.patient import Patient, detached
from ostinato.insight.diagnosis.structure import place
from ostinato.insight.gates import Saturation
from ostinato.types import Tensor

# torch's weights, uniform in +-1/sqrt(H), turn I inputs of size s into sums of size s sqrt(I / 3H): with I = H = 64 a size of 10
# gives 5.8, where a sigmoid's slope is 1 % of its maximum. Standardised data have size 1; pixels from 0 to 1 have 0.3, from 0 to
# 255 have 80.
_LARGE = 10.0
# The length of an input vector, compared with biases of size 1/sqrt(H), 0.04 for 512 units. One-hot vectors have 1.
_SMALL = 0.02
# The ratio of the standard deviations of the most and the least varying feature.
_APART = 1e3


def scale_of_input(patient: Patient) -> Iterator[Finding]:
    """Raw numbers that are far from size 1 enter a recurrent layer."""
    for name in patient.layers:
        call = patient.seen.calls.get(name)
        if call is None or not call.is_raw or not call.input.numel() or call.lengths is not None:
            continue
        x = call.input.detach().double().reshape(-1, call.input.shape[-1])
        if not bool(torch.isfinite(x).all()):
            continue
        size, spread, length = x.square().mean(0).sqrt(), x.std(0, correction=0), float(x.norm(dim=1).mean())
        moving = spread[spread > 0]
        if float(size.max()) > _LARGE:
            worst = int(size.argmax())
            seen = f"feature {worst} has mean {float(x[:, worst].mean()):.4g} and standard deviation {float(spread[worst]):.3g}"
        elif 0 < length < _SMALL:
            seen = f"input vectors have a mean length of {length:.2g}, less than the biases beside them"
        elif moving.numel() > 1 and float(moving.max() / moving.min()) > _APART:
            seen = f"standard deviations of the features go from {float(moving.min()):.2g} to {float(moving.max()):.2g}"
        else:
            continue
        before, after = _share_at_ends(patient.saturation), _share_at_ends(_standardised(patient, name))
        yield Finding(
            "input not normalised",
            "warning",
            place(patient, name),
            f"{seen}; the initial weights expect numbers of size 1",
            "subtract each feature's mean and divide by its standard deviation, both of the training data; or layer_norm=True",
            f"with this batch standardised, {after:.0%} of the gates' values are at their ends instead of {before:.0%}",
            {
                "largest": Number(float(size.max()), "root mean square"),
                "length": Number(length, "input units"),
                "spread": Number(float(spread.max()), "standard deviation"),
                "saturated": Number(before),
                "saturated if standardised": Number(after),
            },
        )


def _share_at_ends(seen: Saturation) -> float:
    gates = [gate.low + gate.high for gate in seen.gates if gate.kind != "relu" and gate.gate != "out"]
    return sum(gates) / max(len(gates), 1)


def _standardised(patient: Patient, name: str) -> Saturation:
    """The saturation of the gates if each feature has mean 0 and standard deviation 1 over the batch."""
    model = patient.another()

    def standardise(layer: nn.Module, args: Any) -> Any:
        packed = isinstance(args[0], PackedSequence)
        x = args[0].data if packed else args[0]
        each = x.reshape(-1, x.shape[-1])
        x = (x - each.mean(0)) / each.std(0, correction=0).clamp_min(1e-12)
        return (args[0]._replace(data=x) if packed else x, *args[1:])

    model.get_submodule(name).register_forward_pre_hook(standardise)
    return patient.saturation_of(model)


def states_not_carried(patient: Patient) -> Iterator[Finding]:
    """The batch that follows in the same streams begins with a fresh state."""
    if patient.next_batch is None:
        return
    model = patient.another()
    first = patient.run(model, patient.batch)
    second = patient.run(model, patient.next_batch, first.state)
    fresh = {
        name: first.calls[name].last
        for name, call in second.calls.items()
        if name in first.calls and _is_fresh(call.first, first.calls[name].first)
    }
    if not fresh:
        return
    carried = _loss_with_states(patient, fresh)
    yield Finding(
        "states not carried between chunks",
        "fault",
        ", ".join(place(patient, name) for name in fresh),
        "it reads next_batch from a fresh state, though batch came just before: what lies further back is forgotten",
        "keep the state that the layer returns, detach it and give it back as hx with the next chunk "
        "(ostinato.training.fit does so with a loss(chunk, state))",
        None
        if carried is None
        else f"with the states of the chunk before, its loss is {carried:.4g} instead of {second.loss:.4g}",
        {"fresh": Number(second.loss, "loss")} | ({} if carried is None else {"carried": Number(carried, "loss")}),
    )


def _is_fresh(given: Any, before: Any) -> bool:
    """Whether a state is None, zero, or equal to the state with which the chunk before began."""
    now, then = list(_parts(given)), list(_parts(before))
    if all(not bool(part.any()) for part in now):
        return True
    return len(now) == len(then) and all(
        a.shape == b.shape and bool((a == b).all()) for a, b in zip(now, then, strict=True)
    )


def _parts(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state.detach()
    elif isinstance(state, tuple | list):
        for each in state:
            yield from _parts(each)


def _loss_with_states(patient: Patient, states: dict[str, Any]) -> float | None:
    model = patient.another()

    def carry(name: str) -> None:
        def give(layer: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
            return (args[0], detached(states[name])), {n: v for n, v in kwargs.items() if n != "hx"}

        model.get_submodule(name).register_forward_pre_hook(give, with_kwargs=True)

    for name in states:
        carry(name)
    try:
        with torch.no_grad():
            return float(patient.evaluate(model, patient.next_batch)[0])
    except (RuntimeError, ValueError):  # the next batch has another number of rows
        return None
