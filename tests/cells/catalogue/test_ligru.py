from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import catalogue
from tests.cells.catalogue.checks import follows, gives, pattern, streams
from tests.cells.equations import Array, Trial, Weights, sigmoid


@pytest.mark.usefixtures("each_backend")
def test_the_equations_of_the_paper() -> None:
    trial = Trial.of(catalogue.LiGRU(3, 4))
    w = Weights(trial.layer, "z h")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        z = sigmoid(w.x("z") @ x + w.h("z") @ h + w.b("z"))
        proposed = np.maximum(w.x("h") @ x + w.h("h") @ h + w.b("h"), 0)
        return (z * h + (1 - z) * proposed,)

    follows(trial, step)
    streams(catalogue.LiGRU(3, 4))


@pytest.mark.usefixtures("each_backend")
def test_the_figures_of_the_authors_code() -> None:
    # liGRU of mravanelli/pytorch-kaldi, neural_networks.py at 9773257, without normalisation.
    parameters = {
        "weight_ih": torch.cat([pattern(1, 3, 2), pattern(2, 3, 2)]),
        "weight_hh": torch.cat([pattern(3, 3, 3), pattern(4, 3, 3)]),
        "bias_ih": torch.cat([pattern(5, 3), pattern(6, 3)]),
    }
    figures = [
        [0.0, 0.0, 0.443916108],
        [0.142193093, 0.043498902, 0.227649026],
        [0.020400154, 0.744741452, 0.331436928],
        [0.002784504, 1.15625388, 0.351942121],
    ]
    gives(catalogue.LiGRU(2, 3), parameters, figures)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_recurrent_matrix_starts_orthogonal(dtype: torch.dtype) -> None:
    layer = catalogue.LiGRU(3, 5, 2, dtype=dtype)
    for block in layer.get_parameter("weight_hh_l1").float().chunk(2):
        torch.testing.assert_close(
            block @ block.t(), torch.eye(5), rtol=0, atol=1e-6 if dtype == torch.float32 else 0.02
        )
