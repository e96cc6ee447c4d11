import math

import numpy as np
import pytest

from ostinato.data import Streams, Tokens
from ostinato.data.tokens.corpus import open_corpus
from ostinato.errors import ConfigError
from ostinato.models import ContinuousCache, DynamicEvaluation, gradient_rms
from ostinato.recipes import load
from ostinato.recipes.lm.adaptation import CacheSettings, DynamicSettings
from ostinato.recipes.lm.evaluating import evaluate_run
from ostinato.recipes.lm.figures import figures


def test_units():
    text = Tokens(np.zeros(10, dtype=np.uint8), np.zeros(1, dtype=np.int64), characters=40, words=5)
    result = figures(2.0, 7, text)
    assert (result.tokens, result.nats_per_token) == (7, 2.0)
    assert result.nats_per_character == 0.5
    assert result.bits_per_character == pytest.approx(0.5 / math.log(2))
    assert result.perplexity_per_word == pytest.approx(math.exp(4.0))
    assert result.perplexity_per_token == pytest.approx(math.exp(2.0))


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


@pytest.fixture
def strange(tmp_path):
    """A text of a kind that the run has not seen, which repeats itself."""
    path = tmp_path / "strange.txt"
    path.write_text("quartz glyph vex\n" * 30)
    return path


def test_a_text_is_scored_with_a_cache_as_one_stream(result, strange):
    _, figure = evaluate_run(result.run.path, str(strange), adaptation=CacheSettings(100, 0.5, 0.3))
    score = ContinuousCache(load(result.run.path), 100, 0.5, 0.3).score(strange.read_text())
    assert figure.tokens == score.tokens
    assert figure.nats_per_token == pytest.approx(score.nats_per_token, rel=1e-5)
    assert figure.nats_per_token < evaluate_run(result.run.path, str(strange))[1].nats_per_token


def test_a_text_is_scored_while_the_model_learns_from_it(result, strange):
    settings = DynamicSettings("sgd", learning_rate=0.5, decay=0.01, segment=7)
    _, figure = evaluate_run(result.run.path, str(strange), adaptation=settings)
    score = DynamicEvaluation(load(result.run.path), "sgd", 0.5, 0.01).score(strange.read_text(), segment=7)
    assert figure.nats_per_token == pytest.approx(score.nats_per_token, rel=1e-4)
    assert figure.nats_per_token < evaluate_run(result.run.path, str(strange))[1].nats_per_token


@pytest.mark.parametrize("own", [False, True])
def test_the_rms_rule_measures_the_run_s_training_text(result, text, strange, own):
    model = load(result.run.path)
    corpus = open_corpus(str(text), validation_share=0.1, vocabulary=model.vocabulary)
    rms = gradient_rms(model, Streams(corpus.train, 2, 5))  # the rows that 2,376 characters make
    dynamic = DynamicEvaluation(model, "rms", 1e-3, statistics=rms)
    ids = corpus.validation.ids if own else model.vocabulary.encode(strange.read_text())
    expected = dynamic.score(model.vocabulary.decode(ids)).nats_per_token
    settings = DynamicSettings("rms", learning_rate=1e-3)
    _, figure = evaluate_run(result.run.path, None if own else str(strange), adaptation=settings)
    assert figure.nats_per_token == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("name", "value"), [("segment", 0), ("statistics_tokens", 1)])
def test_a_setting_of_dynamic_evaluation_out_of_range_is_named(name, value):
    with pytest.raises(ConfigError, match=rf"{name}: expected at least \d, got {value}"):
        DynamicSettings(**{name: value})
