import dataclasses

import pytest

from ostinato.errors import ConfigError
from ostinato.recipes.settings import BaselineSettings, LanguageModelSettings, TokenSettings, TrainingSettings


def test_a_dictionary_and_back():
    settings = LanguageModelSettings(seed=3, training=TrainingSettings(batch_size=2), tokens=TokenSettings(kind="bpe"))
    assert LanguageModelSettings.from_dict(dataclasses.asdict(settings)) == settings
    assert LanguageModelSettings.from_dict({}) == LanguageModelSettings()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sed": 3}, "unknown setting sed; expected one of task, data, run, seed"),
        ({"training": {"batch": 3}}, "unknown setting training.batch; expected one of batch_size"),
        ({"training": 3}, "training: expected settings by name, got 3"),
        ({"training": {"batch_size": 0}}, "training.batch_size: expected an integer of at least 1"),
    ],
)
def test_a_wrong_dictionary_is_explained(values, message):
    with pytest.raises(ConfigError, match=message):
        LanguageModelSettings.from_dict(values)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (TokenSettings, "vocabulary_size", 1),
        (TokenSettings, "validation_share", 0.0),
        (TokenSettings, "validation_share", 1.0),
        (BaselineSettings, "markov_orders", -1),
        (BaselineSettings, "window", -1),
        (BaselineSettings, "window_time_s", 0.0),
        (BaselineSettings, "max_tokens", 0),
    ],
)
def test_a_value_out_of_range_is_named(kind, name, value):
    with pytest.raises(ConfigError, match=rf"{name}: expected .*, got {value}"):
        kind(**{name: value})
