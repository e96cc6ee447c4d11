"""Layers and data on the CPU, while new tensors are made elsewhere: what a call needs is made beside them, as torch.nn's is."""

import pytest
import torch

import ostinato
from ostinato.models import Classifier, Seq2Seq, Tagger
from ostinato.nn import CRF
from tests.contracts.menu import CELLS, NOT_FOR, OPTIONS, layer, step
from tests.support import assert_same, tensors


def outcome(module, *args, **kwargs):
    """What a training step gives, from the same random numbers every time."""
    torch.manual_seed(0)
    found = tensors(module(*args, **kwargs))
    total = torch.stack([v.square().sum() for v in found.values()]).sum()
    parameters = dict(module.named_parameters())
    gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    return found | {name: g for name, g in zip(parameters, gradients, strict=True) if g is not None}


def assert_unmoved(call):
    expected = call()
    with torch.device("meta"):
        found = call()
    assert_same(found, expected, atol=0.0)


ACTING = [option for option in OPTIONS if "lstm" not in NOT_FOR.get(option, ())]
X = torch.randn(5, 3, 3)
PACKED = torch.nn.utils.rnn.pack_padded_sequence(X, [2, 5, 1], enforce_sorted=False)
LENGTHS = {"lengths": [2, 5, 0]}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(
    ("args", "kwargs"), [((X,), {}), ((X,), LENGTHS), ((PACKED,), {})], ids=["full", "lengths", "packed"]
)
def test_every_cell(name, args, kwargs):
    module = layer(name, 3, 4, bidirectional=True)
    assert_unmoved(lambda: outcome(module, *args, **kwargs))


@pytest.mark.parametrize("option", ACTING)
def test_every_option(option):
    module = layer("lstm", 3, 4, **OPTIONS[option])
    assert_unmoved(lambda: outcome(module, X, **LENGTHS))


@pytest.mark.parametrize("name", ["lstm", "gru", "min_lstm"])
def test_single_steps_and_streams(name):
    one, whole = step(name, 3, 4), layer(name, 3, 4).eval()
    assert_unmoved(lambda: outcome(one, X[0]))
    assert_unmoved(lambda: {str(t): v for t, v in enumerate(map(ostinato.Stream(whole), X[:, 0]))})


def test_a_cell_is_compiled_there():
    @ostinato.cell(gates="a", states="h")
    def halved(x, s, U):
        return ostinato.State(h=torch.tanh(x.a + U(s.h).a) * 0.53)

    module = ostinato.Recurrent(halved, 3, 4)
    with torch.device("meta"):
        found = module(X)[0]
    assert "compiled" in str(ostinato.explain(module, X))
    with ostinato.backend("reference"):
        torch.testing.assert_close(found, module(X)[0])


def test_models():
    crf, e, tags = CRF(4), torch.randn(5, 2, 4), torch.randint(4, (5, 2))
    assert_unmoved(lambda: {"p": crf.log_likelihood(e, tags, [5, 2]), "score": crf.viterbi(e, [5, 2]).score})
    assert_unmoved(lambda: {"p": crf.marginals(e, [5, 2])})
    tokens, lengths = torch.randint(6, (5, 3)), [5, 1, 0]
    for pooling in ("last", "mean", "attention"):
        model = Classifier(3, vocabulary_size=6, embedding_size=4, hidden_size=5, pooling=pooling)
        assert_unmoved(lambda model=model: outcome(model, tokens, lengths))
    tagger = Tagger(torch.nn.Embedding(6, 4), 3, hidden_size=5, output="crf")
    assert_unmoved(lambda: {"tags": tagger.decode(tagger(tokens, lengths), lengths).float()})
    translator = Seq2Seq(6, 8, begin=6, end=7, embedding_size=4, hidden_size=6)
    assert_unmoved(lambda: outcome(translator, tokens, tokens, lengths, [0, 5, 3]))
    with torch.device("meta"):
        assert len(translator.write(tokens, lengths, temperature=1.0)) == 3
        assert len(translator.translate(tokens, lengths)) == 3
