"""Beam search against every sequence written down."""

import itertools
import math

import pytest
import torch

from ostinato.errors import ConfigError, ModelError
from ostinato.models import BeamSettings, StepByStep, beam_search, beam_search_stream, decode
from tests.models.support import V as LANGUAGE_V
from tests.models.support import small

END = 0


class Table:
    """A model whose next token hangs on the last two, on the sentence, and which looks somewhere: all random, none trained.

    The state: (sentence, the token before last, last weights), each (N, ...).
    """

    def __init__(self, rows, V, places=3, seed=0):
        g = torch.Generator().manual_seed(seed)
        self.log_p = torch.log_softmax(torch.randn(rows, V + 1, V + 1, V, generator=g, dtype=torch.float64) * 2, -1)
        self.weights = torch.softmax(torch.randn(rows, V + 1, places, generator=g, dtype=torch.float64) * 2, -1)
        self.V, self.begin, self.calls = V, V, 0

    def start(self, rows):
        return torch.tensor(rows), torch.full((len(rows),), self.V), None

    def step(self, state, tokens):
        sentence, before, _ = state
        self.calls += 1
        return self.log_p[sentence, before, tokens], (sentence, tokens, self.weights[sentence, tokens])

    def reorder(self, state, index):
        lines = state[0][index]
        assert bool((lines == lines[:, :1]).all()), "rows of one line are of one sentence"
        return tuple(None if part is None else part[index.flatten()] for part in state)

    def attention(self, state):
        return state[2]

    def all_sequences(self, row, max_length, settings):
        """(tokens, log p, score) of every sequence that ends, written as the definitions are."""
        found = []
        for n in range(max_length + 1):
            for tokens in itertools.product(range(1, self.V), repeat=n):
                p, covered = 0.0, torch.zeros(self.weights.shape[2], dtype=torch.float64)
                last = (self.begin, self.begin)
                for token in (*tokens, END):
                    p += float(self.log_p[row, last[0], last[1], token])
                    covered += self.weights[row, last[1]]
                    last = (last[1], token)
                penalty = sum(math.log(min(float(c), 1.0)) for c in covered)
                score = p / ((5 + n + 1) / 6) ** settings.length_penalty + settings.coverage_penalty * penalty
                found.append((tokens, p, score))
        return sorted(found, key=lambda each: -each[2])


@pytest.mark.parametrize("coverage_penalty", [0.0, 0.3])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, -0.5, 2.0])
@pytest.mark.parametrize(("V", "max_length"), [(2, 5), (3, 4), (4, 3)])
def test_with_room_for_everything_it_is_exhaustive_search(V, max_length, length_penalty, coverage_penalty):
    model = Table(3, V)
    settings = BeamSettings(V ** (max_length + 1), length_penalty, coverage_penalty, n_best=6)
    found = beam_search(
        model, model.start([0, 1, 2]), 3, begin=model.begin, end=END, max_length=max_length, settings=settings
    )
    for row, hypotheses in enumerate(found):
        expected = model.all_sequences(row, max_length, settings)[:6]
        assert [h.tokens for h in hypotheses] == [tokens for tokens, _, _ in expected]
        assert [h.log_probability for h in hypotheses] == pytest.approx([p for _, p, _ in expected])
        assert [h.score for h in hypotheses] == pytest.approx([score for _, _, score in expected])
        assert all(h.is_finished for h in hypotheses)


@pytest.mark.parametrize("beam_size", [1, 2, 5])
def test_together_is_one_by_one_whatever_the_lengths(beam_size):
    model = Table(7, 5)
    limits = [0, 3, 9, 1, 6, 12, 4]
    settings = BeamSettings(beam_size, coverage_penalty=0.1, n_best=min(beam_size, 2))
    arguments = {"begin": model.begin, "end": END, "settings": settings}
    together = beam_search(model, model.start(range(7)), 7, max_length=limits, **arguments)
    for row, limit in enumerate(limits):
        (alone,) = beam_search(model, model.start([row]), 1, max_length=limit, **arguments)
        assert alone == together[row]
        assert len(alone[0].tokens) <= limit


