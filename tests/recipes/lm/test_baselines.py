import numpy as np
import pytest

from ostinato.models import Markov
from ostinato.recipes.lm.baselines import baselines
from ostinato.recipes.lm.settings import BaselineSettings

RANDOM = np.random.default_rng(0)
SEEN = [RANDOM.integers(0, 5, 100).astype(np.uint8) for _ in range(3)]
VALIDATION = [RANDOM.integers(0, 5, 50).astype(np.uint8) for _ in range(2)]


def test_every_model_can_be_left_out():
    texts = {"validation": VALIDATION}
    assert baselines(SEEN, texts, 5, BaselineSettings(markov_orders=0, window=0)) == {"validation": {}}
    rows = baselines(SEEN, texts, 5, BaselineSettings(markov_orders=0, window=3, window_time_s=0.05))
    assert list(rows["validation"]) == ["fixed window of 3"]


def test_every_part_is_scored_by_the_same_models():
    settings, test = BaselineSettings(markov_orders=2, window=2, window_time_s=0.1), [VALIDATION[1][:30]]
    rows = baselines(SEEN, {"validation": VALIDATION, "test": test}, 5, settings)
    assert list(rows) == ["validation", "test"]
    assert rows["test"]["Markov, order 2"] == pytest.approx(Markov(2, 5).fit(SEEN).score(test[0]).mean())
    assert rows["test"].keys() == rows["validation"].keys()
    assert rows["test"]["fixed window of 2"] != rows["validation"]["fixed window of 2"]


def test_a_bound_on_the_text_is_kept_and_told():
    rows = baselines(SEEN, {"validation": VALIDATION}, 5, BaselineSettings(markov_orders=1, window=0, max_tokens=150))
    expected = Markov(1, 5).fit([run[:50] for run in SEEN]).score(np.concatenate(VALIDATION)).mean()
    assert rows["validation"] == {"Markov, order 1, 50% of the text": pytest.approx(expected)}
