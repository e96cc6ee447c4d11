"""Checks for gates that are saturated and units that have no effect."""

from __future__ import annotations

from collections.abc import Iterator

from ostinato.insight.diagnosis.finding import Finding, Number
from ostinato.insight.diagnosis.patient import NEAR_THE_END, STUCK_BELOW, Patient, module_of
from ostinato.insight.diagnosis.structure import place
from ostinato.insight.gates import GateShare

# Trained networks saturate with time, which is normal: in the demo run after 40 s, 44 % of the candidates g are at their ends.
_SATURATED = 0.8
_USELESS = 0.2


def saturated(patient: Patient) -> Iterator[Finding]:
    """Gates that are nearly always at their ends, where the slope is too small for learning."""
    by_layer: dict[str, list[GateShare]] = {}
    for gate in patient.saturation.gates:
        if gate.kind != "relu" and gate.low + gate.high > _SATURATED:
            by_layer.setdefault(gate.name, []).append(gate)
    for name, gates in by_layer.items():
        said = ", ".join(f"{gate.gate} {gate.low + gate.high:.0%}" for gate in gates)
        yield Finding(
            "saturated gates",
            "warning",
            where(patient, name),
            f"values within {NEAR_THE_END} of an end, where the slope is below 1 % of its greatest: {said}; "
            "the sums in these gates are too large",
            "normalise the input, use layer_norm=True, smaller initial weights (init='xavier'), or a lower learning_rate",
            numbers={f"share of {gate.gate}": Number(gate.low + gate.high) for gate in gates},
        )


def dead(patient: Patient) -> Iterator[Finding]:
    """Units whose ReLU is never on."""
    for layer in patient.saturation.units:
        share = len(layer.dead) / max(layer.units, 1)
        if share > _USELESS:
            yield Finding(
                "dead ReLU units",
                "warning",
                where(patient, layer.name),
                f"{len(layer.dead)} of {layer.units} units ({share:.0%}) are 0 at every step of every row: they have no gradient, "
                "and stay so",
                "lower learning_rate, start anew with init='he' or 'orthogonal', or take nonlinearity='tanh'",
                numbers={"dead": Number(len(layer.dead), "units"), "units": Number(layer.units, "units")},
            )


def stuck(patient: Patient) -> Iterator[Finding]:
    """Units whose state is the same at every step of every row."""
    for layer in patient.saturation.units:
        still = sorted(set(layer.stuck) - set(layer.dead))
        share = len(still) / max(layer.units, 1)
        if share > _USELESS:
            yield Finding(
                "stuck units",
                "warning",
                where(patient, layer.name),
                f"{len(still)} of {layer.units} units ({share:.0%}) move by less than {STUCK_BELOW} over all steps and rows",
                "look whether the input reaches the layer and has a size near 1; start anew with init='xavier', "
                "or make hidden_size= smaller",
                numbers={"stuck": Number(len(still), "units"), "units": Number(layer.units, "units")},
            )


def where(patient: Patient, layer: str) -> str:
    """The name of a layer for a reader: "encoder (LSTM), encoder.l0"."""
    return f"{place(patient, module_of(layer))}, {layer}"
