import pytest
import torch

from ostinato.insight import doctor
from ostinato.insight.diagnosis.simpler import direction
from ostinato.nn import LSTM

NAME = "worse than a simpler model"


def diagnosed(figures, baselines):
    torch.manual_seed(0)
    found = doctor(
        LSTM(3, 4), torch.randn(5, 2, 3), lambda m, x: m(x)[0].square().mean(), figures=figures, baselines=baselines
    )
    return found, [each for each in found if each.name == NAME]


@pytest.mark.parametrize(
    ("figures", "baselines", "loses_to"),
    [
        ({"bits_per_character": 2.833}, {"Markov, order 3": {"bits_per_character": 2.734}}, "Markov, order 3"),
        ({"bits_per_character": 2.7}, {"Markov, order 3": {"bits_per_character": 2.734}}, None),
        ({"accuracy": 0.77}, {"majority": {"accuracy": 0.5}, "naive Bayes": {"accuracy": 0.82}}, "naive Bayes"),
        ({"accuracy": 0.9, "macro_f1": 0.1}, {"majority": {"accuracy": 0.8, "macro_f1": 0.2}}, None),
        (
            {"skill": 0.1, "coverage_90": 0.9, "mae": 2.9},
            {"seasonal_naive": {"mae": 0.0, "coverage_90": 1}},
            "seasonal",
        ),
        ({"accuracy": 0.5}, {"prior": {"accuracy": 0.5}}, None),
        ({"coverage_90": 0.1}, {"last_value": {"coverage_90": 0.9}}, None),  # which of them is better nobody knows
        ({"accuracy": 0.5}, {"prior": {"accuracy": None}, "other": {}}, None),
    ],
)
def test_a_simpler_model_that_does_better_is_named(figures, baselines, loses_to):
    found, mine = diagnosed(figures, baselines)
    assert NAME in found.checked
    assert len(mine) == (loses_to is not None)
    if loses_to is not None:
        assert loses_to in mine[0].evidence
        assert "train longer" in mine[0].remedy


@pytest.mark.parametrize("given", [({}, {}), (None, None), ({"accuracy": 0.5}, {})])
def test_without_figures_it_says_that_it_did_not_look(given):
    found, mine = diagnosed(*given)
    assert not mine
    assert NAME in found.unchecked


def test_every_figure_of_a_task_has_the_better_end_that_it_has():
    assert {direction(name) for name in ("accuracy", "f1", "span_f1", "bleu", "chrf", "exact_match", "skill")} == {1}
    assert {direction(name) for name in ("calibration_error", "mae", "crps", "perplexity", "nats_per_token")} == {-1}
    assert direction("coverage_90") == direction("frobenius") == 0
