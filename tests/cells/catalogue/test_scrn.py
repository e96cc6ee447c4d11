from __future__ import annotations

import pickle

import pytest
import torch

from ostinato import catalogue
from ostinato.cells.catalogue import scrn as family
from ostinato.cells.catalogue.scrn import scrn
from ostinato.errors import CellError
from tests.cells.catalogue.checks import follows, streams
from tests.cells.equations import Array, Trial, Weights, sigmoid


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize(("context", "alpha"), [(5, 0.95), (2, 0.5), (3, 0.0)])
def test_the_equations_of_the_paper(context: int, alpha: float) -> None:
    trial = Trial.of(catalogue.SCRN(3, 4, context=context, alpha=alpha))
    w = Weights(trial.layer, "h")

    def step(x: Array, h: Array, slow: Array, t: int, b: int) -> tuple[Array, Array]:
        slow = (1 - alpha) * (w["weight_b"] @ x) + alpha * slow
        return sigmoid(w["weight_p"] @ slow + w.x("h") @ x + w.h("h") @ h + w.b("h")), slow

    follows(trial, step)
    streams(catalogue.SCRN(3, 4, context=context, alpha=alpha))


def test_the_slow_units_are_a_state() -> None:
    layer = catalogue.SCRN(3, 4, context=7)
    output, (h, slow) = layer(torch.randn(5, 2, 3))
    assert (output.shape, h.shape, slow.shape) == ((5, 2, 4), (1, 2, 4), (1, 2, 7))


def test_the_same_numbers_are_one_cell_which_is_pickled_by_name() -> None:
    assert scrn() is scrn(40, 0.95) is pickle.loads(pickle.dumps(scrn()))
    assert pickle.loads(pickle.dumps(scrn(3, 1e-9))) is scrn(3, 1e-9)
    for name in ("scrn_3_2.0", "scrn_3_e", "scrn_0_0.5"):
        assert not hasattr(family, name)


@pytest.mark.parametrize("context", [0, 2.0, True])
def test_there_is_a_number_of_slow_units(context: object) -> None:
    with pytest.raises(CellError, match="context expected the number of slow units, an integer of at least 1, got"):
        catalogue.SCRN(3, 4, context=context)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("alpha", [1, -0.1, float("nan"), True, "0.9"])
def test_slow_units_keep_a_part_of_themselves(alpha: object) -> None:
    with pytest.raises(CellError, match=r"alpha expected how much the slow units keep, a number in \[0, 1\), got"):
        catalogue.SCRN(3, 4, alpha=alpha)  # pyright: ignore[reportArgumentType]
