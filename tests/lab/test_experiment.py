import csv

import pytest
import torch

from ostinato.errors import ConfigError
from ostinato.lab import NAMES, find
from ostinato.lab.experiment import Experiment, Verdict, table
from ostinato.lab.pictures import panels

TABLE = table("cell steps error", [("RNN", 10, 0.5), ("RNN", 20, 0.75), ("LSTM", 10, 1 / 3)])


def make(**changes):
    parts = {
        "name": "coin",
        "claim": "A coin falls.",
        "source": "Nobody 1900",
        "measure": lambda seed, quick: table("side", [(float(torch.rand(())),)]),
        "judge": lambda measured: Verdict("It fell.", "Again.", measured.column("side")[0] >= 0),
        "draw": lambda measured: panels(1)[0],
    }
    return Experiment(**{**parts, **changes})


def test_a_table_is_read_by_the_names_of_its_columns():
    assert TABLE.where(cell="RNN").column("error") == [0.5, 0.75]
    assert TABLE.one("error", cell="RNN", steps=20) == 0.75
    assert TABLE.kinds("cell") == ["RNN", "LSTM"]
    assert TABLE.replaced("error", lambda _: 0).column("error") == [0, 0, 0]


def test_a_table_becomes_a_csv_file():
    assert TABLE.csv().splitlines() == ["cell,steps,error", "RNN,10,0.5", "RNN,20,0.75", "LSTM,10,0.333333"]
    text = table("sample", [('one, "two"\nthree',)]).csv()
    assert list(csv.reader(text.splitlines(keepends=True)))[1] == ['one, "two"\nthree']


def test_rows_of_another_width_are_refused():
    with pytest.raises(ValueError, match="expected rows of 2 values"):
        table("a b", [(1, 2), (3,)])


def test_the_same_seed_measures_the_same_and_leaves_the_callers_numbers_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second, other = make().run(seed=1), make().run(seed=1), make().run(seed=2)
    assert first.table == second.table != other.table
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.sentences == ("It fell.", "Again.")
    assert first.reproduced


def test_there_are_at_least_fourteen_experiments_each_with_a_source_and_a_name():
    assert len(NAMES) >= 14
    for name in NAMES:
        found = find(name)
        assert found.name == name
        assert any(character.isdigit() for character in found.source)  # a year, which a reader finds a paper by
        assert ".txt" not in found.source


def test_an_unknown_experiment_is_answered_with_the_closest():
    with pytest.raises(ConfigError, match="cliping is no experiment; did you mean clipping"):
        find("cliping")
