import itertools
import math

import pytest
import torch

from ostinato.data import ByteVocabulary, CharVocabulary, Chunk, WordVocabulary
from ostinato.errors import ConfigError
from ostinato.models import LanguageModel
from ostinato.models.sampling import probabilities

LETTERS = CharVocabulary("\n ehlo")
V = len(LETTERS)


def small(cell="lstm", seed=0, vocabulary=LETTERS, **arguments):
    torch.manual_seed(seed)
    arguments = {"embedding_size": 5, "hidden_size": 7, **arguments}
    model = LanguageModel(vocabulary, cell=cell, **arguments).double()
    for parameter in model.parameters():  # away from the small values at which every mistake looks small
        torch.nn.init.uniform_(parameter, -1.0, 1.0)
    return model.eval()


def log_probabilities(model, ids):
    """(N, V): after each token, of the whole text in one go."""
    with torch.no_grad():
        logits, _ = model(torch.tensor(ids)[:, None])
    return torch.log_softmax(logits[:, 0], dim=-1)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_chunk_by_chunk_is_the_whole(cell):
    model = small(cell, num_layers=2)
    input = torch.randint(V, (23, 3))
    whole, last = model(input)
    state, parts = None, []
    for chunk in input.split(4):
        logits, state = model(chunk, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts), whole)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("initial_state", ["zeros", "learned"])
def test_a_reset_row_is_a_document_of_its_own(cell, initial_state):
    model = small(cell, num_layers=2, options={"initial_state": initial_state})
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
        ({"cell": "gur"}, "lstm, gru, rnn.*gur"),
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
