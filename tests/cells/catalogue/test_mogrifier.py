from __future__ import annotations

import pickle

import numpy as np
import pytest

from ostinato import catalogue
from ostinato.cells.catalogue import mogrifier as family
from ostinato.cells.catalogue.mogrifier import mogrifier_lstm
from ostinato.errors import CellError
from tests.cells.equations import Array, Trial, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("rounds", [0, 1, 2, 5])
def test_the_equations_of_the_paper(rounds: int, rank: int) -> None:
    trial = Trial.of(catalogue.MogrifierLSTM(3, 4, rounds=rounds, rank=rank))
    w = Weights(trial.layer, "i f g o")

    def matrix(name: str) -> Array:
        return w[f"{name}_left"] @ w[f"{name}_right"] if rank else w[name]

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        xs, hs = {-1: x}, {0: h}
        for n in range(1, rounds + 1):
            if n % 2:
                xs[n] = 2 * sigmoid(matrix(f"Q{n}") @ hs[n - 1]) * xs[n - 2]
            else:
                hs[n] = 2 * sigmoid(matrix(f"R{n}") @ xs[n - 1]) * hs[n - 2]
        x, h = xs[max(xs)], hs[max(hs)]
        a = {gate: w.x(gate) @ x + w.h(gate) @ h + w.b(gate) for gate in "ifgo"}
        c = sigmoid(a["f"]) * c + sigmoid(a["i"]) * np.tanh(a["g"])
        return sigmoid(a["o"]) * np.tanh(c), c

    trial.follows(step)
    if rounds == 5:
        trial.has_the_gradients_of(step, *(("Q3_left", "R4_right") if rank else ("Q3", "R4")), "weight_ih")
        trial.streams()


def test_a_pair_of_numbers_has_one_cell_which_is_pickled_by_name() -> None:
    assert mogrifier_lstm() is mogrifier_lstm(5, 0) is pickle.loads(pickle.dumps(mogrifier_lstm(5)))
    assert pickle.loads(pickle.dumps(mogrifier_lstm(6, 40))) is mogrifier_lstm(6, 40)
    assert not hasattr(family, "mogrifier_lstm_x")


@pytest.mark.parametrize(
    ("rounds", "rank", "said"), [(-1, 0, "rounds"), (2.0, 0, "rounds"), (1, -1, "rank"), (1, True, "rank")]
)
def test_what_is_no_number_of_rounds_or_rank_is_told(rounds: int, rank: int, said: str) -> None:
    with pytest.raises(CellError, match=f"{said} expected an integer of at least 0, got"):
        mogrifier_lstm(rounds, rank)
