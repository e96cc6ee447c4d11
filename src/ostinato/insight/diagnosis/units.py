"""Gates and units that do nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ostinato.insight.diagnosis.finding import Finding, Number
from ostinato.insight.diagnosis.patient import NEAR_THE_END, STUCK_BELOW, Patient, module_of
from ostinato.insight.diagnosis.structure import place

# Trained networks saturate with time, and rightly so: the demo run after 40 s has 44 % of its candidates g at their ends.
_SATURATED = 0.8
_USELESS = 0.2


def saturated(patient: Patient) -> Iterator[Finding]:
    """Gates that are at their ends nearly always, where they have no slope to learn by."""
    for gate in patient.saturation.gates:
        share = gate.low + gate.high
        if gate.kind == "relu" or share <= _SATURATED:
            continue
        low, high = ("0", "1") if gate.kind == "sigmoid" else ("-1", "1")
        sum_of = "the sum in it" if gate.gate == "out" else f"the sum in gate {gate.gate}"
        yield Finding(
            "saturated gates",
            "warning",
            f"{place(patient, module_of(gate.name))}, {gate.name}, gate {gate.gate}",
            f"{share:.0%} of the values of this {gate.kind} are within {NEAR_THE_END} of {low} ({gate.low:.0%}) or of {high} "
            f"({gate.high:.0%}), where its slope is below 1 % of its greatest: {sum_of} is too large",
            "normalise the input, use layer_norm=True, smaller initial weights (init='xavier'), and a lower learning_rate",
            numbers={"low": Number(gate.low), "high": Number(gate.high), "mean": Number(gate.mean)},
        )


def dead(patient: Patient) -> Iterator[Finding]:
    """Units whose ReLU is never on."""
    for layer in patient.saturation.units:
        share = len(layer.dead) / max(layer.units, 1)
        if share > _USELESS:
            yield Finding(
                "dead ReLU units",
                "warning",
                f"{place(patient, module_of(layer.name))}, {layer.name}",
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
                f"{place(patient, module_of(layer.name))}, {layer.name}",
                f"{len(still)} of {layer.units} units ({share:.0%}) move by less than {STUCK_BELOW} over all steps and rows",
                "look whether the input reaches the layer and has a size near 1; start anew with init='xavier', "
                "or make hidden_size= smaller",
                numbers={"stuck": Number(len(still), "units"), "units": Number(layer.units, "units")},
            )
