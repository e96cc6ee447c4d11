"""A recurrence's text finds it again: the same in every process, or told what to do."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest
import torch

import ostinato
from ostinato import State, cell, cells
from ostinato.cells.options import peephole
from ostinato.errors import CellError
from ostinato.kernels.graphs.operator_key import read, spell


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize("every_state", [True, False])
@pytest.mark.parametrize("segment", [0, 7])
def test_a_text_is_read_as_what_was_spelled(bias: bool, reverse: bool, every_state: bool, segment: int) -> None:
    of = read(spell(cells.gru, bias, reverse, every_state, segment))
    assert of.cell is cells.gru
    assert (of.bias, of.directions, of.every_state, of.segment) == (bias, (reverse,), every_state, segment)
    assert not of.projected


def test_it_can_be_read_in_a_graph() -> None:
    text = spell(cells.lstm, True, True, False)
    name, fingerprint, *rest = text.split()
    assert name == "lstm"
    assert int(fingerprint, 16)
    assert rest == ["saved=2", "bias", "reverse"]


def test_cells_that_compute_the_same_share_a_text_and_others_do_not() -> None:
    texts = [spell(made, True, False, False) for made in (peephole(cells.lstm), peephole(cells.lstm), cells.lstm)]
    assert texts[0] == texts[1] != texts[2]


def test_another_process_finds_the_cell_as_soon_as_its_layer_is_made() -> None:
    text = spell(ostinato.LSTM(3, 4, layer_norm=True, zoneout=0.1).cell, True, False, False)
    program = f"""
import ostinato
from ostinato.errors import CellError
from ostinato.kernels.graphs.operator_key import read
ostinato.LSTM(3, 4)
try:
    read({text!r})
except CellError as error:
    assert "make one with the options" in str(error), error
else:
    raise AssertionError("there is no such cell yet")
layer = ostinato.LSTM(5, 6, layer_norm=True, zoneout=0.2)
found = read({text!r}).cell
assert any(found.step is cell.step for cell in layer._cells.values())  # both compute the same from their masks
assert [noise.rate for noise in found.noise] == [0.1, 0.1]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_cell_outlives_its_layer_in_a_graph() -> None:
    def one_use() -> str:
        @cell(gates="a", states="h")
        def passing(x, s, U):
            return State(h=torch.tanh(x.a + 0.25 * U(s.h).a))

        return spell(passing, True, False, False)

    text = one_use()
    gc.collect()
    assert read(text).cell.name == "passing"


def test_a_cell_without_a_fingerprint_has_a_text_in_its_process_only() -> None:
    opaque = torch.ones(())

    def made() -> cells.Cell:
        @cell(gates="a", states="h")
        def scaled(x, s, U):
            return State(h=torch.tanh(x.a + opaque * U(s.h).a))

        return scaled

    one, other = made(), made()
    texts = [spell(each, True, False, False) for each in (one, other)]
    assert texts[0] != texts[1]
    assert [read(text).cell for text in texts] == [one, other]
    assert spell(one, True, False, False) == texts[0]
    with pytest.raises(CellError, match=r"reaches something that only the process .* make the graph anew here"):
        read("scaled process-0123 bias")
