"""Models one step at a time say what they say of the whole sequence so far."""

from __future__ import annotations

import copy
import pickle
import types
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import scipy.stats
import torch

import ostinato
from ostinato import Stream
from ostinato.data import CharVocabulary
from ostinato.errors import ConfigError, StateError
from ostinato.exporting.c import write_c
from ostinato.models import (
    Classifier,
    Forecaster,
    LanguageModel,
    SeriesBatch,
    Tagger,
    WordEncoder,
    Words,
    uniform_numbers,
)
from ostinato.models.parts.model_stream import ModelStream
from ostinato.models.text.text_stream import TokenStream
from ostinato.nn import CRF, span_constraints

V, INPUTS, C, T, N = 11, 3, 4, 9, 5


def settled(model: Any) -> Any:
    """With weights that are all drawn, so that nothing is zero by chance of the start."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.7, 0.7)
    return model


# language models


LANGUAGE: dict[str, dict[str, Any]] = {
    "lstm": {},
    "two layers, tied": {"num_layers": 2, "tied": True, "embedding_size": 12, "hidden_size": 12},
    "widths, dropout": {
        "hidden_size": [20, 12],
        "num_layers": 2,
        "dropout": 0.5,
        "locked_dropout": True,
        "input_dropout": 0.5,
    },
    "learned": {"cell": "gru", "options": {"initial_state": "learned"}},
    "no code": {"cell": "mlstm"},
}


def language_model(**arguments: Any) -> LanguageModel:
    given = {"embedding_size": 8, "hidden_size": 12, **arguments}
    return settled(LanguageModel(CharVocabulary("abcdefghi\n"), **given))


@pytest.mark.parametrize("arguments", LANGUAGE.values(), ids=LANGUAGE)
def test_a_language_model_says_what_comes_next(arguments: dict[str, Any]) -> None:
    model = language_model(**arguments)
    tokens = torch.randint(0, len(model.vocabulary), (T, N))
    with model.reading():
        want = model(tokens)[0]
    one, rows = Stream(model), Stream(model, rows=N)
    assert isinstance(one, TokenStream)
    for t in range(T):
        torch.testing.assert_close(one(int(tokens[t, 0])), want[t, 0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(rows(tokens[t]), want[t], rtol=1e-5, atol=1e-5)
    assert model.training  # as it was


def test_a_text_stream_can_be_called() -> None:
    model = language_model()
    text = model.stream("abc", 5, seed=1)
    logits = text(3)
    assert torch.equal(logits, Stream(model)(3))
    assert "".join(text) == model.generate("abc", 5, seed=1)
    text.close()


def test_text_is_what_the_scores_say() -> None:
    model = language_model()
    text = model.generate("abc", 40, temperature=0)
    stream = Stream(model)
    logits, want = stream.read("abc"), ""
    for _ in range(40):
        token = int(logits.argmax())
        want += model.vocabulary.decode([token])
        logits = stream(token)
    assert text == want


def test_text_of_a_model_that_cannot_be_streamed() -> None:
    model = language_model(num_layers=2, options={"connection": "highway"})
    with pytest.raises(ConfigError, match="highway"):
        Stream(model)
    assert len(model.generate("abc", 20, seed=0)) == 20


def test_text_goes_on_while_the_model_learns() -> None:
    model, other = language_model(), language_model()
    pieces = model.stream("abc", 6, temperature=0)
    next(pieces)
    with torch.no_grad():
        model.output.bias.copy_(torch.eye(len(model.vocabulary))[4] * 1e4)
    assert "".join(pieces) == model.vocabulary.decode([4]) * 5
    assert other.generate("abc", 3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.int8])
def test_weights_of_fewer_bits(dtype: torch.dtype) -> None:
    model = language_model(num_layers=2)
    exact, rounded = Stream(model), Stream(model, dtype)
    assert rounded.streaming_dtype is dtype
    assert rounded.weight_bytes < 0.75 * exact.weight_bytes
    report = rounded.measure_error(torch.randint(0, V, (50,)))
    assert 0 < report.outputs < 0.1
    torch.testing.assert_close(rounded(3), exact(3), rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (V, f"tokens expected numbers from 0 to {V - 1}, got {V}"),
        (-1, "tokens expected numbers from 0 to"),
        (torch.tensor(V), f"got {V} to {V}"),
        (1.5, "tokens expected 1 whole numbers"),
        ([1, 2], "tokens expected 1 whole numbers"),
        ("a", "input expected numbers, got str"),
        (None, "input expected numbers, got NoneType"),
        (True, "tokens expected 1 whole numbers"),
    ],
)
def test_what_is_no_token(given: Any, message: str) -> None:
    stream = Stream(language_model())
    before = stream.state_bytes()
    with pytest.raises(ConfigError, match=message):
        stream(given)
    assert stream.state_bytes() == before


# classifiers


CLASSIFIERS: dict[str, Callable[[], Classifier]] = {
    **{
        f"{pooling}, {what}": lambda pooling=pooling, more=more: Classifier(C, hidden_size=6, pooling=pooling, **more)
        for pooling, (what, more) in product(
            ["last", "mean", "max", "attention"],
            {
                "tokens": {"vocabulary_size": V, "num_layers": 2},
                "vectors": {"input_size": INPUTS, "dropout": 0.3},
            }.items(),
        )
    },
    "naive bayes": lambda: Classifier(C, vocabulary_size=V, hidden_size=6, naive_bayes=[7, 5]),
}


def with_counts(model: Classifier) -> Classifier:
    settled(model)
    if (bayes := model.naive_bayes) is not None:
        bayes.counts.copy_(torch.randint(0, 9, bayes.counts.shape))
        for n, size in enumerate(bayes.runs, start=2):
            bayes.get_buffer(f"keys_{n}").copy_(torch.randperm(V**n)[:size].sort().values)
        bayes.prior.uniform_()
        model.scales.copy_(torch.tensor([0.3, 0.6]))
    return model.eval()


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_classifier_decides_while_the_sequence_comes(make: Callable[[], Classifier]) -> None:
    model = with_counts(make())
    x = torch.randint(0, 3, (T, N)) if model.embedding is not None else torch.randn(T, N, INPUTS)
    one, rows = Stream(model), model.stream(rows=N)
    for t in range(T):
        with torch.no_grad():
            want = model(x[: t + 1])
        torch.testing.assert_close(one(x[t, 0]), want[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(rows(x[t]), want, rtol=1e-5, atol=1e-5)


def test_attention_does_not_overflow() -> None:
    model = with_counts(Classifier(C, input_size=INPUTS, hidden_size=6, pooling="attention"))
    with torch.no_grad():
        model.pooling.query.weight.mul_(1e4)
    x, stream = torch.randn(T, INPUTS) * 100, Stream(model)
    for t in range(T):
        with torch.no_grad():
            torch.testing.assert_close(stream(x[t]), model(x[: t + 1, None])[0], rtol=1e-5, atol=1e-5)


def test_both_directions_cannot_be_streamed() -> None:
    with pytest.raises(ConfigError, match="one direction"):
        Stream(Classifier(C, input_size=INPUTS, bidirectional=True))


# taggers


def tagger(output: str = "softmax", **more: Any) -> Tagger:
    encoder = more.pop("encoder", torch.nn.Embedding(V, 5))
    return settled(Tagger(encoder, 5, hidden_size=6, bidirectional=False, output=output, **more)).eval()


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_a_tagger_tags_each_step(output: str) -> None:
    model = tagger(output)
    x = torch.randint(0, V, (T, N))
    one, rows = Stream(model), model.stream(rows=N)
    with torch.no_grad():
        want = model(x)
    assert rows.best().tolist() == [0] * N
    for t in range(T):
        torch.testing.assert_close(one(x[t, 0]), want[t, 0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(rows(x[t]), want[t], rtol=1e-5, atol=1e-5)
        best = want[t].argmax(-1) if output == "softmax" else last_of_best_paths(model.crf, want[: t + 1])
        assert rows.best().tolist() == best.tolist()
        assert int(one.best()) == int(best[0])


def last_of_best_paths(crf: CRF, emissions: torch.Tensor) -> torch.Tensor:
    """By the decoder of whole sequences, whose end costs nothing."""
    crf = copy.deepcopy(crf)
    with torch.no_grad():
        crf.end.zero_()
    return crf.viterbi(emissions).tags[-1]


def test_constraints_hold_in_a_stream() -> None:
    constraints = span_constraints(["O", "B-a", "I-a", "B-b", "I-b"])
    model = tagger("crf", constraints=constraints)
    with torch.no_grad():
        model.output.bias.copy_(torch.tensor([0.0, 0.0, 50.0, 0.0, 49.0]))  # it would rather be inside all the time
    stream, tags = Stream(model), []
    for token in torch.randint(0, V, (T,)):
        stream(token)
        tags.append(int(stream.best()))
    assert tags[0] != 2
    assert not bool(constraints.start[tags[0]])


def test_words_one_by_one() -> None:
    model = tagger(encoder=WordEncoder([1, 2, 3], 7, embedding_size=4, character_hidden_size=3))
    spellings, lengths = torch.randint(0, 7, (4, 6)), torch.tensor([4, 1, 2, 3, 4, 2])
    ids, places = torch.randint(0, 3, (T, N)), torch.randint(0, 6, (T, N))
    with torch.no_grad():
        want = model(Words(ids, spellings, lengths, places))
    rows, one = Stream(model, rows=N), Stream(model)
    for t in range(T):
        got = rows(Words(ids[t : t + 1], spellings, lengths, places[t : t + 1]))
        torch.testing.assert_close(got, want[t], rtol=1e-5, atol=1e-5)
        alone = one(Words(ids[t : t + 1, :1], spellings, lengths, places[t : t + 1, :1]))
        torch.testing.assert_close(alone, want[t, 0], rtol=1e-5, atol=1e-5)


# forecasters


FORECASTERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gaussian, season mean": {"head": "gaussian", "baseline": "season_mean", "season": 4},
    "quantiles, lags": {"head": "quantiles", "lags": [3, 7], "limit": 2.0, "num_layers": 2},
    "seasonal change, covariates": {
        "baseline": "seasonal_change",
        "season": 3,
        "known_size": 2,
        "observed_size": 1,
        "num_series": 4,
    },
}


def forecaster(**arguments: Any) -> Forecaster:
    return settled(Forecaster(hidden_size=6, **arguments)).eval()


def series(model: Forecaster, length: int) -> dict[str, torch.Tensor]:
    values = torch.randn(length).cumsum(0) + 5
    values[4] = torch.nan
    made = {"values": values, "known": torch.randn(length, model.known_size)}
    return made | {"observed": torch.randn(length, model.observed_size)}


@pytest.mark.parametrize("arguments", FORECASTERS.values(), ids=FORECASTERS)
@pytest.mark.parametrize("rows", [None, 3])
def test_a_forecast_goes_on_from_where_the_stream_is(arguments: dict[str, Any], rows: int | None) -> None:
    """Where the scale of the past stays, a stream that has read on forecasts as a model that has read all of it at once."""
    model, T, more, H = forecaster(**arguments), 15, 6, 5
    data = series(model, T + more)
    future = torch.randn(H, model.known_size)
    stream = Stream(model, rows=rows)
    which = {} if rows is None else {"row": 1}
    chosen = 2 if model.num_series > 1 else 0
    stream.begin(
        data["values"][:T],
        known=data["known"][:T],
        observed=data["observed"][:T],
        series=chosen,
        least_scale=0.1,
        **which,
    )
    for t in range(T, T + more):
        raw = stream(data["values"][t], *([1] if rows else []), known=data["known"][t], observed=data["observed"][t])
        assert raw.shape == (model.head.size,)
    arguments_of_one = {} if rows is None else {"rows": 1}
    got = stream.forecast(H, future=future if model.known_size else None, samples=7, seed=3, **arguments_of_one)
    batch = SeriesBatch(
        input=data["values"][:, None],
        target=data["values"][:, None],
        lengths=torch.tensor([T + more]),
        rows=torch.tensor([0]),
        past=torch.tensor([T + more]),
        known=data["known"][:, None],
        observed=data["observed"][:, None],
        series=torch.tensor([chosen]),
        least_scale=torch.tensor([0.1]),
    )
    want = whole(model, batch, T, future[:, None], H, uniform_numbers(H, 7, 3))
    torch.testing.assert_close(got, want[:, 0], rtol=1e-4, atol=1e-4)


def whole(
    model: Forecaster, batch: SeriesBatch, scaled_by: int, future: torch.Tensor, horizon: int, uniform: torch.Tensor
) -> torch.Tensor:
    """`model.sample` of a window whose scale, and whose means over seasons, are those of its first steps."""
    from ostinato.models.forecasting.baseline import Baseline
    from ostinato.models.forecasting.scale import Scale

    scale = Scale.of(batch.input, torch.tensor([scaled_by]), batch.least_scale)
    turned = (len(batch.input) - scaled_by) % model.baseline.season

    class Fixed(Baseline):
        def means(self, filled: Any, is_there: Any, past: Any) -> Any:
            found = super().means(filled, is_there, torch.tensor([scaled_by]))
            return None if found is None else found.roll(-turned, 0)

        def of_window(self, filled: Any, is_there: Any, past: Any) -> Any:
            return Baseline.of_window(Baseline(self.name, self.season), filled, is_there, torch.tensor([scaled_by]))

    model = copy.deepcopy(model)
    model.baseline = Fixed(model.baseline.name, model.baseline.season)
    model.scaled = lambda batch: (scale.apply(batch.input), scale)
    with torch.no_grad():
        return model.sample(batch, future if model.known_size else None, horizon, uniform)


def test_what_was_said_of_a_value_is_what_training_compares_it_with() -> None:
    model, T, more = forecaster(head="gaussian", baseline="seasonal_naive", season=3), 12, 5
    values = series(model, T + more)["values"]
    stream = Stream(model)
    stream.begin(values[:T])
    location, scale = torch.stack([stream(v) for v in values[T:]]).unbind(1)
    batch = SeriesBatch(
        input=values[:, None],
        target=values[:, None],
        lengths=torch.tensor([T + more]),
        rows=torch.tensor([0]),
        past=torch.tensor([T]),
    )
    with torch.no_grad():
        loss, _ = model.loss(batch)
    density = torch.distributions.Normal(location, scale).log_prob(values[T:])
    torch.testing.assert_close(-density.mean(), loss + model.scaled(batch)[1].width.log()[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("head", ["student-t", "quantiles"])
def test_what_is_said_of_a_value_are_the_quantiles_of_its_forecast(head: str) -> None:
    model = forecaster(head=head)
    stream = Stream(model)
    stream.begin(series(model, 20)["values"])
    paths = stream.forecast(1, samples=4000)[0]
    said = stream(0.0)
    if head == "quantiles":
        want = paths.quantile(torch.tensor([0.05, 0.5, 0.95]))
        got = said[[model.head.levels.index(level) for level in (0.05, 0.5, 0.95)]]
        torch.testing.assert_close(got, want, rtol=0.02, atol=0.02)
    else:
        location, scale, freedom = said.tolist()
        assert float(paths.median()) == pytest.approx(location, abs=0.05 * scale)
        inner = float(((paths - location).abs() < scale).float().mean())
        expected = 2 * float(scipy.stats.t.cdf(1.0, freedom)) - 1
        assert inner == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.forecast(3), r"call begin\(past\) first"),
        (lambda s: s(1.0, known=[1.0]), r"call begin\(past\) first"),
        (lambda s: s.begin([]), r"past expected finite values \(T,\), T at least 1"),
        (lambda s: s.begin([1.0, 2.0]), r"known expected covariates \(2, 1\), got none"),
        (lambda s: s.begin([1.0, 2.0], known=[[1.0]]), r"known expected covariates \(2, 1\), got \(1, 1\)"),
        (lambda s: s.begin([1.0], known=[[1.0]], series=9), "series expected a number from 0 to"),
        (lambda s: begun(s)(2.0), r"known expected covariates \(1, 1\), got none"),
        (lambda s: begun(s)([2.0, 3.0], known=[1.0]), r"input expected 1 finite values, .* got the shape \(2,\)"),
        (lambda s: begun(s).forecast(0), "horizon expected a whole number of at least 1, got 0"),
        (lambda s: begun(s).forecast(1, samples=2.5), "samples expected a whole number of at least 1, got 2.5"),
        (lambda s: begun(s).forecast(1, seed=None), "seed expected a whole number, got None"),
        (lambda s: s.begin([1.0, float("inf")]), "past expected finite values"),
        (lambda s: s.begin("abc"), "past expected numbers, got str"),
        (lambda s: s.begin([1.0], known=[[1.0]], least_scale=-1.0), "least_scale expected a number of at least 0"),
        (lambda s: s.begin([1.0], known=[[1.0]], row=None), "row expected the number of one row, got None"),
        (lambda s: s.measure_error([1.0]), r"stream.layers.measure_error\(x\)"),
        (lambda s: begun(s).forecast(2), r"future expected covariates \(2, 1\), got none"),
        (lambda s: begun(s).forecast(2, future=[[1.0]]), r"future expected covariates \(2, 1, 1\)"),
    ],
)
def test_wrong_calls_of_a_forecast_stream(call: Callable[[Any], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call(Stream(forecaster(known_size=1)))


def begun(stream: Any) -> Any:
    stream.begin([1.0, 3.0], known=[[1.0], [2.0]])
    return stream


# what all have


MODELS: dict[str, Callable[[], Any]] = {
    "language model": language_model,
    "classifier": CLASSIFIERS["mean, tokens"],
    "naive bayes": lambda: with_counts(CLASSIFIERS["naive bayes"]()),
    "tagger": lambda: tagger("crf"),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_rows_that_come_and_go(make: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    model = make().eval()
    rows: ModelStream = Stream(model, rows=N)
    alone = [Stream(model) for _ in range(N)]
    for which in ([3, 0], [0], [4, 1, 2, 0], [], [3, 2]):
        tokens = torch.randint(0, 3, (len(which),))
        got = rows(tokens, which)
        assert len(got) == len(which)
        for at, row in enumerate(which):
            torch.testing.assert_close(got[at], alone[row](int(tokens[at])), rtol=1e-6, atol=1e-6)
    rows.reset([0])
    rows.grow(N + 3)
    fresh = Stream(model)(1)
    torch.testing.assert_close(
        rows(torch.tensor([1, 1]), [0, N + 2]), torch.stack([fresh, fresh]), rtol=1e-6, atol=1e-6
    )
    torch.testing.assert_close(rows(1, 3), alone[3](1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_session_as_bytes(make: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    model = make().eval()
    stream, rows = Stream(model), Stream(model, rows=3)
    for token in (1, 2, 0, 2):
        stream(token)
    data, other = stream.state_bytes(), stream.copy()
    rows.from_bytes(data, 2)
    assert rows.state_bytes(2) == data
    want = stream(1)
    torch.testing.assert_close(rows(1, 2), want, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(other(1), want, rtol=0, atol=0)
    stream.reset()
    assert stream.state_bytes() == Stream(model).state_bytes()
    with pytest.raises(StateError, match="checksum"):
        stream.from_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(StateError, match="expected the state of"):
        stream.from_bytes(Stream(model.recurrent.eval()).state_bytes())
    with pytest.raises(ConfigError, match="row expected 0"):
        stream.state_bytes(1)


def test_a_forecast_session_as_bytes() -> None:
    model = forecaster(baseline="season_mean", season=3)
    stream, rows = Stream(model), Stream(model, rows=2)
    stream.begin(torch.arange(9.0))
    stream(2.0)
    rows.from_bytes(stream.state_bytes(), 1)
    assert torch.equal(rows.forecast(4, rows=1), stream.forecast(4))


def test_a_stream_of_one_row_has_no_others() -> None:
    stream = Stream(language_model())
    with pytest.raises(ConfigError, match="rows expected None, as this is a stream of one row"):
        stream(1, 0)
    with pytest.raises(ConfigError, match="grow expected a stream of several rows"):
        stream.grow(3)
    with pytest.raises(ConfigError, match="output expected None beside a model"):
        Stream(language_model(), output=torch.nn.Linear(12, 3))


ALL: dict[str, Callable[[], Any]] = {**MODELS, "forecaster": lambda: forecaster(baseline="season_mean", season=3)}


def stepped(stream: Any, input: Any) -> torch.Tensor:
    if hasattr(stream, "begin"):
        stream.begin(torch.arange(7.0, device="cpu"), **({} if stream.rows is None else {"row": 0}))
        return stream(float(input), *([] if stream.rows is None else [0]))
    return stream(input) if stream.rows is None else stream(torch.tensor([input], device="cpu"), [0])[0]


@pytest.mark.parametrize("rows", [None, 2])
@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_streams_of_models_wherever_they_are_made(make: Callable[[], Any], rows: int | None) -> None:
    model = make()
    want = stepped(Stream(model, rows=rows), 1)
    with torch.inference_mode():
        stream = Stream(model, rows=rows)
        torch.testing.assert_close(stepped(stream, 1), want)
        stream.reset()
    torch.testing.assert_close(stepped(stream, 1), want)
    with torch.autocast("cpu", torch.bfloat16):
        stream.reset()
        torch.testing.assert_close(stepped(stream, 1), want)
    with torch.device("meta"):
        stream.reset()
        torch.testing.assert_close(stepped(stream, 1), want)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_copies_of_streams_of_a_model_that_trains(make: Callable[[], Any], again: Callable[[Any], Any]) -> None:
    model = make().train()
    stream = Stream(model, rows=2)
    stepped(stream, 1)
    other, before = again(stream), stream.state_bytes(0)
    stepped(other, 2)
    assert stream.state_bytes(0) == before
    other = again(stream)
    torch.testing.assert_close(stepped(other, 2), stepped(stream, 2))
    assert model.training


def test_parts_of_a_model_that_are_replaced_are_followed() -> None:
    model, other = language_model(), language_model(hidden_size=12)
    stream, rows = Stream(model), Stream(model, rows=2)
    stream(1), rows([1, 2])
    model.output = torch.nn.Linear(12, 3)
    assert stream(2).shape == (3,)
    assert rows([1, 2]).shape == (2, 3)
    state = stream.layers.state
    model.recurrent = other.recurrent
    with model.reading():
        want = model.output(model.recurrent(model.embedding(torch.tensor([2])), state)[0])[0]
    torch.testing.assert_close(stream(2), want, rtol=1e-5, atol=1e-5)


def test_an_embedding_that_does_more_than_look_up() -> None:
    model = language_model()
    model.embedding = torch.nn.Embedding(V, 8, max_norm=0.1)
    tokens = torch.tensor([[3], [4]])
    with model.reading():
        want = model(tokens)[0][:, 0]
    stream = Stream(model)
    torch.testing.assert_close(torch.stack([stream(3), stream(4)]), want, rtol=1e-5, atol=1e-5)


def test_one_row_as_one_of_several() -> None:
    model = with_counts(Classifier(C, input_size=INPUTS, hidden_size=6))
    x = torch.randn(INPUTS)
    assert torch.equal(Stream(model)(x[None]), Stream(model)(x)[None])
    assert torch.equal(Stream(model)(x.numpy()), Stream(model)(x))
    assert torch.equal(Stream(language_model())(torch.tensor([3])), Stream(language_model())(3)[None])
    with pytest.raises(ConfigError, match="input expected no gradient"):
        Stream(model)(x.clone().requires_grad_())


def test_taggers_that_cannot_be_streamed() -> None:
    with pytest.raises(ConfigError, match="one direction, got a bidirectional one"):
        Stream(Tagger(torch.nn.Embedding(V, 5), 5))
    words = tagger(encoder=WordEncoder([1, 2, 3], 7, embedding_size=4, character_hidden_size=3))
    stream = Stream(words)
    two = Words(torch.zeros(2, 1).long(), torch.zeros(1, 1).long(), torch.tensor([1]), torch.zeros(2, 1).long())
    for given in (two, torch.tensor([1]), 1):
        with pytest.raises(ConfigError, match="input expected Words of one step of 1 rows"):
            stream(given)


def test_a_text_is_read_by_one_row() -> None:
    with pytest.raises(ConfigError, match="read expected a stream of one row"):
        Stream(language_model(), rows=2).read("abc")


def test_a_state_of_another_model_is_refused() -> None:
    for other in (language_model(embedding_size=9), LanguageModel(CharVocabulary("abc"), 8, 12)):
        with pytest.raises(StateError, match="expected the state of LanguageModel of lstm"):
            Stream(language_model()).from_bytes(Stream(other).state_bytes())


def test_what_the_streams_tell() -> None:
    stream = Stream(language_model(), torch.int8)
    assert stream.threads == 1
    assert stream.error_report is not None
    assert stream.error_report.outputs > 0


@pytest.mark.parametrize("takes", [Stream, ostinato.to_torch, lambda m: write_c(m, "m", "."), ostinato.explain])
def test_what_holds_a_model_is_told_where_it_is(takes: Callable[[Any], object]) -> None:
    holder = types.SimpleNamespace(model=LanguageModel(CharVocabulary("ab"), 3, 4).eval())
    with pytest.raises((ConfigError, TypeError), match="got SimpleNamespace; its network is its attribute `model`"):
        takes(holder)
