"""Jacobians of steps against autograd's full Jacobian of torch.nn's own layers, run for one step."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import ostinato
from ostinato.insight import InsightError, jacobian_spectrum, recurrent_radii, step_jacobians, trajectories
from tests.insight.models import KINDS

DOUBLE: dict[str, Any] = {"dtype": torch.float64}
REFERENCE: dict[str, Any] = {**DOUBLE, "backend": "reference"}  # nothing to compile for a step or two


def one_step(layer: Any, v: torch.Tensor, sizes: list[int]) -> Any:
    """The layer, run for one step of one row, as a function of its whole state side by side."""

    def function(flat: torch.Tensor) -> torch.Tensor:
        states = [part[None, None] for part in flat.split(sizes)]
        _, after = layer(v[None, None], tuple(states) if len(states) > 1 else states[0])
        return torch.cat([s.flatten() for s in (after if isinstance(after, tuple) else (after,))])

    return function


@pytest.mark.parametrize("kind", KINDS)
def test_jacobians_are_autograds_full_jacobian(kind: str) -> None:
    torch.manual_seed(0)
    torch_class, _, own = KINDS[kind]
    layer = torch_class(3, 5, **own, **DOUBLE)
    x = torch.randn(6, 2, 3, **DOUBLE)
    (run,) = trajectories(layer, x)
    steps, rows = run.places()
    jacobians = step_jacobians(run, steps, rows)
    spectrum = jacobian_spectrum(run, samples=len(steps))
    sizes = [v.shape[-1] for v in run.after[0]]
    zeros = [torch.zeros(1, 1, n, **DOUBLE) for n in sizes]
    for k, (t, b) in enumerate(zip(steps.tolist(), rows.tolist(), strict=True)):
        state: Any = tuple(zeros) if len(zeros) > 1 else zeros[0]
        if t:
            _, state = layer(x[:t, b : b + 1], state)
        flat = torch.cat([s.flatten() for s in (state if isinstance(state, tuple) else (state,))]).detach()
        expected: Any = torch.autograd.functional.jacobian(one_step(layer, x[t, b], sizes), flat)
        torch.testing.assert_close(jacobians[k], expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(spectrum.singular_values[k], torch.linalg.svdvals(expected), rtol=0, atol=1e-10)
        radius = torch.linalg.eigvals(expected).abs().max()
        torch.testing.assert_close(spectrum.eigenvalues[k, 0].abs(), radius, rtol=0, atol=1e-10)
    assert (spectrum.eigenvalues.abs().diff(dim=1) <= 1e-12).all()


def test_a_pass_in_single_precision_is_looked_at_in_double() -> None:
    """To 1e-6, which single precision alone would not reach everywhere."""
    torch.manual_seed(1)
    layer = torch.nn.LSTM(3, 5)
    x = torch.randn(4, 1, 3)
    (run,) = trajectories(layer, x)
    got = step_jacobians(run, torch.tensor([3]), torch.tensor([0]))
    flat = torch.cat([s.detach().flatten() for s in layer(x[:3])[1]]).double()
    expected: Any = torch.autograd.functional.jacobian(one_step(layer.double(), x[3, 0].double(), [5, 5]), flat)
    torch.testing.assert_close(got[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        ostinato.RHN(3, 4, depth=3, **REFERENCE),
        ostinato.GRU(3, 4, reset_after=False, layer_norm=True, **REFERENCE),
        ostinato.LSTM(3, 4, peephole=True, coupled_gates=True, zoneout=0.2, **REFERENCE),
        ostinato.MinLSTM(3, 4, **REFERENCE),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_cells_without_a_peer_in_torch_against_differences(layer: Any) -> None:
    """Central differences of the layer itself, in evaluation."""
    layer.eval()
    x = torch.randn(1, 1, 3, **DOUBLE)
    names = list(layer.cell.states)
    start = [torch.randn(1, 1, 4, **DOUBLE) for _ in names]
    hx: Any = tuple(start) if len(start) > 1 else start[0]
    (run,) = trajectories(layer, x, lambda model, batch: model(batch, hx))
    got = step_jacobians(run, torch.tensor([0]), torch.tensor([0]))[0]
    function, flat = one_step(layer, x[0, 0], [4] * len(names)), torch.cat([s.flatten() for s in start])
    for column in range(len(flat)):
        nudge = torch.zeros_like(flat)
        nudge[column] = 1e-5
        expected = (function(flat + nudge) - function(flat - nudge)).detach() / 2e-5
        torch.testing.assert_close(got[:, column], expected, rtol=0, atol=1e-8)


def test_a_linear_layer_has_the_spectrum_of_its_matrix() -> None:
    layer = torch.nn.RNN(1, 3, nonlinearity="relu", **DOUBLE)
    matrix = torch.tensor([[0.9, 0.2, 0.0], [0.1, 0.5, 0.3], [0.0, 0.1, 1.2]], **DOUBLE)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(matrix)
        layer.bias_ih_l0.fill_(5.0)  # never off
    spectrum = jacobian_spectrum(layer, torch.ones(9, 2, 1, **DOUBLE), samples=4)
    assert spectrum.steps.tolist() == [0, 3, 5, 8]
    expected = torch.linalg.svdvals(matrix)
    torch.testing.assert_close(spectrum.singular_values, expected.expand(4, 3), rtol=0, atol=1e-12)
    summary = spectrum.summary()
    assert summary["geometric mean of singular values"] == pytest.approx(float(matrix.det().abs() ** (1 / 3)))
    assert summary["spectral radius"] == pytest.approx(float(torch.linalg.eigvals(matrix).abs().max()))
    assert json.loads(json.dumps(spectrum.to_dict()))["samples"] == 4
    assert "spectral radius" in str(spectrum)
    circle, values = spectrum.plot().axes
    assert "unit circle" in circle.get_title(loc="left")
    assert values.get_yscale() == "log"


def test_padding_is_not_sampled() -> None:
    layer: Any = ostinato.GRU(2, 3)
    runs = trajectories(layer, torch.randn(9, 3, 2), lambda m, x: m(x, lengths=[1, 9, 2]))
    spectrum = jacobian_spectrum(runs[0], samples=100)
    assert len(spectrum.steps) == 12
    assert all(t < [1, 9, 2][b] for t, b in zip(spectrum.steps.tolist(), spectrum.rows.tolist(), strict=True))


def test_wrong_arguments_are_told() -> None:
    layer: Any = ostinato.GRU(2, 3)
    with pytest.raises(InsightError, match="samples expected"):
        jacobian_spectrum(layer, torch.zeros(2, 1, 2), samples=0)
    with pytest.raises(InsightError, match="at least one step of a recurrent layer, got none"):
        jacobian_spectrum(trajectories(layer, torch.zeros(2, 1, 2), lambda m, x: m(x, lengths=[0]))[0])


def test_radii_of_each_gate_are_those_of_its_block() -> None:
    radii = {"i": 0.5, "f": 1.0, "g": 2.0, "o": 0.25}
    layer = torch.nn.LSTM(2, 3, bidirectional=True, **DOUBLE)
    rotation = torch.linalg.qr(torch.randn(3, 3, **DOUBLE)).Q  # every eigenvalue has modulus 1
    with torch.no_grad():
        layer.weight_hh_l0.copy_(torch.cat([radius * rotation for radius in radii.values()]))
    found = recurrent_radii(torch.nn.ModuleDict({"deep": layer}))
    assert list(found) == ["deep.weight_hh_l0", "deep.weight_hh_l0_reverse"]
    assert found["deep.weight_hh_l0"] == pytest.approx(radii)


def test_radii_with_a_projection_a_cell_and_without_a_product() -> None:
    layer: Any = ostinato.LSTM(2, 4, proj_size=2, **DOUBLE)
    expected = torch.linalg.eigvals((layer.weight_hr_l0 @ layer.weight_hh_l0[4:8]).detach()).abs().max()
    assert recurrent_radii(layer)["weight_hh_l0"]["f"] == pytest.approx(float(expected))
    assert list(recurrent_radii(torch.nn.GRUCell(2, 3))["weight_hh"]) == ["r", "z", "n"]
    assert recurrent_radii(ostinato.MinGRU(2, 3)) == {}
