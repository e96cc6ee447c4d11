import copy

import numpy as np
import pytest
import torch
from torch import nn

import ostinato
from ostinato.data.tokens.vocabulary import ByteVocabulary, CharVocabulary
from ostinato.insight import activations
from ostinato.insight.layers import InsightError
from ostinato.models.text.language_model import LanguageModel

TEXT = "the quick brown fox jumps over the lazy dog\n"


def language_model(**arguments):
    torch.manual_seed(0)
    vocabulary = CharVocabulary("".join(sorted(set(TEXT))))
    return LanguageModel(vocabulary, 5, 7, 2, dropout=0.5, **arguments)


def by_hand(model, text):
    """h and c of both layers, with torch.nn's own cells, a character at a time."""
    layer, found = model.recurrent, {(n, s): [] for n in (0, 1) for s in "hc"}
    states = [(torch.zeros(1, 7), torch.zeros(1, 7))] * 2
    gates = {(n, g): [] for n in (0, 1) for g in "ifgo"}
    for id in model.vocabulary.encode(text).tolist():
        x = model.embedding.weight[id][None]
        for n in (0, 1):
            h, c = states[n]
            rows = x @ getattr(layer, f"weight_ih_l{n}").T + getattr(layer, f"bias_ih_l{n}")
            rows = rows + h @ getattr(layer, f"weight_hh_l{n}").T + getattr(layer, f"bias_hh_l{n}")
            i, f, g, o = rows.chunk(4, -1)
            values = {"i": i.sigmoid(), "f": f.sigmoid(), "g": g.tanh(), "o": o.sigmoid()}
            c = values["f"] * c + values["i"] * values["g"]
            x = h = values["o"] * c.tanh()
            states[n] = h, c
            for name, value in values.items():
                gates[n, name].append(value[0])
            found[n, "h"].append(h[0])
            found[n, "c"].append(c[0])
    return {key: torch.stack(values).detach().numpy() for key, values in (found | gates).items()}


def test_every_state_and_gate_is_that_of_the_equations():
    model = language_model()
    read = activations(model, TEXT, gates=True)
    expected = by_hand(model, TEXT)
    assert read.text == TEXT
    assert len(read) == len(TEXT)
    assert [(layer.name, list(layer.states), list(layer.gates)) for layer in read.layers] == [
        (name, ["h", "c"], ["i", "f", "g", "o"]) for name in ("layer 1", "layer 2")
    ]
    for number, layer in enumerate(read.layers):
        for name, values in {**layer.states, **layer.gates}.items():
            np.testing.assert_allclose(values, expected[number, name], atol=1e-6)
    assert np.array_equal(read.unit("layer 2", "c", 3), read.layers[1].states["c"][:, 3])


def test_a_text_of_several_blocks_goes_on_with_its_state(monkeypatch):
    model = language_model()
    whole = activations(model, TEXT, gates=True)
    monkeypatch.setattr("ostinato.insight.unit_values._BLOCK", 9)
    for (_, _, one), (_, _, other) in zip(
        whole.series(gates=True), activations(model, TEXT, gates=True).series(gates=True), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    ("cell", "states", "gates"),
    [
        ("gru", ["h"], ["r", "z", "n"]),
        ("rnn", ["h"], ["h"]),
        ("rhn", ["h"], ["h1", "t1"]),
        ("mingru", ["h"], ["z"]),
        ("minlstm", ["h"], ["f i"]),
    ],
)
def test_other_cells(cell, states, gates):
    options = {"depth": 1} if cell == "rhn" else {}
    read = activations(language_model(cell=cell, options=options), TEXT, gates=True)
    assert list(read.layers[0].states) == states
    assert list(read.layers[0].gates) == gates


@pytest.mark.parametrize("batch_first", [False, True])
def test_torchs_layers_are_seen_like_ours(batch_first):
    torch.manual_seed(1)
    theirs = nn.LSTM(3, 4, bidirectional=True, batch_first=batch_first)
    x = torch.randn(6, 3)
    input = x[None] if batch_first else x[:, None]
    read = activations(nn.Sequential(theirs), list("abcdef"), input)
    output = theirs(input)[0].reshape(6, 8).detach().numpy()
    assert [layer.name for layer in read.layers] == ["layer 1", "layer 1 backward"]
    np.testing.assert_allclose(read.layers[0].states["h"], output[:, :4], atol=1e-6)
    np.testing.assert_allclose(read.layers[1].states["h"], output[:, 4:], atol=1e-6)


def test_layers_of_several_modules_have_their_names():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.lower, self.upper = ostinato.GRU(2, 3), nn.GRU(3, 3)

        def forward(self, x):
            return self.upper(self.lower(x)[0])[0]

    read = activations(Two(), "abcd", torch.randn(4, 1, 2))
    assert [layer.name for layer in read.layers] == ["lower layer 1", "upper layer 1"]


def test_the_model_is_as_it_was():
    model = language_model().train()
    model.recurrent.eval()
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    activations(model, TEXT, gates=True)
    assert torch.equal(torch.rand(1), expected)
    assert model.training
    assert not model.recurrent.training
    assert model.dropout.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_bytes_of_a_character_wait_for_its_last():
    model = LanguageModel(ByteVocabulary(), 2, 2)
    read = activations(model, "aé!")
    assert list(read.pieces) == ["a", "", "é", "!"]
    assert read.last_characters.tolist() == [0, 0, 1, 2]
    assert read[1:3].text == "é"
    assert len(read[1:3].layers[0].states["h"]) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: activations(nn.Linear(1, 1), "a", torch.zeros(1, 1)), "recurrent layer"),
        (lambda: activations(nn.LSTM(1, 1), "a"), "with a vocabulary"),
        (lambda: activations(language_model(), ""), "at least one token"),
        (lambda: activations(nn.LSTM(1, 1), "ab", torch.zeros(3, 1, 1)), "each of the 3 steps of layer 1, got 2"),
        (lambda: activations(nn.LSTM(1, 1), "ab", torch.zeros(2, 5, 1)), "a batch of 5"),
        (lambda: activations(language_model(), TEXT).unit("layer 1", "h", 7), "expected 0 to 6 of layer 1 h, got 7"),
        (lambda: activations(language_model(), TEXT).unit("layer 3", "h", 0), "layer 1 h, layer 1 c, layer 2 h"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(call, message):
    with pytest.raises(InsightError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
