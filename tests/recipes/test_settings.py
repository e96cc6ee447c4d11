import dataclasses

import pytest

from ostinato.errors import ConfigError
from ostinato.recipes.lm.settings import BaselineSettings, LanguageModelSettings, TokenSettings
from ostinato.recipes.registry import TASKS, find
from ostinato.training.loop.budget import LIMITS, Budget
from ostinato.training.run.settings import TrainingSettings


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


@pytest.mark.parametrize("task", TASKS)
def test_a_limit_that_is_given_takes_the_place_of_all_that_a_task_has_by_default(task):
    kind = find(task).settings_class()
    assert kind().training.budget == kind().training.default_budget
    for limit in LIMITS:
        alone = Budget(**{limit: 7})
        assert kind.from_dict({"training": {limit: 7}}).training.budget == alone
        assert dataclasses.replace(kind().training, **{limit: 7}).budget == alone
    both = kind.from_dict({"training": {"max_epochs": 7, "max_time_s": 9.0}}).training.budget
    assert both == Budget(max_epochs=7, max_time_s=9.0)


@pytest.mark.parametrize("task", [task for task in TASKS if task != "lm"])
def test_the_help_tells_the_budget_that_a_task_has_by_default(task):
    kind = find(task).settings_class()
    assert f"without a budget of your own, for {kind().training.default_budget}" in " ".join(
        (kind.__doc__ or "").split()
    )
