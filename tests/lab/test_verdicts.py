"""A verdict is true of numbers that have the effect, and false of the same numbers without it."""

import math

import pytest

from ostinato.lab import NAMES, find, tasks
from ostinato.lab.experiment import Table, table
from ostinato.lab.experiments import (
    clipping,
    dropout,
    elapsed_time,
    first_state,
    forget_bias,
    gradient_reach,
    lstm_and_resnet,
    state_tracking,
)
from ostinato.lab.long_memory import CELLS, longest_solved

# Those that a quick run is enough for, or whose full run takes a second.
MEASURED = (
    "repeated_matrix",
    "nonlinearity",
    "gradient_reach",
    "forget_bias",
    "initialisation",
    "clipping",
    "lstm_and_resnet",
)
FULL = ("initialisation", "nonlinearity")


def long_memory(guessing):
    rows = []
    for cell in CELLS:
        for length in (10, 30, 60):
            solved = cell != "RNN" or length == 10
            rows.append((cell, length, 0.0 if solved else guessing, guessing, solved, 100))
    return table("cell length_steps error guessing_error is_solved updates", rows)


def tracked():
    """Nonlinear cells are right at every length, the one with signed factors to 40, the others to 4."""
    reach = {"nonlinear": 200, "signed": 40, "linear": 4, "unmixed": 4}
    return table(
        "cell recurrence network length_steps right_share",
        [
            (name, of.recurrence, network, length, 1.0 if length <= reach[of.recurrence] else 0.5)
            for name, of in state_tracking.CELLS.items()
            for network in (0, 1, 2)
            for length in state_tracking.LENGTHS
        ],
    )


def faded():
    """Those that are told of the time keep what is true; at new gaps they err, least where the memory decays."""
    off = {elapsed_time.IGNORES: (0.3, 0.6), elapsed_time.DECAYS: (0.02, 0.05)}
    rows = []
    for name in elapsed_time.WAYS:
        for tau in elapsed_time.TIME_CONSTANTS:
            for gap in elapsed_time.GAPS:
                is_new = not elapsed_time.SHORTEST_SEEN <= gap <= elapsed_time.LONGEST_SEEN
                true = math.exp(-gap / tau)
                left = 0.5 if name == elapsed_time.IGNORES else true
                rows.append((name, tau, gap, off.get(name, (0.02, 0.2))[is_new], left, left, true))
    return table(
        "network time_constant_hours gap_hours error_doses left_share unit_keeps_share true_share",
        rows,
    )


def made_up():
    """Tables with the effects, for the experiments that must train for long."""
    ways = {"teacher forcing": (0.1, 0.03), "scheduled sampling": (0.12, 0.01), "free running": (0.15, 0.02)}
    kept = {"none": 1.5, "Zaremba": 0.9, "Gal": 0.7, "zoneout": 0.8}
    harm = {"zeros": 0.2, "learned": 0.2, "noisy": 0.02}
    return {
        "truncated_bptt": table(
            "chunk_steps delay_steps right_share guessing_share kept_kib kept_at_the_end_kib",
            [(n, 10, 0.3 if n <= 10 else 0.99, 0.25, 8.0 + 9 * n, 8.0 + 9 * n) for n in (2, 4, 8, 16, 32, 64)],
        ),
        "teacher_forcing": table(
            "training steps_ahead error_fed_truth error_running_free",
            [(way, n, fed, fed + grows * n) for way, (fed, grows) in ways.items() for n in range(1, 65)],
        ),
        "dropout": table(
            "dropout update seen_nats held_out_nats",
            [(w, n, 2.0 - gap, 2.0 + gap / 2) for w, gap in kept.items() for n in (1, 2)],
        ),
        "first_state": table(
            "first_state step error error_after_wrong_start",
            [(s, n, 0.1, 0.1 + wrong * 0.7**n) for s, wrong in harm.items() for n in range(1, 41)],
        ),
        "depth": table(
            "connection layers first_layer_gradient_share loss_nats guessing_nats",
            [
                (c, n, 0.5**n if c == "plain" else 1.0, 0.1 * n if c == "plain" else 0.01, 1.39)
                for c in ("plain", "residual", "highway")
                for n in (2, 4, 8, 16)
            ],
        ),
        "adding": long_memory(tasks.ADDING.guessing),
        "copy_memory": long_memory(tasks.COPY.guessing),
        "temporal_order": long_memory(tasks.ORDER.guessing),
        "samples": table(
            "updates held_out_nats real_words_share sample",
            [(n, 2.5 - 0.3 * k, 0.2 + 0.2 * k, "word") for k, n in enumerate((100, 300, 700, 2000))],
        ),
        "state_tracking": tracked(),
        "elapsed_time": faded(),
    }


