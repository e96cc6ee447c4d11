"""Saturation against gates computed from the weights by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import ostinato
from ostinato.insight import InsightError, Saturation, saturation, trajectories
from ostinato.insight.gates import nonlinearities

DOUBLE: dict[str, Any] = {"dtype": torch.float64}


def share(found: Saturation, gate: str, name: str = "l0") -> tuple[float, float, float]:
    (only,) = [g for g in found.gates if (g.name, g.gate) == (name, gate)]
    return only.low, only.high, only.mean


def lstm_gates(layer: Any, x: torch.Tensor, peephole: bool = False) -> dict[str, torch.Tensor]:
    h = c = torch.zeros(x.shape[1], layer.hidden_size, **DOUBLE)
    seen: dict[str, list[torch.Tensor]] = {gate: [] for gate in ("i", "f", "g", "o", "out")}
    for v in x:
        a = v @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
        i, f, g, o = a.chunk(4, -1)
        if peephole:
            i, f = i + layer.weight_ci_l0 * c, f + layer.weight_cf_l0 * c
        i, f, g = i.sigmoid(), f.sigmoid(), g.tanh()
        c = f * c + i * g
        o = (o + layer.weight_co_l0 * c if peephole else o).sigmoid()
        h = o * c.tanh()
        for gate, value in zip(seen, (i, f, g, o, c.tanh()), strict=True):
            seen[gate].append(value.detach())
    return {gate: torch.cat(values) for gate, values in seen.items()}


@pytest.mark.parametrize("peephole", [False, True])
def test_gates_are_those_of_the_equations_written_out(peephole: bool) -> None:
    torch.manual_seed(0)
    layer: Any = ostinato.LSTM(3, 5, peephole=peephole, **DOUBLE)
    x = 4 * torch.randn(12, 3, 3, **DOUBLE)
    expected = lstm_gates(layer, x, peephole)
    got = nonlinearities(trajectories(layer, x)[0])
    assert {gate for gate, _ in got} == set(expected)
    for (gate, kind), values in got.items():
        assert kind == ("tanh" if gate in ("g", "out") else "sigmoid")
        torch.testing.assert_close(values, expected[gate], rtol=0, atol=1e-12)
    found = saturation(layer, x, margin=0.2)
    for gate, values in expected.items():
        bottom = -1.0 if gate in ("g", "out") else 0.0
        low, high = (values < bottom + 0.2).double().mean(), (values > 0.8).double().mean()
        assert share(found, gate) == pytest.approx((float(low), float(high), float(values.mean())))
    assert sum(g.low + g.high for g in found.gates) > 0.5  # the test would see something


@pytest.mark.parametrize(
    ("layer", "gates"),
    [
        (torch.nn.RNN(2, 3), {"h": "tanh"}),
        (torch.nn.RNN(2, 3, nonlinearity="relu"), {"h": "relu"}),
        (torch.nn.GRU(2, 3), {"r": "sigmoid", "z": "sigmoid", "n": "tanh"}),
        (ostinato.GRU(2, 3, reset_after=False), {"r": "sigmoid", "z": "sigmoid", "n": "tanh"}),
        (ostinato.RHN(2, 3, depth=2), {"h1": "tanh", "t1": "sigmoid", "h2": "tanh", "t2": "sigmoid"}),
        (ostinato.MinGRU(2, 3), {"z": "sigmoid"}),
        (ostinato.MinLSTM(2, 3), {"f i": "sigmoid"}),
        (ostinato.LSTM(2, 3, coupled_gates=True), {"f": "sigmoid", "g": "tanh", "o": "sigmoid", "out": "tanh"}),
        (ostinato.LSTM(2, 4, layer_norm=True, proj_size=2), dict.fromkeys("ifo", "sigmoid") | {"g": "tanh", "out": "tanh"}),
    ],
)  # fmt: skip
def test_every_cell_has_its_gates(layer: Any, gates: dict[str, str]) -> None:
    found = saturation(layer, torch.randn(4, 2, 2))
    assert {g.gate: g.kind for g in found.gates} == gates
    assert found.units[0].units == (layer.proj_size or layer.hidden_size)


def test_a_gate_that_is_held_open_or_shut_is_found() -> None:
    layer = torch.nn.LSTM(2, 4)
    with torch.no_grad():
        layer.bias_ih_l0[:4] = -20.0  # i: shut
        layer.bias_ih_l0[4:8] = 20.0  # f: open
    found = saturation(layer, torch.randn(6, 3, 2))
    assert share(found, "i")[:2] == (1.0, 0.0)
    assert share(found, "f")[:2] == (0.0, 1.0)
    assert share(found, "o")[:2] == (0.0, 0.0)
    assert found.units[0].stuck == [0, 1, 2, 3]  # nothing is written


def test_dead_and_stuck_units_are_named() -> None:
    layer = torch.nn.RNN(2, 5, nonlinearity="relu")
    with torch.no_grad():
        layer.bias_ih_l0[1], layer.bias_ih_l0[3] = -50.0, -50.0
        layer.bias_ih_l0[[0, 2, 4]] = 3.0
    (units,) = saturation(layer, torch.randn(10, 4, 2)).units
    assert (units.units, units.dead, units.stuck) == (5, [1, 3], [1, 3])
    healthy = saturation(torch.nn.GRU(2, 5), torch.randn(10, 4, 2)).units[0]
    assert (healthy.dead, healthy.stuck) == ([], [])
    stuck: Any = torch.nn.GRU(2, 5)
    with torch.no_grad():
        stuck.weight_ih_l0[[2, 7, 12]] = 0.0  # unit 2 sees nothing, neither input
        stuck.weight_hh_l0[[2, 7, 12]] = 0.0  # nor state
        stuck.bias_ih_l0[12], stuck.bias_hh_l0[12] = 0.0, 0.0
    assert saturation(stuck, torch.randn(10, 4, 2)).units[0].stuck == [2]


def test_padding_does_not_count() -> None:
    layer: Any = ostinato.LSTM(2, 3, **DOUBLE)
    x, lengths = torch.randn(7, 2, 2, **DOUBLE), [7, 3]
    padded = x.clone()
    padded[3:, 1] = 1e6
    got = nonlinearities(trajectories(layer, padded, lambda m, v: m(v, lengths=lengths))[0])
    expected = [nonlinearities(trajectories(layer, x[:n, b, None])[0]) for b, n in enumerate(lengths)]
    for key, values in got.items():
        assert len(values) == 10
        whole = torch.cat([each[key] for each in expected])
        torch.testing.assert_close(values.sort(0).values, whole.sort(0).values, rtol=0, atol=1e-12)


def test_it_can_be_read_by_people_and_programs() -> None:
    found = saturation(
        torch.nn.ModuleDict({"deep": torch.nn.GRU(2, 3, 2)}), torch.randn(4, 2, 2), lambda m, x: m["deep"](x)
    )
    told = json.loads(json.dumps(found.to_dict()))
    assert [gate["name"] for gate in told["gates"][::3]] == ["deep.l0", "deep.l1"]
    assert "near 1 (%)" in str(found)
    assert set(found.scalars()) >= {"deep.l0/z low share", "deep.l1/n high share", "deep.l1/stuck share"}
    (axes,) = found.plot().axes
    assert [label.get_text() for label in axes.get_yticklabels()][:3] == ["deep.l0 r", "deep.l0 z", "deep.l0 n"]
    with pytest.raises(InsightError, match=r"between 0 and 0\.5, got 0\.7"):
        saturation(torch.nn.GRU(2, 3), torch.zeros(2, 1, 2), margin=0.7)
    with pytest.raises(InsightError, match="above 0, got 0"):
        saturation(torch.nn.GRU(2, 3), torch.zeros(2, 1, 2), stuck_below=0)
