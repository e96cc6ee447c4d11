import re

import pytest
import yaml

from ostinato.errors import ConfigError
from ostinato.recipes.registry import find
from ostinato.recipes.sweep.measure import measure_of
from ostinato.recipes.sweep.space import Searched, parse, read_space
from ostinato.training.loop.budget import Budget

GOOD = {
    "base": {"data": "text.txt", "training": {"max_steps": 5}},
    "space": {
        "training.learning_rate": {"log": [1e-4, 1e-2]},
        "model.dropout": {"range": [0, 0.6]},
        "model.num_layers": {"range": [1, 3]},
        "model.cell": {"choice": ["lstm", "gru"]},
        "model.embedding_size, model.hidden_size": {"choice": [8, 16]},
        "training.clip_norm": {"choice": [None, 1.0]},
    },
    "trials": 7,
}


def test_a_file_is_read(tmp_path):
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(GOOD).replace("0.0001", "1e-4"))
    space = read_space(tmp_path / "space.yaml")
    assert (space.trials, space.seed, space.pruner) == (7, 0, "median")
    searched = {each.name: each for each in space.space}
    # YAML reads 1e-4 as text; here it is the number that was meant.
    assert searched["training.learning_rate"] == Searched("training.learning_rate", "log", (1e-4, 1e-2))
    assert searched["model.num_layers"].is_whole
    assert searched["model.embedding_size, model.hidden_size"].is_whole
    assert not searched["model.dropout"].is_whole
    assert not searched["training.learning_rate"].is_whole


def test_values_become_settings():
    settings = parse(GOOD).settings(
        {"training.learning_rate": 0.002, "model.embedding_size, model.hidden_size": 16, "training.clip_norm": None}
    )
    assert (settings.training.learning_rate, settings.training.max_steps, settings.training.clip_norm) == (
        0.002,
        5,
        None,
    )
    assert (settings.model.embedding_size, settings.model.hidden_size) == (16, 16)
    assert settings.data == "text.txt"
    assert (settings.baselines.markov_orders, settings.baselines.window) == (0, 0)


def test_what_was_read_can_be_written_and_read():
    space = parse(GOOD)
    assert parse(yaml.safe_load(yaml.safe_dump(space.to_dict(), sort_keys=False))) == space


