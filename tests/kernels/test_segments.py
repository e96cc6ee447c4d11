from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ostinato.cells import gru, gru_reset_before, lstm, min_gru, rhn
from ostinato.cells.options import layer_norm, zoneout
from ostinato.cells.spec import Cell
from ostinato.kernels.dispatch import BACKENDS, backend, run
from ostinato.kernels.request import Request
from tests.kernels.requests import request

CELLS = {
    "lstm": lstm,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "rhn": rhn(2),
    "min_gru": min_gru,
    "lstm_options": zoneout(layer_norm(lstm), {"h": 0.3, "c": 0.2}),
}


def results(given: Request, name: str) -> list[torch.Tensor]:
    """Outputs, and the gradient of every tensor that a request has."""
    leaves = {"input": given.input.clone().requires_grad_()}
    weights = given.weights
    for field in ("ih", "hh", "bias_ih", "bias_hh"):
        if (v := getattr(weights, field)) is not None:
            leaves[field] = v.clone().requires_grad_()
    own = {n: v.clone().requires_grad_() for n, v in weights.own.items()}
    first = given.first.with_(**{n: getattr(given.first, n).clone().requires_grad_() for n in given.cell.states})
    renewed = replace(weights, own=own, **{n: v for n, v in leaves.items() if n != "input"})
    asked = replace(given, input=leaves["input"], weights=renewed, first=first)
    with backend(name):
        result = run(asked)
    shown = [result.output, *result.last, *(result.states or ())]
    generator = torch.Generator().manual_seed(1)
    loss = sum((v * torch.randn(v.shape, generator=generator, dtype=v.dtype)).sum() for v in shown)
    gradients = torch.autograd.grad(loss, [*leaves.values(), *own.values(), *first])  # pyright: ignore[reportArgumentType]
    return [*(v.detach() for v in shown), *gradients]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, [11, 0, 4, 7]])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
def test_segments_change_no_result_and_no_gradient(cell: Cell, lengths: list[int] | None, reverse: bool) -> None:
    whole = request(cell, 11, 4, hidden=5, lengths=lengths, reverse=reverse, every_state=True)
    expected = results(whole, "reference")
    for name in BACKENDS:
        if BACKENDS[name].refusal(whole) is not None:
            continue
        for segment in (1, 4, 11, 50):
            for got, wanted in zip(results(replace(whole, segment=segment), name), expected, strict=True):
                torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-11)


def test_without_gradient_nothing_is_kept_and_nothing_is_cut() -> None:
    whole = request(gru, 11, 4)
    calls = []
    reference = BACKENDS["reference"]

    class Counted:
        name = "reference"

        def __getattr__(self, name: str) -> object:
            return getattr(reference, name)

        def run(self, asked: Request) -> object:
            calls.append(asked.input.shape[0])
            return reference.run(asked)

    with pytest.MonkeyPatch.context() as patch, torch.no_grad(), backend("reference"):
        patch.setitem(BACKENDS, "reference", Counted())  # pyright: ignore[reportArgumentType]
        run(replace(whole, segment=4))
    assert calls == [11]
