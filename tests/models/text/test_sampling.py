import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import ConfigError, ModelError
from ostinato.models.text.sampling import check_sampling, probabilities

# Equal, or so far apart that no rounding makes them equal: which of two equal ones stays is a rule of its own.
LOGITS = st.lists(st.integers(-512, 512).map(lambda n: n / 64), min_size=1, max_size=12)


def by_hand(logits, temperature, top_k, top_p):
    weights = [math.exp(logit / temperature) for logit in logits]
    likely_first = sorted(range(len(weights)), key=lambda i: (-weights[i], i))
    kept = likely_first[:top_k]
    total, share, nucleus = sum(weights[i] for i in kept), 0.0, []
    for i in kept:
        if nucleus and top_p is not None and share >= top_p:
            break
        nucleus.append(i)
        share += weights[i] / total
    total = sum(weights[i] for i in nucleus)
    return [weights[i] / total if i in nucleus else 0.0 for i in range(len(weights))]


@settings(deadline=None)
@given(LOGITS, st.floats(0.3, 3), st.none() | st.integers(1, 14), st.none() | st.sampled_from([0.05, 0.33, 0.71, 0.98]))
def test_temperature_top_k_and_top_p_against_a_sum_by_hand(logits, temperature, top_k, top_p):
    p = probabilities(torch.tensor(logits, dtype=torch.float64), temperature, top_k, top_p)
    expected = torch.tensor(by_hand(logits, temperature, top_k, top_p), dtype=torch.float64)
    torch.testing.assert_close(p, expected, rtol=1e-9, atol=1e-12)


def test_temperature_0_takes_the_most_likely():
    assert probabilities(torch.tensor([1.0, 3.0, 2.0]), 0.0).tolist() == [0.0, 1.0, 0.0]


def test_the_coldest_and_the_hottest_temperature():
    logits = torch.tensor([1.0, -math.inf, 3.0, -3e38])
    assert probabilities(logits, 5e-324).tolist() == [0.0, 0.0, 1.0, 0.0]
    assert probabilities(logits, 1e308).tolist() == pytest.approx([1 / 3, 0.0, 1 / 3, 1 / 3])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("logits", [[0.0, math.nan], [0.0, math.inf], [-math.inf, -math.inf]])
def test_there_is_no_distribution_of_what_is_no_number(logits, temperature):
    with pytest.raises(ModelError, match="expected"):
        probabilities(torch.tensor(logits), temperature)


def test_a_tie_goes_to_the_smaller_id():
    assert probabilities(torch.zeros(4), top_k=2).tolist() == [0.5, 0.5, 0.0, 0.0]
    assert probabilities(torch.zeros(4), top_p=0.5).tolist() == [0.5, 0.5, 0.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((-0.1, None, None), "temperature"),
        ((float("nan"), None, None), "temperature"),
        ((float("inf"), None, None), "temperature"),
        ((1.0, 0, None), "top_k"),
        ((1.0, None, 0.0), "top_p"),
        ((1.0, None, 1.1), "top_p"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, name):
    with pytest.raises(ConfigError, match=f"{name}: expected .*got"):
        check_sampling(*arguments)