def test_a_configuration_comes_before_the_base(tmp_path):
    (tmp_path / "config.yaml").write_text("model: {hidden_size: 99, num_layers: 2}\nseed: 5\n")
    given = {**GOOD, "config": str(tmp_path / "config.yaml"), "base": {"model": {"num_layers": 4}}}
    settings = parse(given).settings({})
    assert (settings.model.hidden_size, settings.model.num_layers, settings.seed) == (99, 4, 5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"spaces": {}},
            "spaces: unknown; did you mean space? Expected one of config, base, space, trials, seed, pruner",
        ),
        ({"space": {}}, "space: expected at least one setting to search"),
        ({"space": None}, "space: expected such as"),
        (
            {"space": {"training.lerning_rate": {"log": [1, 2]}}},
            "no such setting; did you mean training.learning_rate?",
        ),
        (
            {"space": {"learning_rate": {"log": [1, 2]}}},
            "space.learning_rate: no such setting; did you mean training.learn",
        ),
        ({"space": {"tokens.kind": {"choice": ["char"]}}}, "runs on other tokens cannot be compared"),
        (
            {"space": {"model.dropout": [0, 1]}},
            "space.model.dropout: expected one of log, range, choice with its values",
        ),
        ({"space": {"model.dropout": {"uniform": [0, 1]}}}, "expected one of log, range, choice"),
        (
            {"space": {"model.dropout": {"range": [0, 0.1, 0.2]}}},
            "range: expected two numbers, the lowest and the highest",
        ),
        ({"space": {"model.dropout": {"range": [0.5, 0.1]}}}, "range: expected the lowest before the highest"),
        ({"space": {"model.dropout": {"log": [0, 0.1]}}}, "log: expected numbers above 0, got 0; take range for 0"),
        ({"space": {"model.hidden_size": {"range": [8, 16.5]}}}, "range: expected integers, got 16.5"),
        (
            {"space": {"model.cell": {"range": ["gru", "lstm"]}}},
            "expected numbers, got 'gru'|expected integers, got 'gru'",
        ),
        ({"space": {"model.cell": {"choice": ["lstm", "lsmt"]}}}, "space.model.cell: expected .*lstm.*, got 'lsmt'"),
        (
            {"space": {"training.accumulate": {"choice": [8, "many"]}}},
            "space.training.accumulate: expected an integer, got 'many'",
        ),
        (
            {"space": {"model.options": {"choice": [{"zoneout": 0.1}]}}},
            "choice: expected text, numbers, true, false or null",
        ),
        (
            {"space": {"training.learning_rate": {"range": [-1, 1]}}},
            "-1 does not fit: training.learning_rate: expected",
        ),
        ({"base": {"model": {"hiden_size": 1}}}, "base: unknown setting model.hiden_size"),
        ({"base": {"training": {"batch_size": "a"}}}, "base.training.batch_size: expected an integer, got 'a'"),
        ({"base": {"run": "here"}}, "base.run: a sweep sets this for each run"),
        ({"base": [1]}, "base: expected settings"),
        ({"trials": 0}, "trials: expected an integer of at least 1, got 0"),
        ({"seed": "x"}, "seed: expected an integer of at least 0, got 'x'"),
        ({"pruner": "best"}, "pruner: expected one of median, hyperband, none, got 'best'"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_allowed(change, says):
    with pytest.raises(ConfigError, match=says.replace("?", r"\?").replace("(", r"\(")) as caught:
        parse({**GOOD, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("- 1", "expected base and space, by name"),
        ("a: [", "expected YAML; cannot read"),
        (None, "expected a sweep in YAML"),
    ],
)
def test_a_file_that_is_no_sweep_is_one_line(tmp_path, content, says):
    if content is not None:
        (tmp_path / "space.yaml").write_text(content)
    with pytest.raises(ConfigError, match=says) as caught:
        read_space(tmp_path / "space.yaml")
    assert "\n" not in str(caught.value)
    assert "space.yaml" in str(caught.value)


CLASSIFY = {"task": "classify", "base": {"data": "a.csv"}, "space": {"model.dropout": {"range": [0, 0.5]}}}


def test_any_task_can_be_searched():
    space = parse(CLASSIFY)
    settings = space.settings({"model.dropout": 0.25})
    assert (settings.task, settings.data, settings.model.dropout) == ("classify", "a.csv", 0.25)
    assert parse(yaml.safe_load(yaml.safe_dump(space.to_dict(), sort_keys=False))) == space
    assert measure_of(space).text(0.25) == "0.2500 nats/example"
    tags = parse({"task": "tag", "space": {"model.dropout": {"range": [0, 0.5]}}})
    assert measure_of(tags).text(-0.925) == "accuracy 92.50%"
    assert measure_of(parse(GOOD)).text(1.25) == "1.2500 nats/token"
    captions = parse({"task": "caption", "space": {"training.batch_size": {"range": [8, 64]}}})
    assert captions.space[0].is_whole
    assert measure_of(captions).column == "nats_per_token"


def test_the_built_in_data_are_searched_with_the_settings_that_suit_them():
    searched = {"space": {"model.dropout": {"range": [0, 0.5]}}}
    for data in ({}, {"data": "other"}):
        space = parse({"task": "translate", "base": data, **searched})
        suited = find("translate").built_in_settings()
        assert (space.settings({}).training == suited.training) == (not data)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": "clasify"}, "unknown task clasify; did you mean classify?"),
        ({"task": 3}, "task: expected a name, such as lm, got 3"),
        (
            {"space": {"reading.tokens": {"choice": ["char"]}}},
            "runs on other data cannot be compared; expected training.* or model.*",
        ),
        (
            {"space": {"model.pooling": {"choice": ["first"]}}},
            "space.model.pooling: expected one of last, mean, max, attention",
        ),
        (
            {"space": {"model.class_weights": {"choice": ["none", "balanced"]}}},
            "judged by another figure than nats/example; choose one for all in base",
        ),
        ({"base": {"tokens": {"kind": "char"}}}, "base: unknown setting tokens"),
    ],
)
def test_a_wrong_line_of_another_task_is_named(change, says):
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        parse({**CLASSIFY, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "space"),
    [
        ({"training": {"max_steps": 900}}, {"model.dropout": {"range": [0, 0.6]}}),
        ({}, {"training.max_steps": {"choice": [900]}}),
    ],
)
def test_a_limit_that_is_given_takes_the_place_of_those_that_suit_the_built_in_data(base, space):
    made = parse({"task": "tag", "base": base, "space": space})
    settings = made.settings({name: how["choice"][0] for name, how in space.items() if "choice" in how})
    assert settings.training.budget == Budget(max_steps=900)
    assert settings.training.batch_size == 8  # the rest of them stays
