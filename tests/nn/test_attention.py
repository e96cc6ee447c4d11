"""Attention against its equations, written as loops over rows, steps and places."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import ConfigError
from ostinato.nn import Attention, coverage_penalty
from ostinato.nn.attention import SCORES

T_OUT, T_MEM, B, F = 4, 5, 3, 6


def make(score, coverage=False):
    torch.manual_seed(0)
    attention = Attention(F, F, score, units=7 if score == "additive" else None, coverage=coverage).double()
    if attention.coverage is not None:
        torch.nn.init.normal_(attention.coverage)
    query, values = torch.randn(T_OUT, B, F).double(), torch.randn(T_MEM, B, F).double()
    return attention, query, values


def by_hand(attention, query, values, lengths):
    """The equations of the table, place by place."""
    weights = torch.zeros(T_OUT, B, T_MEM).double()
    for b in range(B):
        for t in range(T_OUT):
            scores = []
            for i in range(lengths[b]):
                covered = weights[:t, b, i].sum()
                s, h = query[t, b], values[i, b]
                key = h if attention.key is None else attention.key.weight @ h
                if attention.score == "additive":
                    inner = attention.query.weight @ s + attention.query.bias + key
                    inner = inner if attention.coverage is None else inner + covered * attention.coverage
                    scores.append(attention.energy.weight[0] @ torch.tanh(inner))
                else:
                    e = s @ key / (math.sqrt(F) if attention.score == "scaled" else 1.0)
                    scores.append(e if attention.coverage is None else e + covered * attention.coverage[0])
            if scores:
                weights[t, b, : lengths[b]] = torch.softmax(torch.stack(scores), 0).detach()
    return weights, torch.einsum("tbi,ibf->tbf", weights, values)


@pytest.mark.parametrize("coverage", [False, True])
@pytest.mark.parametrize("score", SCORES)
def test_all_steps_at_once_are_the_equations(score, coverage):
    attention, query, values = make(score, coverage)
    lengths = [5, 2, 0]
    found = attention(query, attention.remember(values, lengths))
    weights, context = by_hand(attention, query, values, lengths)
    torch.testing.assert_close(found.weights, weights)
    torch.testing.assert_close(found.context, context)
    assert (found.coverage is not None) == coverage
    if coverage:
        torch.testing.assert_close(found.coverage, weights.sum(0))


@pytest.mark.parametrize("coverage", [False, True])
@pytest.mark.parametrize("score", SCORES)
def test_step_by_step_is_all_at_once(score, coverage):
    attention, query, values = make(score, coverage)
    memory = attention.remember(values)
    whole = attention(query, memory)
    covered, steps = None, []
    for t in range(T_OUT):
        step = attention(query[t : t + 1], memory, covered)
        covered = step.coverage
        steps.append(step.context)
    torch.testing.assert_close(torch.cat(steps), whole.context)


@given(extra=st.integers(0, 4), filler=st.sampled_from([0.0, 5.0, math.nan, math.inf]), score=st.sampled_from(SCORES))
@settings(max_examples=25, deadline=None)
def test_more_padding_changes_nothing(extra, filler, score):
    attention, query, values = make(score)
    lengths = torch.tensor([5, 3, 0])
    more = torch.cat((values, torch.zeros(extra, B, F).double()))
    more[torch.arange(T_MEM + extra)[:, None] >= lengths] = filler
    results = []
    for memory in (values.clone(), more):
        memory.requires_grad_()
        found = attention(query, attention.remember(memory, lengths))
        gradient, *weights = torch.autograd.grad(found.context.sin().sum(), [memory, *attention.parameters()])
        results.append((found.context, found.weights[:, :, :T_MEM], gradient[:T_MEM], weights))
        assert not found.weights[:, :, T_MEM:].any()
    torch.testing.assert_close(results[0], results[1])


def test_the_penalty_is_what_is_looked_at_again():
    weights = torch.tensor([[[1.0, 0.0]], [[0.25, 0.75]], [[0.5, 0.5]]])
    assert coverage_penalty(weights).flatten().tolist() == [0.0, 0.25, 1.0]


def test_errors_say_what_was_expected():
    with pytest.raises(ConfigError, match="score: expected one of additive, general, dot, scaled"):
        Attention(4, 4, "cosine")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="of one width, got 4 and 5"):
        Attention(4, 5, "dot")
    with pytest.raises(ConfigError, match="additive score only"):
        Attention(4, 4, "general", units=3)
