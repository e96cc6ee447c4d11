"""Whether the gradient gets everywhere: to every parameter, through the states, and far enough back through the steps."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Unpack

import torch
from torch import nn

from ostinato.cells.lstm import lstm
from ostinato.cells.spec import Cell
from ostinato.insight.diagnosis.finding import Finding, Number
from ostinato.insight.diagnosis.patient import Patient
from ostinato.insight.diagnosis.structure import place, some
from ostinato.insight.flow import Flow, gradient_flow
from ostinato.nn.options import LayerOptions
from ostinato.nn.recurrent import Recurrent
from ostinato.types import Tensor

# The distance at which the gain is examined, or the greatest one if there are fewer steps: a model of text or of a series should
# remember so many steps.
_DISTANCE = 50
# The rounding error of float32 (its eps is 1.2e-7): a contribution of 1e-7 of that from distance 1 is lost in their sum.
# Measured at distance 50, 64 units, random input: tanh RNN 2e-13, LSTM 3e-10, GRU 7e-11; LSTM with forget_bias=1 3e-4, with
# chrono(100) 0.4. At distance 29: LSTM 1e-6, MinGRU 2e-8; the demo run after training, at 23, 0.08.
_VANISHED = 1e-7
_HELPS = 10.0  # the least factor by which a remedy must improve the gain
# The greatest gain at any distance, relative to that at distance 1. Healthy layers stay below 4 (LSTM, forget_bias=3, 100 steps).
_EXPLODED = 100.0
# torch's two biases add up to 0 on average, with a mean over the units within 0.1; Gers and Jozefowicz ask for 1.
_SMALL_FORGET_BIAS = 0.5
# A gradient of the states relative to the loss; in an untrained network it is at least 1e-3.
_NO_GRADIENT = 1e-12


def without_gradient(patient: Patient) -> Iterator[Finding]:
    """Parameters that the loss does not depend on."""
    unused, zero = [], []
    one_step = {
        f"{name}.{each}" if name else each
        for name, layer in patient.layers.items()
        if _steps(patient, name) == 1
        for each, _ in layer.named_parameters(recurse=False)
        if each.startswith("weight_hh")
    }
    for name, gradient in patient.seen.gradients.items():
        if "initial_" in name:  # a learned first state is used only in batches that give no state
            continue
        if gradient is None:
            unused.append(name)
        elif not bool(gradient.any()):
            zero.append(name)
    if not unused and (not zero or _still_zero(patient)):  # weights that are still 0 are reported by `state_ignored`
        return
    names = unused + zero
    if one_step and set(names) <= one_step:
        seen = f"{some(names)}: the sequences have one step, from a state of zero, so that nothing recurs"
        remedy = "give the layer its steps along dimension 0 (1 with batch_first=True); look for an unsqueeze that puts 1 there"
    elif all(re.search(r"weight_hh_l\d+_reverse$", name) for name in names):
        seen = (
            f"{some(names)}: the last output of the reverse direction is its first step, which has read one input only"
        )
        remedy = "take the reverse direction's output at step 0 (or the states that the layer returns), or the mean over all steps"
    else:
        reasons = [
            f"{some(these)} {why}"
            for these, why in ((unused, "not used by the loss"), (zero, "used, with a gradient of exactly zero"))
            if these
        ]
        seen = "; ".join(reasons)
        remedy = (
            "look for a module that forward() leaves out, a .detach(), .data, argmax or numpy on the way, "
            "or a unit that is always off; delete what is not needed"
        )
    yield Finding(
        "parameters without gradient",
        "fault",
        some(names, 1),
        f"{len(names)} of {len(patient.seen.gradients)} parameters: {seen}",
        remedy,
        numbers={"unused": Number(len(unused), "parameters"), "zero": Number(len(zero), "parameters")},
    )


def state_ignored(patient: Patient) -> Iterator[Finding]:
    """The loss does not depend on the output of a recurrent layer."""
    if not any(g is not None and bool(g.any()) for g in patient.seen.gradients.values()):
        return
    for name, flows in patient.flows.items():
        size = math.hypot(*(each for flow in flows for values in flow.gradients.values() for each in values))
        if size > _NO_GRADIENT * max(abs(patient.seen.loss), 1e-3):
            continue
        if begun := _still_zero(patient):
            yield Finding(
                "output ignores the recurrent state",
                "warning",
                place(patient, name),
                f"{some(begun)}: all 0, as they may begin, so that the answer does not depend on the states yet; their gradient "
                "is not 0, and an update changes them",
                "train longer: weights from before the first update were the best so far on validation; if they stay so, the "
                "states tell nothing that helps",
                numbers={"gradient": Number(size, "loss a unit of state")},
            )
            continue
        yield Finding(
            "output ignores the recurrent state",
            "fault",
            place(patient, name),
            f"the gradient of the loss with respect to all its states has a norm of {size:.1g}: the answer does not depend on them",
            "give its output to the output layer (the first of the two things that a layer returns), without detach(); "
            "weights of the output layer must not all start at 0",
            numbers={"gradient": Number(size, "loss a unit of state")},
        )


def _still_zero(patient: Patient) -> list[str]:
    """The names of weights outside the recurrent layers that are all 0, but have a gradient that will change them."""
    within = {id(each) for layer in patient.layers.values() for each in layer.parameters()}
    return [
        name
        for name, weight in patient.model.named_parameters()
        if weight.dim() > 1
        and id(weight) not in within
        and not bool(weight.any())
        and (gradient := patient.seen.gradients.get(name)) is not None
        and bool(gradient.any())
    ]


def vanishing(patient: Patient) -> Iterator[Finding]:
    """The gradient is practically zero after some steps back."""
    for name, flow, distance in _far(patient):
        left = flow.relative(distance)
        if not left < _VANISHED:
            continue
        layer = patient.layers.get(name)
        tried = {} if layer is None else _tried(patient, name, layer, distance)
        best = max(tried, key=tried.__getitem__, default="LSTM(..., forget_bias=1.0)")
        helps = not tried or tried[best] > _HELPS * left
        yield Finding(
            "vanishing gradient",
            "warning",
            place(patient, name),
            f"the gradient at distance {distance} is {left:.1e} of that at distance 1 (half of it is gone after "
            f"{flow.half_life_steps:.2g} steps)",
            f"use ostinato.{best}, or read fewer steps at once"
            if helps
            else "no other layer of this size does better on this input: see the other findings first, its scale above all",
            None
            if not tried
            else f"at distance {distance}, untrained: " + "; ".join(f"{what} {got:.1e}" for what, got in tried.items()),
            {"left": Number(left), "distance": Number(distance, "steps")}
            | {"half_life": Number(flow.half_life_steps, "steps")}
            | {what: Number(got) for what, got in tried.items()},
        )


def exploding(patient: Patient) -> Iterator[Finding]:
    """The gradient grows with every step back."""
    for name, flow, distance in _far(patient):
        gains = [flow.relative(d) for d in range(1, distance + 1)]
        most = max((g if math.isfinite(g) else math.inf for g in gains), default=0.0)
        if most <= _EXPLODED:
            continue
        layer = patient.layers.get(name)
        tried = {} if layer is None else _tried(patient, name, layer, distance)
        at = 1 + next(d for d, g in enumerate(gains) if not math.isfinite(g) or g == most)
        best = min(tried, key=tried.__getitem__, default="LSTM")
        yield Finding(
            "exploding gradient",
            "warning",
            place(patient, name),
            f"the gradient at distance {at} is {most:.1e} times that at distance 1 (a mean factor of {flow.growth:.3g} a step)",
            f"make the recurrent weights smaller (ostinato.{best}), and clip with clip_norm=1",
            None
            if not tried
            else f"at distance {distance}, untrained: " + "; ".join(f"{what} {got:.1e}" for what, got in tried.items()),
            {"grown": Number(most), "distance": Number(at, "steps"), "factor": Number(flow.growth, "a step")}
            | {what: Number(got) for what, got in tried.items()},
        )


def forget_bias(patient: Patient) -> Iterator[Finding]:
    """An LSTM forgets half of its memory at every step, on sequences so long that nothing is left."""
    for name, flow, distance in _far(patient):
        layer = patient.layers.get(name)
        if not isinstance(layer, Recurrent) or not layer.bias or layer.cell.keep != "f" or "c" not in layer.cell.states:
            continue
        if not flow.relative(distance) < _VANISHED:
            continue
        bias = float(
            torch.cat([_gate_bias(layer, layer.cell, at, "f") for at in range(len(layer._all_weights))]).mean()
        )
        if bias >= _SMALL_FORGET_BIAS:
            continue
        other = _fresh(layer, forget_bias=1.0)
        got = _gain(other, patient, name, distance) if other is not None else None
        if got is not None and got < _VANISHED:  # the cause is something else
            continue
        yield Finding(
            "forget bias near 0",
            "warning",
            place(patient, name),
            f"the biases of the forget gate add up to {bias:.2f} on average, so that a memory keeps about "
            f"{1 / (1 + math.exp(-bias)):.0%} a step, over sequences of {_steps(patient, name)} steps",
            "make the layer with forget_bias=1.0, or init='chrono(T)' for memories of up to T steps",
            None
            if got is None
            else f"with forget_bias=1.0, the gradient at distance {distance} is {got:.1e} of that at distance 1 "
            f"instead of {flow.relative(distance):.1e}",
            {"bias": Number(bias), "left": Number(flow.relative(distance))}
            | ({} if got is None else {"left with forget_bias=1": Number(got)}),
        )


def _far(patient: Patient) -> Iterator[tuple[str, Flow, int]]:
    """For each module its name, the layer and direction with the least gain, and the distance to examine."""
    for name, flows in patient.flows.items():
        usable = [flow for flow in flows if len(flow.gain) > 2 and flow.gain[1] > 0]
        if usable:
            distance = min(min(len(flow.gain) for flow in usable) - 1, _DISTANCE)
            # The same flow is used for explosion: in practice the layer with the least gain has also the greatest; if it is
            # another, the gradient of the stack vanishes.
            yield name, min(usable, key=lambda flow: flow.relative(distance)), distance


def _tried(patient: Patient, name: str, layer: nn.RNNBase, distance: int) -> dict[str, float]:
    """The gain at this distance of other untrained layers of this size on the same input, by the code that makes them."""
    if not isinstance(layer, Recurrent):
        return {}
    T = _steps(patient, name)
    made: dict[str, nn.Module | None] = {}
    kind = type(layer).__name__
    if layer.cell.keep or layer.cell.write:
        made[f"{kind}(..., forget_bias=1.0)"] = _fresh(layer, forget_bias=1.0)
        made[f"{kind}(..., init='chrono({T})')"] = _fresh(layer, init=f"chrono({T})")
    else:
        made["LSTM(..., forget_bias=1.0)"] = _fresh(layer, lstm, forget_bias=1.0)
        made[f"LSTM(..., init='chrono({T})')"] = _fresh(layer, lstm, init=f"chrono({T})")
        made[f"{kind}(..., init='orthogonal')"] = _fresh(layer, init="orthogonal")
    gains = {what: _gain(other, patient, name, distance) for what, other in made.items() if other is not None}
    return {what: gain for what, gain in gains.items() if gain is not None}


def _fresh(layer: Recurrent, cell: Cell | None = None, **options: Unpack[LayerOptions]) -> Recurrent | None:
    """A new layer of the same sizes, of another cell if one is given; None if an option needs biases and the layer has none."""
    try:
        return Recurrent(
            cell or layer.base_cell,
            layer.input_size,
            layer.hidden_sizes,
            layer.num_layers,
            layer.bias,
            layer.batch_first,
            bidirectional=layer.bidirectional,
            proj_size=layer.proj_size,
            **options,
        )
    except ValueError:
        return None


def _gain(layer: nn.Module, patient: Patient, name: str, distance: int) -> float | None:
    call = patient.seen.calls[name]
    if call.is_packed:
        return None
    x = call.input.detach()
    layer = layer.to(x)
    torch.manual_seed(0)
    found = gradient_flow(layer, x, lambda layer, x: layer(x)[0].square().mean())
    return min(flow.relative(min(distance, len(flow.gain) - 1)) for flow in found.layers)


def _steps(patient: Patient, name: str) -> int:
    flows = patient.flows.get(name, [])
    if flows:
        return max(len(values) for flow in flows for values in flow.gradients.values())
    call, layer = patient.seen.calls.get(name), patient.layers[name]
    if call is None or call.is_packed or call.input.dim() != 3:
        return 0
    return call.input.shape[1 if layer.batch_first else 0]


def _gate_bias(layer: Recurrent, cell: Cell, at: int, gate: str) -> Tensor:
    """The sum of the biases of a gate, `(H,)`, in the layer and direction number `at`."""
    weights = layer._named_weights(at // layer.num_directions, at % layer.num_directions)
    hidden = layer.hidden_sizes[at // layer.num_directions]
    total = torch.zeros(hidden, device=weights["bias_ih"].device, dtype=weights["bias_ih"].dtype)
    for name, gates in (("bias_ih", cell.input_gates), ("bias_hh", cell.gates)):
        if name in weights and gate in gates:
            first = gates.index(gate) * hidden
            total = total + weights[name][first : first + hidden].detach()
    return total
