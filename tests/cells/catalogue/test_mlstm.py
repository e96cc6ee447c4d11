from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import catalogue, explain
from tests.cells.equations import Array, Trial, Weights, fill_with_waves, sigmoid, waves


@pytest.mark.parametrize("heads", [1, 2])
def test_the_equations_of_the_paper(heads: int) -> None:
    trial = Trial.of(catalogue.MLSTM(3, 4, num_heads=heads))
    w, units = Weights(trial.layer, "q k v o"), 4 // heads

    def step(x: Array, h: Array, C: Array, n: Array, m: Array, t: int, b: int) -> tuple[Array, ...]:
        a = {gate: w.rows("weight_ih", gate) @ x + w.rows("bias_ih", gate) for gate in "qkvo"}
        q, k, v = (a[gate].reshape(heads, units) for gate in "qkv")
        out, new = [], []
        for head in range(heads):
            i = w["weight_i"][head] @ x + w["bias_i"][head]
            log_f = -np.log1p(np.exp(-(w["weight_f"][head] @ x + w["bias_f"][head])))
            new_m = max(log_f + m[head], i)
            keep, write = np.exp(log_f + m[head] - new_m), np.exp(i - new_m)
            new_C = keep * C[head] + write * np.outer(v[head], k[head] / np.sqrt(units))
            new_n = keep * n[head] + write * k[head] / np.sqrt(units)
            out.append(new_C @ q[head] / max(abs(new_n @ q[head]), np.exp(-new_m)))
            new.append((new_C, new_n, new_m))
        C, n, m = (np.stack(each) for each in zip(*new, strict=True))
        return sigmoid(a["o"]) * np.concatenate(out), C, n, m

    trial.follows(step)
    trial.has_the_gradients_of(step, "weight_ih", "weight_i", "bias_f")
    trial.streams()


def test_what_the_authors_code_computes() -> None:
    """NX-AI/xlstm, xlstm/blocks/mlstm/backends.py, commit 032a6fb, recurrent_step_stabilized_simple with eps = 0, on waves.

    From states of zeros. The gates are the layer's, and sigmoid(o) is put around its output.
    """
    layer = catalogue.MLSTM(3, 4, num_heads=2, dtype=torch.float64)
    fill_with_waves(layer, weight_ih=1.1, bias_ih=0.9, weight_i=1.7, bias_i=0.4, weight_f=2.3, bias_f=0.6)
    output, (_, C, _, m) = layer(waves(0.7, 4, 1, 3))
    wanted = [
        [-0.021223983396791997, -0.9999293452785721, 0.4832170997364961, -0.3299583829230593],
        [-1.1544267942469, 0.1607917338405491, 5.141692186468727, -4.347185139323507],
        [-0.9072846583532931, 0.3178500353142014, -3.9241698699246275, 2.308446975137124],
        [-0.04834425167616833, -0.7297145375799783, 0.861861409365045, -1.489966306909757],
    ]
    memory = [
        [[-0.42839750679356936, -2.773478109196222], [-0.5322167805077268, 0.5273735266204618]],
        [[0.6590965233855934, -2.1192731032116643], [-0.8911938875752783, 0.5355877329871288]],
    ]
    for got, expected in ((output[:, 0], wanted), (C[0, 0], memory), (m[0, 0], [0.682969538331879, 1.232909396884251])):
        torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_it_starts_as_the_authors_code_does_and_runs_on_the_reference() -> None:
    layer = catalogue.MLSTM(3, 8, num_heads=4)
    assert layer.get_parameter("bias_f_l0").tolist() == [3, 4, 5, 6]
    assert not any(layer.get_parameter(f"weight_{gate}_l0").any() for gate in "if")
    assert explain(layer, torch.randn(5, 2, 3)).backends == {"reference"}