MADE_UP = made_up()
# Columns that carry the effect: with one value for all rows it is gone.
EFFECT = {
    "repeated_matrix": ["gradient_norm"],
    "nonlinearity": ["gradient_norm"],
    "gradient_reach": ["gradient_share"],
    "forget_bias": ["gradient_share"],
    "initialisation": ["gradient_share"],
    "clipping": ["turned_degrees"],
    "truncated_bptt": ["right_share"],
    "teacher_forcing": ["error_running_free"],
    "dropout": ["held_out_nats"],
    "first_state": ["error_after_wrong_start"],
    "depth": ["first_layer_gradient_share"],
    "adding": ["is_solved"],
    "copy_memory": ["is_solved"],
    "temporal_order": ["is_solved"],
    "samples": ["held_out_nats"],
    "lstm_and_resnet": ["gradient_share"],
    "state_tracking": ["right_share"],
    "elapsed_time": ["left_share"],
}
TABLES: dict[str, Table] = {}


def good(name):
    if name in MADE_UP:
        return MADE_UP[name]
    if name not in TABLES:
        TABLES[name] = find(name).run(seed=0, quick=name not in FULL).table
    return TABLES[name]


def test_every_experiment_is_here():
    assert {*MEASURED, *MADE_UP} == set(NAMES) == set(EFFECT)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_with_the_effect_bear_the_claim_out(name):
    assert find(name).judge(good(name)).reproduced


@pytest.mark.parametrize("name", NAMES)
def test_numbers_without_the_effect_do_not(name):
    flat = good(name)
    for column in EFFECT[name]:
        (value, *_) = flat.column(column)
        flat = flat.replaced(column, lambda _, value=value: value)
    assert not find(name).judge(flat).reproduced


@pytest.mark.parametrize("name", [*MADE_UP])
def test_numbers_of_the_same_shape_as_those_of_a_run_are_judged(name):
    assert find(name).run(quick=True).table.columns == MADE_UP[name].columns


# Without the effect at its source.


def test_a_forget_bias_that_is_not_set_is_told_from_one_that_is(monkeypatch):
    monkeypatch.setattr(forget_bias, "set_forget_bias", lambda cell, bias: None)
    assert not forget_bias.EXPERIMENT.run(quick=True).reproduced


def test_gates_that_are_not_opened_reach_no_farther(monkeypatch):
    monkeypatch.setattr(gradient_reach, "OPEN", 0.0)
    assert not gradient_reach.EXPERIMENT.run(quick=True).reproduced


def test_an_lstm_with_half_closed_gates_is_no_residual_network(monkeypatch):
    monkeypatch.setattr(lstm_and_resnet, "_OPEN", 0.0)
    assert not lstm_and_resnet.EXPERIMENT.run(quick=True).reproduced


def test_clipping_that_turns_the_gradient_is_found_out(monkeypatch):
    clip = clipping.clip

    def by_value_always(parameters, *, norm=None, value=None):
        return clip(parameters, value=norm or value)

    monkeypatch.setattr(clipping, "clip", by_value_always)
    assert not clipping.EXPERIMENT.run(quick=True).reproduced


@pytest.mark.parametrize(("module", "ways"), [(dropout, "WAYS"), (first_state, "STARTS")])
def test_an_option_that_is_none_shows_nothing(monkeypatch, module, ways):
    neutral = next(iter(getattr(module, ways).values()))
    monkeypatch.setattr(module, ways, dict.fromkeys(getattr(module, ways), neutral))
    assert not module.EXPERIMENT.run(quick=True).reproduced


def test_chunks_that_learn_beyond_their_end_are_found_out():
    learnt = MADE_UP["truncated_bptt"].replaced("right_share", lambda share: max(share, 0.5))
    assert not find("truncated_bptt").judge(learnt).reproduced


def test_memory_that_grows_with_the_text_is_found_out():
    grown = MADE_UP["truncated_bptt"].replaced("kept_at_the_end_kib", lambda kept: 2 * kept)
    assert not find("truncated_bptt").judge(grown).reproduced


def test_the_longest_solved_length_ends_at_the_first_that_is_not():
    rows = [("RNN", n, 0.0, 1.0, solved, 1) for n, solved in ((10, True), (20, False), (40, True))]
    measured = table(
        "cell length_steps error guessing_error is_solved updates", [*rows, ("GRU", 10, 1.0, 1.0, False, 1)]
    )
    assert longest_solved(measured) == {"RNN": 10, "GRU": 0}


