"""A CRF against brute force: every path of every small case is written down and added up."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import ConfigError, DataError
from ostinato.nn import CRF, Constraints, span_constraints
from ostinato.nn.crf.chain import Chain, log_partition_by_steps


def make(N, constraints=None, seed=0, scale=1.0):
    torch.manual_seed(seed)
    crf = CRF(N, constraints, dtype=torch.float64)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(scale * torch.randn_like(parameter))
    return crf


def paths(crf, e):
    """All tag sequences of one row, e: (T, N), and the score of each, written as the definition is."""
    T, N = e.shape
    transitions = {pair: float(crf.transitions.detach()[pair]) for pair in itertools.product(range(N), repeat=2)}
    start, end = (dict(enumerate(v.tolist())) for v in (crf.start, crf.end))
    if crf.forbidden_transitions is not None:
        for i in range(N):
            start[i] = -math.inf if crf.forbidden_start[i] else start[i]
            end[i] = -math.inf if crf.forbidden_end[i] else end[i]
            for j in range(N):
                transitions[i, j] = -math.inf if crf.forbidden_transitions[i, j] else transitions[i, j]
    found = {}
    for y in itertools.product(range(N), repeat=T):
        score = sum(float(e[t, y[t]]) for t in range(T)) + sum(transitions[pair] for pair in itertools.pairwise(y))
        found[y] = score + start[y[0]] + end[y[-1]] if T else 0.0
    return found


def log_sum(scores):
    highest = max(scores)
    return highest if highest == -math.inf else highest + math.log(sum(math.exp(s - highest) for s in scores))


RANDOM = Constraints(
    torch.tensor([[0, 1, 0], [0, 0, 1], [1, 0, 0]]).bool(),
    torch.tensor([0, 0, 1]).bool(),
    torch.tensor([0, 1, 0]).bool(),
)


@pytest.mark.parametrize(
    ("N", "constraints"),
    [
        (1, None),
        (2, None),
        (3, None),
        (3, RANDOM),
        (3, span_constraints(["O", "B-x", "I-x"])),
        (4, span_constraints(["B-x", "I-x", "E-x", "S-x"])),
    ],
)
@pytest.mark.parametrize("T", [1, 2, 3, 5])
def test_everything_is_that_of_all_paths_written_down(T, N, constraints):
    crf = make(N, constraints)
    lengths = [*range(T + 1), T]
    e = torch.randn(T, len(lengths), N, dtype=torch.float64)
    z, best, p = crf.log_partition(e, lengths), crf.viterbi(e, lengths), crf.marginals(e, lengths)
    assert best.tags.shape == e.shape[:2]
    for row, length in enumerate(lengths):
        every = paths(crf, e[:length, row])
        assert float(z[row].detach()) == pytest.approx(log_sum(every.values()), rel=1e-12)
        highest = max(every.values())
        assert float(best.score[row]) == pytest.approx(highest, rel=1e-12)
        if highest > -math.inf:
            assert every[tuple(best.tags[:length, row].tolist())] == pytest.approx(highest, rel=1e-12)
        assert not best.tags[length:, row].any()
        for t, j in itertools.product(range(T), range(N)):
            through = [s for y, s in every.items() if t < length and y[t] == j]
            expected = math.exp(log_sum(through) - float(z[row].detach())) if highest > -math.inf and through else 0.0
            assert float(p[t, row, j].detach()) == pytest.approx(expected, abs=1e-12)
        for y, score in itertools.islice(every.items(), 30):
            tags = torch.full((T, 1), -100)
            tags[:length, 0] = torch.tensor(y, dtype=torch.long)
            got = crf.log_likelihood(e[:, row : row + 1], tags, [length])
            assert (
                float(got.detach()) == pytest.approx(score - log_sum(every.values()), abs=1e-10) or highest == -math.inf
            )


@pytest.mark.parametrize("constraints", [None, RANDOM])
def test_gradients_are_those_of_finite_differences_also_the_second_time(constraints):
    crf = make(3, constraints)
    e = torch.randn(5, 4, 3, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([5, 3, 1, 0])

    class Partition(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.crf = crf

        def forward(self, e):
            return self.crf.log_partition(e, lengths)

    def partition(e, transitions, start, end):
        weights = {"crf.transitions": transitions, "crf.start": start, "crf.end": end}
        return torch.func.functional_call(Partition(), weights, (e,))

    inputs = (e, *(p.detach().clone().requires_grad_() for p in crf.parameters()))
    assert torch.autograd.gradcheck(partition, inputs)
    assert torch.autograd.gradgradcheck(partition, inputs)


@given(
    T=st.integers(1, 20),
    B=st.integers(1, 4),
    N=st.integers(1, 7),
    scale=st.sampled_from([0.01, 1.0, 10.0, 100.0, 2000.0]),
    density=st.sampled_from([0.0, 0.2, 0.6]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_the_fast_way_is_the_plain_one_whatever_the_scores(T, B, N, scale, density, seed):
    """Also where the numbers leave float64's range, and where little or nothing is allowed."""
    torch.manual_seed(seed)
    forbidden = Constraints(torch.rand(N, N) < density, torch.rand(N) < density, torch.rand(N) < density)
    crf = make(N, forbidden, seed, scale)
    e = scale * torch.randn(T, B, N, dtype=torch.float64)
    lengths = torch.randint(0, T + 1, (B,))
    by_loop = e.clone().requires_grad_()
    transitions, start, end = (
        parameter.masked_fill(mask, -math.inf) for parameter, mask in zip(crf.parameters(), forbidden, strict=True)
    )
    z = log_partition_by_steps(Chain(by_loop, transitions, start, end, lengths))
    weights = torch.randn(B, dtype=torch.float64)
    expected = torch.autograd.grad(z, [by_loop, *crf.parameters()], weights, materialize_grads=True)
    e.requires_grad_()
    got = crf.log_partition(e, lengths)
    torch.testing.assert_close(got, z, rtol=1e-10, atol=1e-10)
    for a, b in zip(torch.autograd.grad(got, [e, *crf.parameters()], weights), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


def test_a_path_that_falls_a_thousand_nats_behind_and_wins_in_the_end_is_not_lost():
    """In products of scaled numbers it would be zero long before."""
    forbidden = Constraints(~torch.eye(2, dtype=torch.bool), torch.zeros(2).bool(), torch.zeros(2).bool())
    crf = make(2, forbidden, scale=0.0)
    e = torch.tensor([[0.0, -1000.0], [0.0, -1000.0], [-3000.0, 0.0]], dtype=torch.float64).unsqueeze(1)
    assert float(crf.log_partition(e).detach()) == -2000.0
    assert crf.marginals(e)[:, 0].tolist() == [[0.0, 1.0]] * 3


def no_way(how):
    """A field, and emissions of three rows, the second of which has no path."""
    e = torch.randn(3, 3, 3, dtype=torch.float64)
    if how == "emissions":
        e[1, 1] = -math.inf
        return make(3), e, [3, 3, 2]
    everything, nothing = torch.ones(3, 3).bool(), torch.zeros(3).bool()
    return make(3, Constraints(everything, nothing, nothing)), e, [1, 3, 0]  # a row of one step has no transition


@pytest.mark.parametrize("how", ["emissions", "constraints"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_row_without_a_path_is_impossible_and_no_other_row_feels_it(how, compiled):
    crf, e, lengths = no_way(how)
    e.requires_grad_()
    likelihood = torch.compile(crf.log_likelihood, backend="eager") if compiled else crf.log_likelihood
    found = likelihood(e, torch.zeros(3, 3, dtype=torch.int64), torch.tensor(lengths))
    assert found[1] == -math.inf
    assert (-found.mean()).item() == math.inf
    found.sum().backward()
    gradients = [e.grad, *(parameter.grad for parameter in crf.parameters())]
    crf.zero_grad()
    others = torch.tensor([0, 2])
    again = e.detach()[:, others].requires_grad_()
    expected = crf.log_likelihood(again, torch.zeros(3, 2, dtype=torch.int64), torch.tensor(lengths)[others])
    expected.sum().backward()
    torch.testing.assert_close(found[others], expected)
    torch.testing.assert_close(gradients[0][:, others], again.grad)
    assert not gradients[0][:, 1].any()
    for gradient, parameter in zip(gradients[1:], crf.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


@pytest.mark.parametrize("how", ["emissions", "constraints"])
def test_of_a_row_without_a_path_nothing_is_likely(how):
    crf, e, lengths = no_way(how)
    assert crf.log_partition(e, lengths)[1] == -math.inf
    assert not crf.marginals(e, lengths)[:, 1].any()
    assert crf.viterbi(e, lengths).score.isinf().tolist() == [False, True, False]


@given(extra=st.integers(0, 5), filler=st.sampled_from([0.0, 7.0, math.nan, math.inf]), seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_more_padding_changes_nothing(extra, filler, seed):
    crf = make(4, seed=seed)
    e, tags, lengths = torch.randn(6, 5, 4), torch.randint(4, (6, 5)), torch.tensor([6, 0, 3, 1, 5])
    more = torch.cat((e, torch.zeros(extra, 5, 4)))
    more[torch.arange(6 + extra)[:, None] >= lengths] = filler
    more_tags = torch.cat((tags, torch.full((extra, 5), -1)))
    results = []
    for emissions, y in ((e, tags), (more, more_tags)):
        emissions.requires_grad_()
        value = crf.log_likelihood(emissions, y, lengths)
        gradients = torch.autograd.grad(value.sum(), [emissions, *crf.parameters()])
        decoded = crf.viterbi(emissions, lengths)
        results.append((value, gradients[0][:6], gradients[1:], decoded.tags[:6], decoded.score))
        assert not gradients[0][6:].any()
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


def test_a_mask_says_the_same_as_lengths():
    crf = make(3)
    e, tags, lengths = torch.randn(5, 3, 3), torch.randint(3, (5, 3)), torch.tensor([2, 5, 0])
    mask = torch.arange(5)[:, None] < lengths
    assert torch.equal(crf.log_likelihood(e, tags, mask=mask), crf.log_likelihood(e, tags, lengths))
    assert torch.equal(crf.viterbi(e, mask=mask).tags, crf.viterbi(e, lengths).tags)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_types(dtype):
    crf = CRF(3)
    e, tags = torch.randn(4, 2, 3).to(dtype), torch.randint(3, (4, 2))
    assert crf.log_likelihood(e, tags).dtype == torch.promote_types(dtype, torch.float32)
    expected = crf.log_likelihood(e.double(), tags)
    torch.testing.assert_close(crf.log_likelihood(e, tags).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("T", "B"), [(0, 2), (4, 0), (0, 0)])
def test_no_steps_or_no_rows_at_all(T, B):
    crf = CRF(3)
    e, tags = torch.randn(T, B, 3), torch.zeros(T, B, dtype=torch.long)
    assert crf.log_likelihood(e, tags).tolist() == [0.0] * B
    assert crf.viterbi(e).tags.shape == (T, B)
    assert crf.marginals(e).shape == (T, B, 3)


def test_it_learns_what_may_follow_what():
    """Emissions say nothing: only the transitions can tell that 0 1 2 repeats."""
    torch.manual_seed(0)
    crf = CRF(3)
    tags = (torch.arange(9)[:, None] + torch.arange(3)) % 3
    e = torch.zeros(9, 3, 3)
    e[0, torch.arange(3), tags[0]] = 1.0
    optimizer = torch.optim.Adam(crf.parameters(), 0.1)
    for _ in range(60):
        optimizer.zero_grad()
        (-crf.log_likelihood(e, tags).mean()).backward()
        optimizer.step()
    assert torch.equal(crf.viterbi(e).tags, tags)


def test_torch_compile_follows_it_without_a_break():
    crf = make(3)
    e, tags, lengths = torch.randn(4, 2, 3), torch.randint(3, (4, 2)), torch.tensor([4, 2])
    compiled = torch.compile(crf.log_likelihood, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(e, tags, lengths), crf.log_likelihood(e, tags, lengths))


@pytest.mark.parametrize(
    ("tags", "good", "bad"),
    [
        (["O", "B-a", "I-a", "B-b", "I-b"], ["O B-a I-a I-a B-b", "B-a B-a"], ["I-a", "O I-a", "B-a I-b"]),
        (["O", "B-a", "I-a", "E-a", "S-a"], ["S-a B-a E-a O", "B-a I-a E-a"], ["B-a", "B-a O", "S-a E-a", "B-a I-a"]),
    ],
)
def test_constraints_of_spans(tags, good, bad):
    forbidden = span_constraints(tags)

    def allowed(text):
        y = [tags.index(tag) for tag in text.split()]
        moves = any(bool(forbidden.transitions[pair]) for pair in itertools.pairwise(y))
        return not (moves or bool(forbidden.start[y[0]]) or bool(forbidden.end[y[-1]]))

    assert [allowed(text) for text in good] == [True] * len(good)
    assert [allowed(text) for text in bad] == [False] * len(bad)


def test_errors_say_what_was_expected():
    crf = CRF(3)
    e = torch.randn(4, 2, 3)
    with pytest.raises(ConfigError, match="num_tags: expected at least 1"):
        CRF(0)
    with pytest.raises(ConfigError, match=r"constraints.transitions: expected the shape \(3, 3\)"):
        CRF(3, span_constraints(["O", "B-x"]))
    with pytest.raises(DataError, match=r"emissions: expected the shape \(T, B, 3\)"):
        crf.log_partition(torch.randn(4, 2, 5))
    with pytest.raises(DataError, match="tags: expected numbers from 0 to 2"):
        crf.log_likelihood(e, torch.full((4, 2), 3))
    with pytest.raises(DataError, match="tags: expected the shape"):
        crf.log_likelihood(e, torch.zeros(3, 2, dtype=torch.long))
    with pytest.raises(DataError, match=r"tags: expected integers, got torch\.float32"):
        crf.log_likelihood(e, torch.zeros(4, 2))
    with pytest.raises(
        ConfigError, match=r"constraints.transitions: expected the shape \(3, 3\) for 3 tags, got \(2, 2\)"
    ):
        crf.viterbi(e, constraints=span_constraints(["O", "B-x"]))
    with pytest.raises(ConfigError, match=r"constraints.start: expected the shape \(3,\) for 3 tags, got \(1,\)"):
        crf.viterbi(e, constraints=Constraints(*(torch.zeros(n).bool() for n in ((3, 3), (1,), (1,)))))
    with pytest.raises(DataError, match="a gap"):
        crf.viterbi(e, mask=torch.tensor([[1, 1], [0, 1], [1, 0], [0, 0]]).bool())
    with pytest.raises(DataError, match="got both"):
        crf.viterbi(e, [1, 2], mask=torch.ones(4, 2).bool())
    with pytest.raises(ValueError, match="lengths expected"):
        crf.viterbi(e, [1, 5])
