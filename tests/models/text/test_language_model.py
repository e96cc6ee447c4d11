import itertools
import math

import pytest
import torch

from ostinato.cells.library import NAMED
from ostinato.data import ByteVocabulary, Chunk, WordVocabulary
from ostinato.errors import ConfigError
from ostinato.models import LanguageModel
from ostinato.models.text import output_loss
from ostinato.models.text.sampling import probabilities
from tests.models.support import LETTERS, V, small


def log_probabilities(model, ids):
    """(N, V): after each token, of the whole text in one go."""
    with torch.no_grad():
        logits, _ = model(torch.tensor(ids)[:, None])
    return torch.log_softmax(logits[:, 0], dim=-1)


CELLS = list(NAMED)


@pytest.mark.parametrize("hidden_size", [7, [7, 4]])
@pytest.mark.parametrize("cell", CELLS)
def test_chunk_by_chunk_is_the_whole(cell, hidden_size):
    model = small(cell, hidden_size=hidden_size, num_layers=2)
    input = torch.randint(V, (23, 3))
    whole, last = model(input)
    state, parts = None, []
    for chunk in input.split(4):
        logits, state = model(chunk, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts), whole)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("hidden_size", [7, [7, 4]])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("initial_state", ["zeros", "learned"])
def test_a_reset_row_is_a_document_of_its_own(cell, initial_state, hidden_size):
    model = small(cell, hidden_size=hidden_size, num_layers=2, options={"initial_state": initial_state})
    input = torch.randint(V, (12, 4))
    starts = [[], [0], [5], [1, 5, 11]]  # of documents, row by row
    resets = torch.zeros(12, 4, dtype=torch.bool)
    for row, steps in enumerate(starts):
        resets[steps, row] = True
    _, before = model(torch.randint(V, (3, 4)))
    logits, after = model(input, before, resets)
    for row, steps in enumerate(starts):
        state = select(before, row)
        for start, end in itertools.pairwise([0, *[s for s in steps if s], 12]):
            state = None if start in steps else state
            expected, state = model(input[start:end, row : row + 1], state)
            torch.testing.assert_close(logits[start:end, row : row + 1], expected)
        torch.testing.assert_close(select(after, row), state)


def select(state, row):
    if isinstance(state, torch.Tensor):
        return state[:, row : row + 1]
    return type(state)(select(part, row) for part in state)


def test_loss_is_the_mean_over_steps_and_rows():
    model = small()
    tokens = torch.randint(V, (6, 2))
    loss, state = model.loss(Chunk(tokens[:-1], tokens[1:], None))
    logits, last = model(tokens[:-1])
    log_p = torch.log_softmax(logits, dim=-1)
    expected = -sum(log_p[t, b, tokens[t + 1, b]] for t in range(5) for b in range(2)) / 10
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("few_words", [0, V + 1])  # the two ways that the loss is computed
def test_steps_without_data_do_not_count(monkeypatch, few_words):
    monkeypatch.setattr(output_loss, "_FEW_WORDS", few_words)
    model = small()
    tokens = torch.randint(V, (6, 2))
    mask = torch.tensor([[True, True], [True, True], [True, False], [True, False], [True, False]])
    loss, _ = model.loss(Chunk(tokens[:-1], tokens[1:], None, mask))
    rows = [
        model.loss(Chunk(tokens[:n, b : b + 1], tokens[1 : n + 1, b : b + 1], None))[0] * n for b, n in ((0, 5), (1, 2))
    ]
    expected = (rows[0] + rows[1]) / 7
    torch.testing.assert_close(loss, expected)
    gradients = [torch.autograd.grad(each, list(model.parameters())) for each in (loss, expected)]
    torch.testing.assert_close(*gradients)
    nothing, _ = model.loss(Chunk(tokens[:-1], tokens[1:], None, torch.zeros_like(mask)))
    assert nothing == 0.0
    assert not any(gradient.any() for gradient in torch.autograd.grad(nothing, list(model.parameters())))


