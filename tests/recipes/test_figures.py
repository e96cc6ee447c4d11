import math

import numpy as np
import pytest

from ostinato.data import Tokens
from ostinato.recipes import load
from ostinato.recipes.figures import evaluate_run, figures


def test_units():
    text = Tokens(np.zeros(10, dtype=np.uint8), np.zeros(1, dtype=np.int64), characters=40, words=5)
    result = figures(2.0, 7, text)
    assert (result.tokens, result.nats_per_token) == (7, 2.0)
    assert result.nats_per_character == 0.5
    assert result.bits_per_character == pytest.approx(0.5 / math.log(2))
    assert result.perplexity_per_word == pytest.approx(math.exp(4.0))


def test_a_perplexity_that_no_float_holds_is_infinite():
    text = Tokens(np.zeros(1000, dtype=np.uint8), np.zeros(1, dtype=np.int64), characters=1000, words=1)
    assert figures(2.0, 1, text).perplexity_per_word == math.inf


def test_a_text_is_scored_whole(result, tmp_path):
    path = tmp_path / "new.txt"
    text = "the lazy fox jumps over the quick dog\n" * 9
    path.write_text(text)
    name, figure = evaluate_run(result.run.path, str(path))
    score = load(result.run.path).score(text)
    assert "new.txt" in name
    assert figure.tokens == score.tokens == len(text) - 1
    assert figure.nats_per_token == pytest.approx(score.nats_per_token, rel=1e-5)


def test_without_a_text_it_is_the_run_s_own_validation_text(result, text):
    name, figure = evaluate_run(result.run.path)
    assert "fox.txt" in name
    assert figure.tokens == 263  # a tenth of 2,640 characters, less the first