# What a claim says of one of several things, taken away from that one alone.


def like(name, column, like_whom, **whose):
    """The table of an experiment, in which a column of some rows is that of others."""
    measured = good(name)
    others = iter(measured.where(**like_whom).column(column))
    at, where = measured.columns.index(column), [(measured.columns.index(key), value) for key, value in whose.items()]
    return Table(
        measured.columns,
        tuple(
            (*row[:at], next(others), *row[at + 1 :]) if all(row[n] == v for n, v in where) else row
            for row in measured.rows
        ),
    )


@pytest.mark.parametrize(
    ("name", "column", "like_whom", "whose"),
    [
        *(
            ("initialisation", "gradient_share", {"start": lost}, {"start": kept})
            for kept, lost in (
                ("Xavier", "torch"),
                ("orthogonal", "torch"),
                ("identity", "orthogonal"),  # what orthogonal leaves is not what the claim calls kept
                ("He", "orthogonal"),
                ("LSTM, chrono", "orthogonal"),
                ("torch", "Xavier"),
            )
        ),
        ("repeated_matrix", "gradient_norm", {"network": "at rest"}, {"network": "driven"}),
        ("forget_bias", "gradient_share", {"forget_bias": 0.0}, {"forget_bias": 1.0}),
        ("forget_bias", "gradient_share", {"forget_bias": 1.0}, {"forget_bias": 2.0}),
        (
            "nonlinearity",
            "gradient_norm",
            {"nonlinearity": "sigmoid", "gain": 1.0},
            {"nonlinearity": "tanh", "gain": 1.0},
        ),
        ("nonlinearity", "state_norm", {"nonlinearity": "tanh", "gain": 2.0}, {"nonlinearity": "relu", "gain": 2.0}),
        ("lstm_and_resnet", "gradient_share", {"network": "LSTM, f = 0.5"}, {"network": "LSTM, f = 1"}),
        ("depth", "loss_nats", {"connection": "plain"}, {"connection": "residual"}),
        ("depth", "first_layer_gradient_share", {"connection": "plain"}, {"connection": "highway"}),
        *(("dropout", "held_out_nats", {"dropout": "none"}, {"dropout": way}) for way in ("Zaremba", "Gal", "zoneout")),
        *(("adding", "is_solved", {"cell": "RNN"}, {"cell": cell}) for cell in ("GRU", "LSTM")),
        ("copy_memory", "is_solved", {"cell": "RNN"}, {"cell": "LSTM"}),
        *(("temporal_order", "is_solved", {"cell": "RNN"}, {"cell": cell}) for cell in ("GRU", "LSTM")),
        (
            "teacher_forcing",
            "error_running_free",
            {"training": "teacher forcing"},
            {"training": "scheduled sampling"},
        ),
        *(("state_tracking", "right_share", {"cell": "minGRU"}, {"cell": cell}) for cell in ("RNN", "LSTM", "sLSTM")),
        *(("state_tracking", "right_share", {"cell": "RNN"}, {"cell": cell}) for cell in ("minGRU", "minLSTM", "LRU")),
        ("state_tracking", "right_share", {"cell": "minGRU"}, {"cell": "signed minGRU"}),
        *(
            ("elapsed_time", column, {"network": elapsed_time.IGNORES}, {"network": name})
            for column in ("error_doses", "left_share")
            for name in elapsed_time.WAYS
            if name != elapsed_time.IGNORES
        ),
        ("elapsed_time", "error_doses", {"network": elapsed_time.READS}, {"network": elapsed_time.DECAYS}),
        ("first_state", "error_after_wrong_start", {"first_state": "zeros"}, {"first_state": "noisy"}),
    ],
)
def test_every_part_of_a_claim_is_looked_at(name, column, like_whom, whose):
    assert not find(name).judge(like(name, column, like_whom, **whose)).reproduced


def test_a_gradient_that_grows_through_open_gates_is_told():
    measured = good("gradient_reach")
    assert "grows" not in gradient_reach.judge(measured).first
    at = measured.columns.index("gradient_share")
    rows = ((*row[:at], 12.0, *row[at + 1 :]) if row[:2] == ("LSTM", "open") else row for row in measured.rows)
    assert "in the LSTM it grows to 12 times" in gradient_reach.judge(Table(measured.columns, tuple(rows))).first
