from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from ostinato import catalogue
from ostinato.cells.catalogue import cfc as family
from ostinato.cells.catalogue.cfc import cfc
from ostinato.errors import CellError
from tests.cells.equations import Array, Trial, Weights, fill_with_waves, sigmoid, waves

pytestmark = pytest.mark.usefixtures("each_backend")

# The last state of mlech26l/ncps, ncps/torch/cfc_cell.py, commit 695ec22, after three steps on waves, from zeros.
AUTHORS = {
    ("default", 1): [0.8788893345338905, -0.6552528416102643, -0.5736872366798287, -0.8449805594679556],
    ("default", 2): [-0.0894114022045096, -0.9858843988520547, -0.9257156243048592, -0.8706075212427373],
    ("default", 0): [-0.521273702180886, 0.8435342532738292, -0.5787005962687186, 0.4994929514180591],
    ("no_gate", 1): [1.176071534486432, 0.18614639768407182, -0.9193895723898822, -0.919042730376759],
    ("pure", 1): [0.5653741284614598, 0.9035914305638426, 1.0830999335287652, 0.9992663561766917],
    ("pure", 0): [0.5740746567752372, 0.7933776731513831, 0.951248225996859, 0.8295729273725724],
}


@pytest.mark.parametrize(("mode", "backbone"), AUTHORS)
def test_what_the_authors_code_computes(mode: str, backbone: int) -> None:
    layer = catalogue.CfC(3, 4, mode=mode, backbone=backbone, dtype=torch.float64)
    steps = {"weight_ih": 1.1, "weight_hh": 1.3, "bias_ih": 0.9}
    heads = {"f": 1.7} if mode == "pure" else {"f": 1.7, "g": 1.9, "a": 2.1, "b": 2.3}
    for head, step in heads.items() if backbone else ():
        steps |= {f"weight_{head}{n}": step + n for n in range(backbone)} | {f"bias_{head}": step / 2}
    steps |= {"A": 0.5, "w_tau": 0.3} if mode == "pure" else {}
    fill_with_waves(layer, **steps)
    output, _ = layer(waves(0.7, 3, 1, 3), dt=0.5 + waves(0.8, 3, 1).abs())
    wanted = torch.tensor(AUTHORS[mode, backbone], dtype=torch.float64)
    torch.testing.assert_close(output[-1, 0], wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backbone", [0, 1, 2])
@pytest.mark.parametrize("mode", ["default", "no_gate", "pure"])
def test_the_equations_of_the_paper(mode: str, backbone: int) -> None:
    trial = Trial.of(catalogue.CfC(3, 4, mode=mode, backbone=backbone))
    trial.extras["dt"] = 0.3 + waves(0.8, 5, 3).abs()
    heads = "f" if mode == "pure" else "f g a b"
    w = Weights(trial.layer, " ".join(f"z{n}" for n in range(backbone)) or heads)

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        dt = float(trial.extras["dt"][t, b])
        sums = w["weight_ih"] @ x + w["weight_hh"] @ h + w["bias_ih"] + w["bias_hh"]
        if backbone:
            z = 1.7159 * np.tanh(0.666 * sums)
            rows = [np.concatenate([w[f"weight_{head}{n}"] for n in range(backbone)], 1) for head in heads.split()]
            sums = np.concatenate([row @ z + w[f"bias_{head}"] for row, head in zip(rows, heads.split(), strict=True)])
        if mode == "pure":
            return (w["A"] - w["A"] * np.exp(-dt * (abs(w["w_tau"]) + abs(sums))) * sums,)
        f, g, time_a, time_b = sums.reshape(4, 4)
        gate = sigmoid(time_a * dt + time_b)
        f, g = np.tanh(f), np.tanh(g)
        return (f + gate * g if mode == "no_gate" else f * (1 - gate) + gate * g,)

    trial.follows(step)
    trial.has_the_gradients_of(step, "weight_ih", *(("weight_f0", "bias_f") if backbone else ()))
    trial.streams()


def test_a_mode_and_a_backbone_have_one_cell_which_is_pickled_by_name() -> None:
    assert cfc() is cfc("default", 1) is pickle.loads(pickle.dumps(cfc()))
    assert pickle.loads(pickle.dumps(cfc("no_gate", 2))) is cfc("no_gate", 2)
    assert not hasattr(family, "cfc_other_1")


def test_another_mode_or_backbone_is_told() -> None:
    with pytest.raises(CellError, match="mode expected one of default, no_gate, pure, got 'gated'"):
        cfc("gated")
    with pytest.raises(CellError, match="backbone expected an integer of at least 0, got -1"):
        cfc(backbone=-1)
