import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import ConfigError
from ostinato.models.tagging.words import WordEncoder, Words


def make(counts=(1, 4, 1, 2), **arguments):
    torch.manual_seed(0)
    sizes = {"embedding_size": 3, "character_embedding_size": 2, "character_hidden_size": 4}
    return WordEncoder(counts, 6, **{**sizes, **arguments})


def words_of(sentences, ids, more=0):
    """Sentences of spellings (lists of characters) side by side, `more` rows of nonsense below the longest spelling."""
    spellings = sorted({tuple(word) for sentence in sentences for word in sentence}) or [()]
    T, L = max(1, *map(len, sentences)), max(1, *map(len, spellings)) + more
    spelt = torch.full((L, len(spellings)), 5)
    places, padded = (
        torch.zeros(T, len(sentences), dtype=torch.int64),
        torch.zeros(T, len(sentences), dtype=torch.int64),
    )
    for column, spelling in enumerate(spellings):
        spelt[: len(spelling), column] = torch.tensor(spelling, dtype=torch.int64)
    for row, sentence in enumerate(sentences):
        for step, word in enumerate(sentence):
            places[step, row], padded[step, row] = spellings.index(tuple(word)), ids[row][step]
    return Words(padded, spelt, torch.tensor([len(each) for each in spellings]), places)


SENTENCES, IDS = [[[1, 2, 3], [4]], [[4], [1, 2, 3], [3, 3, 1, 2, 5]]], [[1, 2], [2, 1, 0]]


def test_a_word_is_its_vector_and_both_ends_of_its_spelling():
    encoder = make().eval()
    lstm = torch.nn.LSTM(2, 4, bidirectional=True)
    lstm.load_state_dict(encoder.spelling.state_dict())
    found = encoder(words_of(SENTENCES, IDS))
    assert found.shape == (3, 2, encoder.embedding_dim) == (3, 2, 11)
    for row, sentence in enumerate(SENTENCES):
        for step, word in enumerate(sentence):
            h_n = lstm(encoder.characters(torch.tensor(word)))[1][0]
            expected = torch.cat((encoder.embedding.weight[IDS[row][step]], h_n[0], h_n[1]))
            torch.testing.assert_close(found[step, row], expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(more=st.integers(1, 6))
def test_more_padding_of_the_spellings_changes_nothing(more):
    encoder = make().eval()
    torch.testing.assert_close(
        encoder(words_of(SENTENCES, IDS, more)), encoder(words_of(SENTENCES, IDS)), rtol=1e-6, atol=1e-7
    )


def test_a_word_without_letters_and_no_word_at_all():
    encoder = make().eval()
    found = encoder(words_of([[[]]], [[3]]))
    torch.testing.assert_close(found[0, 0], torch.cat((encoder.embedding.weight[3], torch.zeros(8))))
    assert encoder(words_of([[], []], [[], []])).shape == (1, 2, 11)


def test_the_rarer_a_word_the_more_often_it_is_read_as_unknown_in_training():
    counts, a, draws = (1, 4, 1, 2), 0.5, 20_000
    encoder = make(counts, word_dropout=a)
    with torch.no_grad():
        encoder.embedding.weight.copy_(torch.arange(4.0).unsqueeze(1).expand(4, 3))
    ids = torch.arange(1, 4).repeat(draws, 1)
    words = Words(ids, torch.ones(1, 1, dtype=torch.int64), torch.tensor([1]), torch.zeros_like(ids))
    unknown = (encoder(words)[..., 0] == 0).float().mean(0)
    expected = torch.tensor([a / (a + counts[id]) for id in (1, 2, 3)])
    torch.testing.assert_close(unknown, expected, atol=0.02, rtol=0.0)
    assert torch.equal(encoder.eval()(words)[..., 0], ids.float())


def test_what_a_run_saves_does_not_depend_on_the_counts():
    assert set(make().state_dict()) == set(make((1, 1, 1, 1)).state_dict())
    assert not any("rates" in name for name in make().state_dict())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"counts": ()}, "counts: expected at least 1, got 0"),
        ({"embedding_size": 0}, "embedding_size: expected at least 1, got 0"),
        ({"character_hidden_size": 0}, "character_hidden_size: expected at least 1, got 0"),
        ({"word_dropout": -1.0}, "word_dropout: expected a number of at least 0, got -1.0"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        make(**arguments)
