from __future__ import annotations

import numpy as np
import pytest

from ostinato import catalogue
from ostinato.errors import CellError
from tests.cells.catalogue.agreement import INPUT, agrees, figures, wave
from tests.cells.equations import Array, Step, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


GATES = {"f": "z f", "fo": "z f o", "ifo": "z f o w"}


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("pooling", GATES)
def test_the_equations_of_the_paper(pooling: str, window: int) -> None:
    gates = GATES[pooling].split()

    def equations(w: Weights) -> Step:
        def step(x: Array, *states: object) -> tuple[Array, ...]:
            h, *kept, _, _ = states
            c = h if pooling == "f" else kept.pop(0)
            before = dict(zip(gates, kept or [0.0] * len(gates), strict=True))
            v = {name: w.x(name) @ x + w.rows("bias_ih", name) + before[name] for name in gates}
            f = sigmoid(v["f"])
            c = f * c + (sigmoid(v["w"]) if pooling == "ifo" else 1 - f) * np.tanh(v["z"])
            new = (c,) if pooling == "f" else (sigmoid(v["o"]) * c, c)
            return new if window == 1 else (*new, *np.split(w["V"] @ x, len(gates)))

        return step

    layer = catalogue.QRNN(3, 4, pooling=pooling, window=window)
    agrees(layer, GATES[pooling], equations, weights="weight_ih V" if window == 2 else "weight_ih")


def test_the_figures_of_the_authors_code() -> None:
    # salesforce/pytorch-qrnn at 1634991a, torchqrnn/qrnn.py, QRNNLayer(use_cuda=False): its rows of f are the negative of these.
    wanted = [
        [0.019048416172, -0.145359679784],
        [-0.006589131654, -0.235682498349],
        [-0.008419969648, -0.08916641372],
        [0.300460827114, 0.13872874543],
    ]
    weights = {"weight_ih": wave(12, 0), "V": wave(12, 1), "bias_ih": wave(6, 2)}
    np.testing.assert_allclose(figures(catalogue.QRNN(2, 2), weights, INPUT), wanted, atol=1e-11)
    wanted = [
        [0.096235182476, -0.250902565342],
        [0.232114023259, -0.416500631625],
        [0.535698394905, -0.187848945266],
        [0.768985242845, 0.399656730354],
    ]
    weights = {"weight_ih": wave(12, 0)[:8], "bias_ih": wave(6, 2)[:4]}
    np.testing.assert_allclose(figures(catalogue.QRNN(2, 2, pooling="f", window=1), weights, INPUT), wanted, atol=1e-11)


@pytest.mark.parametrize(("name", "value"), [("window", 3), ("window", True), ("pooling", "fi")])
def test_other_forms_are_refused(name: str, value: object) -> None:
    with pytest.raises(CellError, match=f"{name} expected"):
        catalogue.QRNN(3, 4, **{name: value})  # pyright: ignore[reportArgumentType]
