"""Lengths of any kind under torch.compile: other lengths are other numbers, not another graph."""

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

import ostinato
from ostinato.models import Classifier, Seq2Seq, Tagger

KINDS = {"list": list, "tuple": tuple, "array": np.array, "tensor": torch.tensor}


def graphs(call, kind, batches=12):
    """How many graphs torch.compile makes of `call(lengths)`, given 12 batches with other lengths, 0 and 1 among them."""
    torch.compiler.reset()
    counters.clear()
    draw = np.random.default_rng(0)
    for _ in range(batches):
        call(KINDS[kind](draw.integers(0, 7, 4).tolist()))
    return counters["stats"]["unique_graphs"]


def whole(module):
    return torch.compile(module, fullgraph=True, dynamic=True, backend="eager")


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_one_graph_for_all_lengths(kind):
    layer, x = ostinato.LSTM(3, 4, num_layers=2, bidirectional=True), torch.randn(7, 4, 3)
    compiled = whole(layer)

    def call(lengths):
        torch.testing.assert_close(compiled(x, lengths=lengths)[0], layer(x, lengths=lengths)[0])

    assert graphs(call, kind) == 1


@pytest.mark.parametrize("kind", ["list", "array"])
def test_models_are_one_graph_for_all_lengths(kind):
    tokens = torch.randint(6, (7, 4))
    classifier = Classifier(3, vocabulary_size=6, embedding_size=4, hidden_size=5)
    tagger = Tagger(torch.nn.Embedding(6, 4), 3, hidden_size=5)
    translator = Seq2Seq(6, 8, begin=6, end=7, embedding_size=4, hidden_size=6)
    for model, known in ((classifier, ()), (tagger, ()), (translator, (tokens,))):
        compiled = whole(model.eval())

        def call(lengths, compiled=compiled, model=model, known=known):
            expected = model(tokens, *known, lengths=torch.as_tensor(lengths))
            torch.testing.assert_close(compiled(tokens, *known, lengths=lengths), expected)

        assert graphs(call, kind) <= 2


def test_a_list_that_somebody_elses_module_hands_on_makes_no_graph_for_each_number():
    layer, x = ostinato.GRU(3, 4), torch.randn(40, 4, 3)
    outer = whole(lambda lengths: layer(x, lengths=lengths)[0])
    torch.compiler.reset()
    counters.clear()
    for n in range(2, 14):
        lengths = [n, n + 1, n + 2, n + 3]
        torch.testing.assert_close(outer(lengths), layer(x, lengths=lengths)[0])
    assert counters["stats"]["unique_graphs"] == 1
