"""Whole models as C, step by step beside the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ostinato
from ostinato.errors import ConfigError
from ostinato.exporting.c import write_c
from ostinato.exporting.c.models import network_of
from ostinato.models import LanguageModel
from ostinato.models.classifying.classifier import Classifier
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.scale import fill_forward
from ostinato.models.forecasting.windows import SeriesBatch
from ostinato.models.tagging.tagger import Tagger
from ostinato.models.tagging.words import WordEncoder
from tests.exporting.c.compiled import compiled
from tests.models.support import LETTERS, V

TOKENS = torch.tensor([3, 1, 4, 1, 0, 5, 2, 2, 5, 3])
T = len(TOKENS)
NAN = float("nan")


def language_model(**how: Any) -> LanguageModel:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"embedding_size": 6, "hidden_size": 6, "num_layers": 2, "dropout": 0.3} | how
    return LanguageModel(LETTERS, **arguments).eval()


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("tied", [False, True])
def test_a_language_model(tied: bool, weights: str, tmp_path: Path) -> None:
    model = language_model(tied=tied, embedding_dropout=0.2)
    got = compiled(model, tmp_path, weights=weights)(TOKENS)
    with torch.no_grad():
        want, _ = model(TOKENS[:, None])
    if weights == "float32":
        torch.testing.assert_close(got, want[:, 0], atol=1e-5, rtol=1e-5)
    else:
        report = write_c(model, "net", tmp_path, weights="int8", inputs=TOKENS, force=True)
        assert report.error is not None
        assert float((got - want[:, 0]).abs().max()) <= report.error.largest + 1e-5
    text = (tmp_path / "net.c").read_text()
    assert ("output_weight[" in text) != tied, "weights that are tied are there once"


def test_a_token_that_there_is_not_is_the_first_one(tmp_path: Path) -> None:
    run = compiled(language_model(), tmp_path)
    torch.testing.assert_close(run(torch.tensor([-1, V, 1])), run(torch.tensor([0, 0, 1])), atol=0.0, rtol=0.0)


def classifier(**how: Any) -> Classifier:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"input_size": 4, "cell": "gru", "hidden_size": 7} | how
    model = Classifier(3, **arguments).eval()
    model.scales.fill_(0.7)
    return model


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_a_classifier_says_after_each_step_what_a_sequence_that_ends_there_is(
    pooling: str, weights: str, tmp_path: Path
) -> None:
    model, x = classifier(pooling=pooling, dropout=0.2, num_layers=2), torch.randn(T, 4)
    with torch.no_grad():
        want = torch.cat([model(x[:end, None]) for end in range(1, T + 1)])
    got = compiled(model, tmp_path, weights=weights)(x)
    if weights == "float32":
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    else:
        report = write_c(model, "net", tmp_path, weights="int8", inputs=[x], force=True)
        assert report.error is not None
        assert 0 < float((got - want).abs().max()) <= report.error.largest + 1e-5


def test_a_classifier_of_tokens(tmp_path: Path) -> None:
    model = classifier(input_size=None, vocabulary_size=6, embedding_size=5, pooling="max")
    with torch.no_grad():
        want = torch.cat([model(TOKENS[:end, None]) for end in range(1, T + 1)])
    torch.testing.assert_close(compiled(model, tmp_path)(TOKENS), want, atol=1e-5, rtol=1e-5)


def test_probabilities_and_the_best(tmp_path: Path) -> None:
    model, x = classifier(), torch.randn(T, 4)
    scores = compiled(model, tmp_path / "scores")(x)
    after = "net_probabilities(y);"
    found = compiled(model, tmp_path / "probabilities", after=after)(x)
    torch.testing.assert_close(found, scores.softmax(1), atol=1e-6, rtol=1e-5)
    best = compiled(model, tmp_path / "best", after="y[0] = (float)net_best(y);")(x)
    assert best[:, 0].tolist() == scores.argmax(1).tolist()


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_a_tagger_of_frames(output: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Tagger(nn.Embedding(6, 5), 4, hidden_size=6, bidirectional=False, output=output).eval()
    with torch.no_grad():
        want = model(TOKENS[:, None])[:, 0]
    torch.testing.assert_close(compiled(model, tmp_path)(TOKENS), want, atol=1e-5, rtol=1e-5)
    assert ("CRF" in (tmp_path / "net.h").read_text()) == (output == "crf"), "which scores they are is told"


SERIES: dict[str, dict[str, Any]] = {
    "student-t": {},
    "gaussian, lags": {"head": "gaussian", "lags": (3, 5), "limit": 2.0},
    "quantiles": {"head": "quantiles", "levels": (0.1, 0.5, 0.8)},
    "seasonal_naive": {"baseline": "seasonal_naive", "season": 4},
    "seasonal_change": {"baseline": "seasonal_change", "season": 3, "cell": "gru"},
    "season_mean": {"baseline": "season_mean", "season": 5},
    "covariates": {"known_size": 2, "observed_size": 1, "num_series": 3, "series_size": 2, "lags": (2,)},
}


@pytest.mark.parametrize("past", [9, 0])
@pytest.mark.parametrize("name", SERIES)
def test_a_forecaster_of_one_step(name: str, past: int, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = Forecaster(hidden_size=6, **SERIES[name]).eval()
    nn.init.normal_(model.output.bias)
    values = 100 + 5 * torch.randn(past + 1).cumsum(0)
    values[2:4], values[-1] = NAN, NAN  # the last is the one to come
    known, observed = torch.randn(past + 1, model.known_size), torch.randn(past + 1, model.observed_size)
    known[1:2], observed[3:4] = NAN, NAN
    before = torch.cat([values.new_full((1,), NAN), values[:-1]])
    seen = torch.cat([observed.new_full((1, model.observed_size), NAN), observed[:-1]])
    more = {"past": values[:past], "known": known, "observed": seen, "series": torch.full((past + 1,), 2)}
    run = compiled(model, tmp_path)
    names = {a.reading for a in network_of(model, "net", "float32").arguments} | {"past"}
    if past == 0:
        more["past"] = torch.zeros(0)
    got = run(before, {n: v for n, v in more.items() if n in names})
    if past:
        batch = SeriesBatch(
            values[:, None],
            None,
            torch.tensor([past + 1]),
            torch.zeros(1),
            past=torch.tensor([past]),
            known=known[:, None] if model.known_size else None,
            observed=observed[:, None] if model.observed_size else None,
            series=torch.tensor([2]),
        )
        torch.testing.assert_close(got, said(model, batch), atol=1e-4, rtol=1e-5)
    else:
        assert got.isfinite().all()


def said(model: Any, batch: SeriesBatch) -> Tensor:
    """What the model says of each step of one window, in the unit of the series."""
    with torch.no_grad():
        z, scale = model.scaled(batch)
        filled, is_there = fill_forward(z)
        baseline = model.baseline.of_window(filled, is_there, batch.past)
        x = model._inputs(batch, filled, is_there, baseline, batch.series)
        raw = model.output(model.recurrent(x)[0])[:, 0]
    start = torch.tensor(0.3).expm1().log()
    if model.head.size == 3 and hasattr(model.head, "levels"):
        return scale.centre + scale.width * (baseline + model.head.quantiles(raw))
    found = [scale.centre + scale.width * (baseline + raw[:, :1])]
    found.append(scale.width * (F.softplus(raw[:, 1:2] + start) + 1e-3))
    found += [2 + F.softplus(raw[:, 2:] + 3)] if model.head.size == 3 else []
    return torch.cat(found, 1)


class Shouting(ostinato.LSTM):
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output, states = super().forward(*args, **kwargs)
        return 10 * output, states


def test_what_has_no_c_is_told(tmp_path: Path) -> None:
    cases: dict[str, nn.Module] = {
        "got a bidirectional one": classifier(bidirectional=True),
        "without naive_bayes": classifier(input_size=None, vocabulary_size=6, naive_bayes=[]),
        "got WordEncoder": Tagger(WordEncoder([1, 2], 5), 3, bidirectional=False).eval(),
        "in training mode": language_model().train(),
        "ostinato.convert": nn.LSTM(3, 4).eval(),
        "got Linear": nn.Linear(3, 4).eval(),
        "the single step LSTMCell": ostinato.LSTMCell(3, 4).eval(),
        "whose `forward` is another": Shouting(3, 4).eval(),
        "without max_norm": Tagger(nn.Embedding(6, 5, max_norm=1.0), 4, bidirectional=False).eval(),
        "device meta, and has no numbers": ostinato.GRU(3, 4, device="meta").eval(),
        "recurrent layers of ostinato, got torch.nn.modules.rnn.LSTM": ostinato.to_torch(language_model()),
    }
    for said, module in cases.items():
        with pytest.raises(ConfigError, match=said):
            write_c(module, "net", tmp_path)
    assert not list(tmp_path.iterdir())