def test_the_penalty_is_in_the_loss_in_training_alone():
    model = small(activation_regularisation=2.0, temporal_activation_regularisation=1.5)
    chunk = Chunk(*torch.randint(V, (2, 6, 2)), None)
    pure, _ = model.loss(chunk)
    assert float(model.penalty) == 0.0
    model.train()
    loss, _ = model.loss(chunk)
    h, _ = model.features(chunk.input)
    expected = 2.0 * (h**2).mean() + 1.5 * ((h[1:] - h[:-1]) ** 2).mean()
    torch.testing.assert_close(loss - pure, expected)
    torch.testing.assert_close(model.penalty, expected.detach())
    assert not model.penalty.requires_grad
    assert model.eval().loss(chunk)[0] == pure


def test_the_penalty_of_activations_is_of_what_dropout_leaves():
    model = small(activation_regularisation=1.0, output_dropout=0.5, locked_dropout=True, vocabulary=LETTERS).train()
    chunk = Chunk(*torch.randint(V, (2, 6, 2)), None)
    torch.manual_seed(3)
    loss, _ = model.loss(chunk)
    torch.manual_seed(3)
    h, _ = model.features(chunk.input)
    dropped = model.dropout(h)
    assert bool((dropped == 0).all(0).any())
    pure = torch.nn.functional.cross_entropy(model.output(dropped).flatten(0, 1), chunk.target.flatten())
    torch.testing.assert_close(loss, pure + (dropped**2).mean())


def seen_by_layers(model, T=4, B=400):
    """What enters each layer and the output layer for a stream of one token, in training."""
    entered = []
    model.train()
    for module in (model.recurrent, model.output):
        module.register_forward_pre_hook(lambda _, given: entered.append(given[0].detach()))
    model(torch.ones(T, B, dtype=torch.long))
    return entered


@pytest.mark.parametrize("locked", [False, True])
def test_every_dropout_has_its_rate_and_its_place(locked):
    model = small(input_dropout=0.4, output_dropout=0.2, locked_dropout=locked, hidden_size=30, embedding_size=30)
    for x, rate in zip(seen_by_layers(model), (0.4, 0.2), strict=True):
        dropped = x == 0
        assert dropped.float().mean().item() == pytest.approx(rate, abs=0.02)
        assert torch.equal(dropped, dropped[:1].expand_as(dropped)) == locked


def test_locked_rates_of_the_first_layer_and_of_those_above_it_may_differ():
    """The layers mask what enters each of them at the rate between layers; the first layer's mask is completed to its own rate."""
    model = small(
        num_layers=2, dropout=0.3, input_dropout=0.6, output_dropout=0.1, locked_dropout=True, embedding_size=50
    )
    entered = []
    run = model.recurrent._run_direction
    model.recurrent._run_direction = lambda x, layer, *rest: (entered.append(x.detach()), run(x, layer, *rest))[1]
    model.train()
    model(torch.ones(3, 500, dtype=torch.long))
    x = entered[0] / model.embedding.weight[1].detach()
    assert {round(v, 6) for v in x.unique().tolist()} == {0.0, 2.5}  # 1 / 0.4
    for x, rate in zip(entered, (0.6, 0.3), strict=True):
        assert (x == 0).float().mean().item() == pytest.approx(rate, abs=0.02)
        assert torch.equal(x[0] == 0, x[2] == 0)


def test_whole_words_are_dropped_at_the_entrance_and_not_at_the_exit():
    model = small(embedding_dropout=0.5, embedding_size=7, tied=True).train()
    input = torch.randint(V, (40, 5))
    x = []
    model.recurrent.register_forward_pre_hook(lambda _, given: x.append(given[0].detach()))
    logits, _ = model(input)
    embedded = torch.nn.functional.embedding(input, model.embedding.weight)
    share = x[0] / embedded
    assert set(share.unique().round(decimals=9).tolist()) == {0.0, 2.0}
    dropped = {id: share[input == id].unique().tolist() for id in input.unique().tolist()}
    assert all(len(kinds) == 1 for kinds in dropped.values())
    h, _ = model.recurrent(x[0])
    torch.testing.assert_close(logits, model.output(h))  # with all the words' weights


