from __future__ import annotations

import pickle

import pytest

from ostinato.cells.catalogue import antisymmetric as module
from ostinato.cells.catalogue.antisymmetric import antisymmetric
from ostinato.cells.catalogue.fast import fastrnn_lowrank
from ostinato.cells.catalogue.oscillators import cornn
from ostinato.cells.family import number
from ostinato.errors import CellError


def test_the_same_numbers_make_the_same_cell_which_is_pickled_by_name() -> None:
    assert antisymmetric() is antisymmetric(0.01) is antisymmetric(gamma=0.01)
    assert antisymmetric(1) is antisymmetric(1.0)
    for cell in (antisymmetric(1e-9), cornn(implicit=True), fastrnn_lowrank(3)):
        assert pickle.loads(pickle.dumps(cell)) is cell
    assert (antisymmetric.name, antisymmetric().name) == ("antisymmetric", "antisymmetric_0.01_0.01")
    assert "epsilon" in str(antisymmetric().__doc__)


@pytest.mark.parametrize("name", ["", "_1", "_nan_1.0", "_1.0_2.0_3.0", "_1_1", "_half_1.0", "s_1.0_1.0"])
def test_what_no_member_is_called_is_not_there(name: str) -> None:
    assert not hasattr(module, f"antisymmetri{name}")
    assert not name or not hasattr(module, f"antisymmetric{name}")


def test_a_number_is_told_its_range() -> None:
    number("a", 1, least=1, most=1)
    with pytest.raises(CellError, match="a expected a finite number above 0 and of at most 1, got 2"):
        number("a", 2, above=0, most=1)
    with pytest.raises(CellError, match="a expected a finite number, got True"):
        number("a", True)
