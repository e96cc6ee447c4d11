from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import catalogue
from ostinato.errors import CellError
from tests.cells.catalogue.checks import follows, streams
from tests.cells.equations import Array, Trial, Weights, sigmoid


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("variant", [0, 1, 2, 3])
def test_the_equations_of_the_papers(variant: int) -> None:
    trial = Trial.of(catalogue.MGU(3, 4, variant=variant))
    w = Weights(trial.layer, "f h" if variant < 2 else "h", inputs="h" if variant else None)

    def gate(x: Array, h: Array) -> Array:
        if variant == 0:
            return w.x("f") @ x + w.h("f") @ h + w.b("f")
        if variant == 1:
            return w.h("f") @ h + w.rows("bias_hh", "f")
        return w["weight_f"] @ h if variant == 2 else w["bias_f"]

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        f = sigmoid(gate(x, h))
        proposed = np.tanh(w.x("h") @ x + w.h("h") @ (f * h) + w.b("h"))
        return ((1 - f) * h + f * proposed,)

    follows(trial, step)
    streams(catalogue.MGU(3, 4, variant=variant))


def test_its_gate_writes() -> None:
    for variant, name in ((0, "bias_ih_l0"), (1, "bias_hh_l0")):
        layer = catalogue.MGU(3, 5, variant=variant, forget_bias=2.0)
        assert torch.equal(layer.get_parameter(name)[:5], torch.full((5,), -2.0))


@pytest.mark.parametrize("variant", [4, -1, True, "1"])
def test_there_are_four_forms(variant: object) -> None:
    with pytest.raises(CellError, match="variant expected 0 for MGU, or 1, 2 or 3 for MGU1 to MGU3, got"):
        catalogue.MGU(3, 4, variant=variant)  # pyright: ignore[reportArgumentType]
