import numpy as np

from ostinato.models import Markov
from ostinato.recipes.comparison import baselines
from ostinato.recipes.settings import BaselineSettings

RANDOM = np.random.default_rng(0)
SEEN = [RANDOM.integers(0, 5, 100).astype(np.uint8) for _ in range(3)]
VALIDATION = [RANDOM.integers(0, 5, 50).astype(np.uint8) for _ in range(2)]


def test_every_model_can_be_left_out():
    assert baselines(SEEN, VALIDATION, 5, BaselineSettings(markov_orders=0, window=0)) == {}
    rows = baselines(SEEN, VALIDATION, 5, BaselineSettings(markov_orders=0, window=3, window_time_s=0.05))
    assert list(rows) == ["fixed window of 3"]


def test_a_bound_on_the_text_is_kept_and_told():
    rows = baselines(SEEN, VALIDATION, 5, BaselineSettings(markov_orders=1, window=0, max_tokens=150))
    expected = Markov(1, 5).fit([run[:50] for run in SEEN]).score(np.concatenate(VALIDATION)).mean()
    assert rows == {"Markov, order 1, 50% of the text": expected}
