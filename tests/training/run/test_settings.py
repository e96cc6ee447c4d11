import pytest

from ostinato.errors import ConfigError
from ostinato.training import Budget, TrainingSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("chunk_length", -1),
        ("log_every", 0),
        ("evaluate_every", 0),
        ("max_validation_tokens", 0),
        ("patience", 0),
        ("clip_norm", 0.0),
        ("clip_value", -1.0),
        ("max_steps", 0),
        ("max_epochs", 0),
        ("max_time_s", 0.0),
        ("learning_rate", 0.0),
        ("weight_decay", -0.1),
        ("warmup", 1.0),
        ("backprop_length", 3),
        ("accumulate", 0),
        ("momentum", 1.0),
        ("decay", 0.0),
        ("decay_after_epochs", -1.0),
        ("averaging_patience", 0),
        ("ema_decay", 1.0),
        ("evaluate_every_epochs", 0.0),
        ("checkpoint_every", 0),
        ("checkpoint_every_s", 0.0),
        ("keep_checkpoints", 0),
        ("optimizer", "lion"),
        ("schedule", "cos"),
        ("averaging", "swa"),
    ],
)
def test_a_value_out_of_range_is_named(name, value):
    with pytest.raises(ConfigError, match=rf"^training\.{name}: expected .*, got {value}$"):
        TrainingSettings(**{name: value})


def test_time_is_the_budget_where_none_is_given():
    assert TrainingSettings().budget == Budget(max_time_s=85.0)
    assert TrainingSettings(max_steps=5).budget == Budget(max_steps=5)
