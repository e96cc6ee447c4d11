import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import ConfigError
from ostinato.training import learning_rate_factor

PROGRESS = st.floats(0, 1)
WARMUP = st.floats(0, 0.9)


@given(PROGRESS, WARMUP)
def test_warm_up_is_a_line_from_0_to_1(p, w):
    factor = learning_rate_factor(p, "constant", warmup=w)
    assert factor == pytest.approx(min(1.0, p / w) if w else 1.0)


@given(PROGRESS, WARMUP, st.floats(0, 1))
def test_linear(p, w, final):
    if p >= w:
        line = ((1 - p) + final * (p - w)) / (1 - w)  # the line through (w, 1) and (1, final)
        assert learning_rate_factor(p, "linear", warmup=w, final=final) == pytest.approx(line)


@given(PROGRESS, WARMUP, st.floats(0, 1))
def test_cosine(p, w, final):
    if p >= w:
        half_angle = math.pi / 2 * (p - w) / (1 - w)  # (1 + cos 2a) / 2 = cos^2 a
        expected = final + (1 - final) * math.cos(half_angle) ** 2
        assert learning_rate_factor(p, "cosine", warmup=w, final=final) == pytest.approx(expected, abs=1e-12)


def test_step():
    factors = [learning_rate_factor(p, "step") for p in (0.0, 0.49, 0.5, 0.59, 0.6, 0.7, 0.99, 1.0)]
    assert factors == [1, 1, 1 / 2, 1 / 2, 1 / 4, 1 / 8, 1 / 32, 1 / 64]


@given(st.floats(1, 5))
def test_beyond_the_end_it_is_the_end(p):
    assert learning_rate_factor(p, "cosine") == learning_rate_factor(1.0, "cosine") == 0.0
    assert learning_rate_factor(-p, "linear") == 1.0


def test_epochs_is_the_schedule_of_zarembas_code():
    """Small: the learning rate is 1 for four epochs, then halves with each, as in table and text of the paper."""
    rates = [learning_rate_factor(0.5, "epochs", decay=0.5, epochs=i, decay_after_epochs=4) for i in range(13)]
    assert rates == [1, 1, 1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256, 1 / 512]


def test_an_unknown_schedule_is_not_taken_for_a_constant_one():
    with pytest.raises(ConfigError, match="schedule: expected one of constant, linear, cosine, step, epochs, got cos"):
        learning_rate_factor(0.5, "cos")  # pyright: ignore[reportArgumentType]