def test_loss_is_computed_in_float32_under_autocast():
    model = small().float()
    tokens = torch.randint(V, (6, 2))
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = model.loss(Chunk(tokens[:-1], tokens[1:], None))
    assert loss.dtype == torch.float32


def test_tied_weights_are_one_tensor_before_and_after_loading():
    model = small(embedding_size=7, tied=True)
    assert model.output.weight is model.embedding.weight
    other = small(embedding_size=7, tied=True, seed=1)
    other.load_state_dict(model.state_dict())
    assert other.output.weight is other.embedding.weight
    torch.testing.assert_close(other.output.weight, model.embedding.weight)


def test_dropout_acts_in_training_only():
    model = small(dropout=0.5)
    input = torch.randint(V, (5, 2))
    torch.testing.assert_close(model(input)[0], model(input)[0])
    model.train()
    assert not torch.equal(model(input)[0], model(input)[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"options": {"zonout": 0.1}}, "zonout.*zoneout"),
        ({"options": {"zoneout": 1.5}}, r"zoneout.*\[0, 1\].*1.5"),
        ({"options": {"bidirectional": True}}, "bidirectional"),
        ({"tied": True}, "embedding_size.*5 and 7"),
        ({"hidden_size": 0}, "hidden_size: expected at least 1, got 0"),
        ({"dropout": 1.0}, "dropout"),
        ({"cell": "gur"}, "lstm, gru, rnn, rhn, mingru, minlstm.*gur"),
        ({"hidden_size": [4, 0]}, "hidden_size: expected at least 1, got 0"),
        ({"hidden_size": [5, 4], "tied": True}, "embedding_size.*5 and 4"),
        ({"cell": "rnn", "options": {"depth": 3}}, "options of RNN.*depth"),
        ({"cell": "rhn", "options": {"depth": 0}}, "options of RHN: depth expected"),
        ({"cell": "mingru", "options": {"weight_dropout": 0.5}}, "options of MinGRU: weight_dropout needs"),
        ({"embedding_dropout": 1.0}, "embedding_dropout: expected a rate from 0 to below 1, got 1.0"),
        ({"input_dropout": -0.5}, "input_dropout: expected"),
        ({"output_dropout": 1.0}, "output_dropout: expected"),
        ({"activation_regularisation": -1.0}, "activation_regularisation: expected a number of at least 0, got -1.0"),
        ({"temporal_activation_regularisation": -1.0}, "temporal_activation_regularisation: expected"),
        (
            {"num_layers": 2, "dropout": 0.3, "input_dropout": 0.2, "locked_dropout": True},
            "input_dropout: .* expected at least dropout = 0.3, got 0.2",
        ),
        (
            {"locked_dropout": True, "options": {"variational_dropout": 0.1}},
            "locked_dropout and options.variational_dropout would mask the same twice",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        small(**arguments)


def test_hello_is_learnt_and_written():
    """The notes' example: after "hell" comes "o", though "l" is followed by "l" as often."""
    torch.manual_seed(0)
    model = LanguageModel(LETTERS, 8, 24)
    text = torch.from_numpy(LETTERS.encode("hello " * 20).astype("int64"))[:, None]
    chunk = Chunk(text[:-1], text[1:], None)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(120):
        loss, _ = model.loss(chunk)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.score("hello " * 5).nats_per_token < 0.05
    assert model.generate("hello hell", 9, temperature=0) == "o hello h"


# --- score ---


def test_score_is_the_sum_of_the_chain_rule():
    model = small()
    text = "hello hell\noh hello " * 30  # longer than a block
    ids = LETTERS.encode(text).tolist()
    log_p = log_probabilities(model, ids)
    nats = -sum(float(log_p[i, ids[i + 1]]) for i in range(len(ids) - 1))
    score = model.score(text)
    assert score.nats == pytest.approx(nats, rel=1e-12)
    assert (score.tokens, score.characters, score.words) == (len(text) - 1, len(text) - 1, 120)
    assert score.nats_per_token == pytest.approx(nats / (len(text) - 1))
    assert score.bits_per_character == pytest.approx(nats / math.log(2) / (len(text) - 1))
    assert score.perplexity_per_word == pytest.approx(math.exp(nats / 120))


@pytest.mark.parametrize("cut", [0, 1, 5, 255, 256, 257, 299])
def test_scores_of_the_parts_add_up_to_the_score_of_the_whole(cut):
    model = small("gru")
    text = "hello hell" * 30
    whole = model.score(text)
    first = model.score(text[:cut])
    second = model.score(text[cut:], first.state)
    assert first.nats + second.nats == pytest.approx(whole.nats, rel=1e-12)
    assert first.tokens + second.tokens == whole.tokens
    assert first.characters + second.characters == whole.characters


@pytest.mark.parametrize(
    ("text", "words"), [("he hello", 2), ("h hello", 1), ("h", 0), (" hello", 1), ("hello", 1), ("", 0)]
)
def test_a_word_that_was_not_predicted_at_all_does_not_count(text, words):
    model = small()
    assert model.score(text).words == words
    assert model.score(text, model.score("oh ").state).words == len(text.split())


def test_the_score_of_nothing():
    model = small()
    assert math.isnan(model.score("").nats_per_token)
    state = model.score("hello").state
    again = model.score("", state)
    assert (again.nats, again.tokens) == (0.0, 0)
    assert again.state is not None
    assert again.state.last == state.last


# --- generate ---


def test_the_same_seed_writes_the_same_text():
    model = small()
    texts = [model.generate("he", 60, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 60


def test_each_token_is_drawn_from_its_distribution_after_the_whole_text():
    model = small()
    ids, generator = LETTERS.encode("hello").tolist(), torch.Generator().manual_seed(3)
    for _ in range(40):
        logits = model(torch.tensor(ids)[:, None])[0][-1, 0]  # from the beginning, at every step
        p = probabilities(logits, 0.9, 4, 0.8)
        ids.append(int(torch.multinomial(p, 1, generator=generator)))
    text = model.generate("hello", 40, temperature=0.9, top_k=4, top_p=0.8, seed=3)
    assert text == LETTERS.decode(ids[5:])


def test_generating_leaves_the_global_generator_and_the_mode_alone():
    model = small(dropout=0.5).train()
    before = torch.get_rng_state()
    pieces = model.stream("he", 5, seed=0)
    next(pieces)
    assert torch.is_grad_enabled()
    assert model.training
    "".join(pieces)
    assert torch.equal(before, torch.get_rng_state())
    model.generate(length=3)  # no seed
    assert torch.equal(before, torch.get_rng_state())


def test_a_stream_without_end_stops_when_it_is_closed():
    pieces = small().stream(length=None, seed=0)
    assert len("".join(itertools.islice(pieces, 100))) == 100
    pieces.close()
    assert list(pieces) == []


def test_generation_goes_on_from_a_scored_text():
    model = small()
    state = model.score("hello hell").state
    assert model.generate("o", 20, seed=5, state=state) == model.generate("hello hello", 20, seed=5)
    assert model.generate("", 20, seed=5, state=state) == model.generate("hello hell", 20, seed=5)


def test_bytes_come_as_whole_characters():
    model = small(vocabulary=ByteVocabulary())
    pieces = list(model.stream("é", 120, seed=0))
    raw = bytes(model_bytes(model, 120))
    assert "".join(pieces) == raw.decode("utf-8", "replace")


def model_bytes(model, length):
    ids, generator = list("é".encode()), torch.Generator().manual_seed(0)
    for _ in range(length):
        p = probabilities(model(torch.tensor(ids)[:, None])[0][-1, 0])
        ids.append(int(torch.multinomial(p, 1, generator=generator)))
    return ids[2:]


def test_a_word_after_a_prompt_is_set_apart_from_it():
    model = small(vocabulary=WordVocabulary(["<unk>", "\n", "yes", "no"]))
    with torch.no_grad():
        model.output.weight.zero_()
        model.output.bias.copy_(torch.tensor([-99.0, -99.0, 0.0, -99.0]))
    assert model.generate("no no", 2) == " yes yes"


def test_length_below_0_is_refused():
    with pytest.raises(ConfigError, match="length: expected at least 0 tokens, got -1"):
        small().stream(length=-1)
