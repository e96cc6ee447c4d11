import pytest
import torch

from ostinato.data import CharVocabulary
from ostinato.errors import ConfigError
from ostinato.models import LanguageModel

LETTERS = CharVocabulary("\n abcdefghijklm")


def build(**arguments):
    torch.manual_seed(0)
    return LanguageModel(LETTERS, 16, **{"hidden_size": 16, **arguments})


def test_every_weight_is_uniform_in_the_range():
    model = build(num_layers=2, initial_range=0.03)
    for name, parameter in model.named_parameters():
        assert 0.02 < parameter.abs().max() <= 0.03 or parameter.dim() == 1, name
        assert parameter.abs().max() <= 0.03, name
        assert parameter.abs().max() > 0.01, name
    assert model.recurrent.weight_hh_l1.std().item() == pytest.approx(0.03 / 3**0.5, rel=0.1)


@pytest.mark.parametrize(
    ("cell", "options", "gate", "value"),
    [("rhn", {"depth": 2}, "t2", -2.0), ("rhn", {"depth": 2, "forget_bias": 4.0}, "t1", -4.0)],
)
def test_the_bias_that_a_cell_asks_for_stays(cell, options, gate, value):
    recurrent = build(cell=cell, options=options, initial_range=0.03).recurrent
    at = recurrent.cell.gates.index(gate) * 16
    total = recurrent.bias_hh_l0[at : at + 16].clone()
    if gate in recurrent.cell.input_gates:
        at = recurrent.cell.input_gates.index(gate) * 16
        total += recurrent.bias_ih_l0[at : at + 16]
    assert torch.equal(total, torch.full((16,), value))


def test_the_forget_bias_that_was_asked_for_stays_in_every_layer():
    recurrent = build(num_layers=12, options={"forget_bias": 1.0}, initial_range=0.08).recurrent
    for layer in range(12):  # "_l1" is not the end of "_l11"
        forget = recurrent.cell.gates.index("f") * 16
        biases = [getattr(recurrent, f"bias_{of}_l{layer}") for of in ("ih", "hh")]
        assert torch.equal(sum(bias[forget : forget + 16] for bias in biases), torch.ones(16))
        assert biases[0][:16].abs().max() <= 0.08  # i


def test_gains_and_first_states_stay():
    options = {"layer_norm": True, "initial_state": "learned", "connection": "highway"}
    plain, filled = (
        dict(build(num_layers=2, options=options, initial_range=r).recurrent.named_parameters()) for r in (None, 0.01)
    )
    kept = {name for name, v in plain.items() if v.dim() == 1 and v.unique().numel() == 1}
    assert {"initial_h_l0", "highway_bias_l1"} < kept
    assert all(torch.equal(plain[name], filled[name]) for name in kept)


def test_the_ends_alone_can_have_a_range():
    torch.manual_seed(0)
    model = build(tied=True, embedding_range=0.1)
    assert 0.09 < model.embedding.weight.abs().max() <= 0.1
    assert model.output.weight is model.embedding.weight
    assert not model.output.bias.any()
    assert model.recurrent.weight_hh_l0.abs().max() > 0.2  # torch's 1 / sqrt(16)


@pytest.mark.parametrize("name", ["initial_range", "embedding_range"])
def test_a_range_must_be_above_0(name):
    with pytest.raises(ConfigError, match=f"{name}: expected a number above 0, or null, got 0.0"):
        build(**{name: 0.0})