def test_all_hypotheses_of_all_sentences_are_read_in_one_call_a_step():
    model = Table(6, 5)
    beam_search(model, model.start(range(6)), 6, begin=model.begin, end=END, max_length=10)
    assert model.calls <= 11


def test_a_beam_of_one_is_greedy_decoding():
    model = Table(8, 5)
    settings = BeamSettings(1)
    found = beam_search(model, model.start(range(8)), 8, begin=model.begin, end=END, max_length=8, settings=settings)
    greedy = decode(model, model.start(range(8)), 8, begin=model.begin, end=END, max_length=8)
    assert [h.tokens for (h,) in found] == [h.tokens for h in greedy]
    assert [h.log_probability for (h,) in found] == pytest.approx([h.log_probability for h in greedy])
    assert [h.positions for (h,) in found if h.tokens] == [h.positions for h in greedy if h.tokens]


class Path:
    """A model that is nearly sure of six tokens and then of the end, which has a little everywhere. The state: steps, (N,)."""

    def step(self, state, tokens):
        early = torch.tensor([0.06, 0.9, 0.04], dtype=torch.float64).log()
        late = torch.tensor([0.9, 0.06, 0.04], dtype=torch.float64).log()
        return torch.where((state < 6).unsqueeze(1), early, late), state + 1

    def reorder(self, state, index):
        return state[index.flatten()]

    def attention(self, state):
        return None


@pytest.mark.parametrize("length_penalty", [0.0, 0.6])
@pytest.mark.parametrize("beam_size", [1, 2, 3])
def test_a_beam_full_of_short_ends_does_not_hide_what_is_better(beam_size, length_penalty):
    settings = BeamSettings(beam_size=beam_size, length_penalty=length_penalty)
    ((best,),) = beam_search(Path(), torch.zeros(1), 1, begin=3, end=END, max_length=12, settings=settings)
    assert best.tokens == (1,) * 6
    assert best.log_probability == pytest.approx(7 * math.log(0.9))


def test_positions_are_where_each_token_looked_most():
    model = Table(2, 4)
    ((best,), _) = beam_search(
        model, model.start([0, 1]), 2, begin=model.begin, end=END, max_length=6, settings=BeamSettings(3)
    )
    read = [model.begin, *best.tokens[:-1]]
    assert best.tokens
    assert best.positions == tuple(int(model.weights[0, token].argmax()) for token in read)


def test_without_an_end_all_are_as_long_as_they_may_be():
    model = Table(3, 3)
    settings = BeamSettings(81, n_best=2)
    found = beam_search(
        model, model.start(range(3)), 3, begin=model.begin, end=None, max_length=[4, 0, 2], settings=settings
    )
    assert [len(each[0].tokens) for each in found] == [4, 0, 2]
    scores = {}
    for tokens in itertools.product(range(3), repeat=4):
        last, p = (model.begin, model.begin), 0.0
        for token in tokens:
            p += float(model.log_p[0, last[0], last[1], token])
            last = (last[1], token)
        scores[tokens] = p
    best = sorted(scores, key=lambda tokens: -scores[tokens])[:2]
    assert [h.tokens for h in found[0]] == best
    assert found[0][0].positions is not None
    assert len(found[0][0].positions) == 4


def test_what_is_forbidden_is_never_written():
    model = Table(4, 4)
    found = beam_search(
        model, model.start(range(4)), 4, begin=model.begin, end=END, max_length=6, forbidden=[2], settings=BeamSettings(4, n_best=4)
    )  # fmt: skip
    assert all(2 not in h.tokens for each in found for h in each)
    assert any(h.tokens for each in found for h in each)


def test_a_search_can_be_stopped_and_gives_what_it_has():
    model = Table(3, 4)
    model.log_p[:, :, :, END] = -50.0
    asked = iter([False, False, True])
    arguments = {"begin": model.begin, "end": END, "settings": BeamSettings(2)}
    found = beam_search(model, model.start(range(3)), 3, max_length=50, should_stop=lambda: next(asked), **arguments)
    assert [(len(h.tokens), h.is_finished) for (h,) in found] == [(2, False)] * 3
    stream = beam_search_stream(model, model.start(range(3)), 3, max_length=[1, 50, 50], **arguments)
    row, _ = next(stream)
    assert row == 0
    calls = model.calls
    stream.close()
    assert model.calls == calls


