"""What a batch is made of does not show in any row of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ostinato import cells
from ostinato.cells import State, options
from ostinato.kernels.compiled import Compiled
from ostinato.kernels.cpu.run.buffers import pool
from ostinato.kernels.request import Request
from tests.kernels.cpu.against import Example

STEPS, ROWS = 4, 14
CELLS = {
    "norm": options.layer_norm(options.peephole(cells.lstm)),
    "gru_reset_before": options.recurrent_dropout(cells.gru_reset_before, 0.3),
    "rhn_2": options.zoneout(cells.rhn(2), {"h": 0.5}),
    "min_lstm": cells.min_lstm,
}


@pytest.fixture(autouse=True)
def _poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "poison", True)


def of_rows(request: Request, rows: list[int], lengths: list[int] | None) -> Request:
    """The same request for some rows; cut to the longest of them."""
    first = State(**{n: getattr(request.first, n)[rows].detach().requires_grad_() for n in request.cell.states})
    steps = STEPS if lengths is None else max(lengths[b] for b in rows)
    return replace(
        request,
        input=request.input[:steps, rows].detach().requires_grad_(),
        first=first,
        masks={name: mask[:steps, rows] for name, mask in request.masks.items()},
        lengths=None if lengths is None else torch.tensor([lengths[b] for b in rows]),
    )


def by_row(request: Request) -> dict[str, torch.Tensor]:
    """Outputs, last states, and the gradients of inputs and first states, which have rows too: row first."""
    result = Compiled().run(request)
    (result.output.square().sum() + result.last.h.sum()).backward()
    found = {"output": result.output.transpose(0, 1), "dx": request.input.grad.transpose(0, 1)}  # pyright: ignore[reportOptionalMemberAccess]
    for name in request.cell.states:
        found |= {f"last {name}": getattr(result.last, name), f"d {name}": getattr(request.first, name).grad}
    return found


@pytest.mark.cross
@pytest.mark.parametrize("lengths", [None, [4, 1, 3, 3, 0, 2, 4, 4, 1, 0, 2, 3, 4, 2]], ids=["whole", "lengths"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CELLS)
def test_a_row_alone_has_the_bits_that_it_has_in_a_batch(
    name: str, dtype: torch.dtype, lengths: list[int] | None
) -> None:
    request = Example(CELLS[name], STEPS, ROWS, 5, 33).request(dtype)
    everyone = by_row(of_rows(request, list(range(ROWS)), lengths))
    for rows in ([0], [13], [2, 3], [5, 0, 7], list(range(8)), [12, 11, 10, 6, 5]):
        for key, v in by_row(of_rows(request, rows, lengths)).items():
            whole = everyone[key][rows]
            assert torch.equal(v, whole[:, : v.shape[1]] if v.dim() == 3 else whole), f"{key} of {rows}"


def test_the_same_call_gives_the_same_bits() -> None:
    request = Example(CELLS["norm"], STEPS, ROWS, 5, 33).request(torch.float32)
    one, two = (by_row(of_rows(request, list(range(ROWS)), None)) for _ in range(2))
    assert all(torch.equal(one[key], two[key]) for key in one)
