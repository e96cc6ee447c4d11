"""The operators by themselves: schema, shapes, gradients, and what they do to wrong arguments."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.library import opcheck

from ostinato import cells
from ostinato.cells import Cell
from ostinato.cells.options import layer_norm, peephole, projection, recurrent_dropout, variational_dropout, zoneout
from ostinato.errors import CellError
from ostinato.kernels.call import named
from ostinato.kernels.cpu.run.buffers import pool
from ostinato.kernels.graphs import ops
from ostinato.kernels.graphs.operator_key import read, spell
from ostinato.kernels.request import Request
from tests.kernels.requests import request

# Between them they save slots, sums and what entered a product, and have matrices and masks of every kind.
MADE: dict[str, Cell] = {
    "lstm": zoneout(peephole(cells.lstm), {"h": 0.3, "c": 0.5}),
    "projected": projection(cells.lstm),
    "normalised": layer_norm(cells.gru),
    "reset_before": variational_dropout(cells.gru_reset_before, 0.3),
    "highway": recurrent_dropout(cells.rhn(2), 0.3),
    "minimal": cells.min_lstm,
}
by_cell = pytest.mark.parametrize("name", MADE)
LENGTHS = [5, 0, 3, 2]
WITHOUT_COMPILATION = ("test_schema", "test_autograd_registration", "test_faketensor")


@pytest.fixture(autouse=True)
def _poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "poison", True)


def arguments(name: str, **named_: Any) -> tuple[str, list[Tensor], list[Tensor], Tensor | None]:
    """What `recurrence` is called with, in float64."""
    return taken_apart(request(MADE[name], proj=2 if name == "projected" else 0, **named_))


def taken_apart(r: Request) -> tuple[str, list[Tensor], list[Tensor], Tensor | None]:
    what = spell(r.cell, r.weights.bias_ih is not None, r.reverse, r.every_state, r.segment)
    return what, list(named(r).values()), [r.masks[n.name] for n in r.cell.noise], r.lengths


def differentiated(given: list[Tensor]) -> list[Tensor]:
    return [v.clone().requires_grad_() for v in given]


def reference(what: str, given: list[Tensor], masks: list[Tensor], lengths: Tensor | None) -> list[Tensor]:
    return read(what).reference(given, masks, lengths)


def weighted(outputs: list[Tensor]) -> Tensor:
    """A sum in which everything counts differently; nothing is drawn, as in torch.vmap it may not be."""
    sums = [(v.flatten() * torch.arange(v.numel(), dtype=v.dtype).add(n).cos()).sum() for n, v in enumerate(outputs)]
    return torch.stack(sums).sum()


def backward_arguments(name: str, kept: bool, **named_: Any) -> list[Any]:
    """What `recurrence_backward` is called with, for all gradients but that of the first output."""
    what, given, masks, lengths = arguments(name, **named_)
    found = ops.recurrence(what, given, masks, lengths, kept)
    of = read(what)
    outputs = len(of.shown) + len(of.cell.states)
    memory = [*found[: len(of.shown)], *found[outputs:]] if kept else []
    present = [False, *[True] * (outputs - 1)]
    gradients = [torch.randn_like(v) for v in found[1:outputs]]
    return [what, given, masks, lengths, memory, gradients, present, [True] * len(given)]


# -- the rules that torch checks ----------------------------------------------------------------------------------------------


@by_cell
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_recurrence_keeps_the_rules_of_operators(name: str, lengths: list[int] | None) -> None:
    what, given, masks, valid = arguments(name, lengths=lengths, every_state=True, reverse=lengths is None)
    opcheck(ops.recurrence, (what, differentiated(given), masks, valid))
    # Where there are more lanes than units, what is saved holds whatever lay in memory.
    opcheck(ops.recurrence, (what, given, masks, valid, True), test_utils=WITHOUT_COMPILATION)


@by_cell
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "computed_again"])
def test_its_gradient_keeps_the_rules_of_operators(name: str, kept: bool) -> None:
    opcheck(ops.recurrence_backward, tuple(backward_arguments(name, kept, lengths=LENGTHS)))


def test_second_gradients_keep_the_rules_of_operators() -> None:
    what, given, masks, lengths, memory, gradients, *rest = backward_arguments("lstm", False, lengths=LENGTHS)
    opcheck(
        ops.recurrence_backward,
        (what, differentiated(given), masks, lengths, memory, differentiated(gradients), *rest),
        # torch.compile has no second gradients.
        test_utils=WITHOUT_COMPILATION,
    )


# -- what they compute ----------------------------------------------------------------------------------------------------------


@pytest.mark.cross
@by_cell
@pytest.mark.parametrize("lengths", [None, LENGTHS, [0, 0, 0, 0]], ids=["whole", "ragged", "empty"])
@pytest.mark.parametrize("segment", [0, 2])
def test_outputs_and_gradients_are_those_of_the_reference(name: str, lengths: list[int] | None, segment: int) -> None:
    what, given, masks, valid = arguments(name, lengths=lengths, every_state=True, reverse=True, segment=segment)
    given = differentiated(given)
    got, expected = ops.recurrence(what, given, masks, valid), reference(what, given, masks, valid)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    gradients = torch.autograd.grad(weighted(got), given)
    wanted = torch.autograd.grad(weighted(expected), given, materialize_grads=True)
    torch.testing.assert_close(gradients, wanted, rtol=1e-11, atol=1e-11)


@by_cell
def test_what_is_kept_and_what_is_computed_again_are_the_same(name: str) -> None:
    kept = backward_arguments(name, True, lengths=LENGTHS)
    before = [v.clone() for v in kept[4]]
    expected = ops.recurrence_backward(*kept)
    torch.testing.assert_close(kept[4], before, rtol=0, atol=0, equal_nan=True)  # lanes without a unit hold the poison
    for memory in (kept[4], []):
        got = ops.recurrence_backward(*kept[:4], memory, *kept[5:])
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@by_cell
def test_gradients_have_gradients(name: str) -> None:
    what, given, masks, valid = arguments(name, steps=3, rows=2, input_size=2, hidden=3, lengths=[3, 2])
    given = differentiated(given)
    assert torch.autograd.gradgradcheck(lambda *given: ops.recurrence(what, list(given), masks, valid), given)


def test_gradients_of_gradients_are_computed_in_their_own_dtype_under_autocast() -> None:
    what, given, masks, lengths = arguments("normalised")
    given = differentiated(given)

    def second() -> list[Tensor]:
        first = torch.autograd.grad(weighted(ops.recurrence(what, given, masks, lengths)), given, create_graph=True)
        return list(torch.autograd.grad(weighted(list(first)), given))

    expected = second()
    with torch.autocast("cpu", torch.bfloat16):
        got = second()
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_only_what_is_asked_for_has_a_gradient() -> None:
    what, given, masks, lengths = arguments("lstm")
    assert not any(v.requires_grad for v in ops.recurrence(what, given, masks, lengths))
    given[1].requires_grad_()
    output, *rest = ops.recurrence(what, given, masks, lengths)
    assert output.requires_grad
    assert all(v.requires_grad for v in rest)
    with torch.no_grad():
        assert not any(v.requires_grad for v in ops.recurrence(what, given, masks, lengths))
    *outputs, saved = ops.recurrence(what, given, masks, lengths, True)[:4]
    assert all(v.requires_grad for v in outputs)
    assert not saved.requires_grad


def test_lengths_beyond_the_sequence_are_told() -> None:
    what, given, masks, _ = arguments("lstm")
    for lengths in ([5, 6, 0, 1], [5, -1, 0, 1]):
        with pytest.raises(ValueError, match="lengths expected numbers from 0 to the 5 time steps of the input, got "):
            ops.recurrence(what, given, masks, torch.tensor(lengths))


def test_a_cell_that_nobody_has_made_is_told() -> None:
    _, given, masks, lengths = arguments("lstm")
    with pytest.raises(CellError, match=r"the cell 'lstm' with the fingerprint 0123, and no layer of this process"):
        ops.recurrence("lstm 0123 bias", given, masks, lengths)