@pytest.mark.parametrize("end", [END, None])
def test_a_model_that_gives_no_numbers_is_told(end):
    model = Table(3, 4)
    model.log_p[1] = math.nan
    with pytest.raises(ModelError, match="token 1 of row 1 that are numbers, got NaN"):
        beam_search(model, model.start(range(3)), 3, begin=model.begin, end=end, max_length=[3, 5, 2])


@pytest.mark.parametrize("length_penalty", [-3.0, 0.6, 5.0])
def test_a_beam_of_one_ends_where_greedy_decoding_does(length_penalty):
    model = Path()  # the end is the likeliest first token by a little, and something certain comes after the second
    model.step = lambda state, tokens: (torch.tensor([[0.51, 0.49]]).log(), state)
    settings = BeamSettings(1, length_penalty)
    ((best,),) = beam_search(model, torch.zeros(1), 1, begin=2, end=END, max_length=8, settings=settings)
    assert best.tokens == ()


def test_where_nothing_can_follow_a_search_ends_with_what_it_has():
    model = Table(1, 4)
    model.log_p[:, :, 2] = -math.inf  # after 2 comes nothing
    model.log_p[:, model.begin, model.begin] = torch.tensor([-math.inf, -math.inf, 0.0, -math.inf])
    for size in (1, 2, 5):
        arguments = {"begin": model.begin, "end": END, "max_length": 9, "settings": BeamSettings(size)}
        ((best,),) = beam_search(model, model.start([0]), 1, **arguments)
        assert (best.tokens, best.log_probability, best.is_finished) == ((2,), -math.inf, False)


def test_a_language_model_is_searched_too():
    model = small("gru")
    settings = BeamSettings(LANGUAGE_V**2, length_penalty=0.0, n_best=3)
    first = torch.tensor([[1]])
    ((*found,),) = beam_search(StepByStep(model), None, 1, begin=1, end=None, max_length=2, settings=settings)
    with torch.no_grad():
        scores = {}
        for a in range(LANGUAGE_V):
            logits, _ = model(torch.cat((first, torch.tensor([[a]]))))
            log_p = torch.log_softmax(logits[:, 0], dim=-1)
            scores.update({(a, b): float(log_p[0, a] + log_p[1, b]) for b in range(LANGUAGE_V)})
    best = sorted(scores, key=lambda pair: -scores[pair])[:3]
    assert [h.tokens for h in found] == best
    assert [h.log_probability for h in found] == pytest.approx([scores[pair] for pair in best], rel=1e-5)


def test_errors_say_what_was_expected():
    with pytest.raises(ConfigError, match="beam_size: expected at least 1"):
        BeamSettings(0)
    with pytest.raises(ConfigError, match="n_best: expected a number from 1 to beam_size = 2"):
        BeamSettings(2, n_best=3)
    with pytest.raises(ConfigError, match="coverage_penalty: expected a number of at least 0"):
        BeamSettings(coverage_penalty=-1.0)
    with pytest.raises(ConfigError, match="length_penalty: expected a finite number"):
        BeamSettings(length_penalty=math.inf)
    with pytest.raises(ConfigError, match="without attention"):
        beam_search(
            StepByStep(small()), None, 1, begin=1, end=None, max_length=2, settings=BeamSettings(coverage_penalty=0.1)
        )
    with pytest.raises(ConfigError, match="max_length: expected one number, or one for each of the 2 rows"):
        beam_search(StepByStep(small()), None, 2, begin=1, end=None, max_length=[1])
    with pytest.raises(ConfigError, match="forbidden: expected tokens beside the end"):
        beam_search(StepByStep(small()), None, 1, begin=1, end=2, max_length=1, forbidden=[2])
