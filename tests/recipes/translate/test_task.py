import dataclasses
import gzip
import json

import pytest
import torch

from ostinato.data.records.pairs import Pair, Pairs
from ostinato.errors import ConfigError, DataError
from ostinato.models import ScheduledSampling
from ostinato.recipes import load, train
from ostinato.recipes.registry import find
from ostinato.recipes.translate.settings import (
    Answering,
    SamplingSettings,
    TranslateReadingSettings,
    TranslateSettings,
    TranslatorSettings,
    UpdateSettings,
)
from ostinato.recipes.translate.task import Translate

from ..phrases import WORDS, phrases, small, write


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write(tmp_path_factory.mktemp("phrases") / "phrases.tsv", phrases())


@pytest.fixture(scope="module")
def run(tmp_path_factory, table):
    return train(small(tmp_path_factory.mktemp("translated") / "run", table)).run.path


def texts(*given):
    return Pairs("texts", tuple(Pair(text, "") for text in given), (), 0)


def translations(trained, *given):
    return [answer["translation"] for answer in trained.predict(texts(*given))]


def test_phrases_are_learnt_and_translated_in_their_order(run):
    trained = load(run)
    sources = [source for source, _ in phrases(30, seed=9)]
    expected = [" ".join(WORDS[word] for word in source.split()) for source in sources]
    right = [said == meant for said, meant in zip(translations(trained, *sources), expected, strict=True)]
    assert sum(right) > 0.8 * len(right)


def test_the_run_is_judged_by_bleu_and_keeps_what_was_found(run):
    report = json.loads((run / "report.json").read_text())
    figures = report["scores"]["test"]["figures"]
    assert figures["chrf"] > 85
    assert figures["exact_match"] > 0.8
    assert 1.0 <= figures["perplexity"] < 1.5
    details = report["scores"]["test"]["details"]
    assert "case:mixed" in details["signatures"]["bleu"]
    right = [each["answer"] == each["target"] for each in details["translations"]]
    assert sum(right) > 0.8 * len(right)
    assert report["pictures"]
    for picture in report["pictures"]:
        assert (run / picture).read_bytes().startswith(b"\x89PNG")


def test_nothing_strange_words_and_long_texts_are_translated(run):
    trained = load(run)
    nothing, strange, long = trained.predict(texts("", "zebra", "ein " * 60))
    assert (nothing["translation"], nothing["log_probability"]) == ("", 0.0)
    assert strange["translation"]
    assert len(long["translation"].split()) <= 2 * 60 + 10


def test_an_answer_does_not_depend_on_what_is_beside_it(run):
    trained = load(run)
    given = ("zwei und drei", "", "vier", "quagga oder zebra " * 9)
    together = trained.predict(texts(*given))
    for source, answer in zip(given, together, strict=True):
        (alone,) = trained.predict(texts(source))
        assert alone["translation"] == answer["translation"]
        assert alone["score"] == pytest.approx(answer["score"], abs=1e-5)


def test_figures_do_not_depend_on_how_much_is_padded(run, tmp_path):
    trained = load(run)
    found = [("ein und zwei", "one and two"), ("drei", "three three"), ("", "one"), ("vier oder", ""), ("zebra", "two")]
    scores, _ = trained.evaluate(write(tmp_path / "some.tsv", found))
    assert scores.count == sum(len(target.split()) + 1 for _, target in found)
    nats = 0.0
    for n, pair in enumerate(found):
        alone, _ = trained.evaluate(write(tmp_path / f"{n}.tsv", [pair]))
        nats += alone.loss * alone.count
    assert scores.loss == pytest.approx(nats / scores.count, rel=1e-5)


def test_several_answers_come_best_first(run):
    trained = load(run).answer_with({"n_best": 3, "beam": 4})
    (answer,) = trained.predict(texts("ein oder drei"))
    scores = [each["score"] for each in answer["n_best"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert answer["translation"] == answer["n_best"][0]["translation"]
    assert len({each["translation"] for each in answer["n_best"]}) == 3
    assert "n_best" not in load(run).predict(texts("ein"))[0]


def test_people_are_shown_the_translation_alone(run):
    trained = load(run)
    (answer,) = trained.predict(texts("ein"))
    assert trained.task.shown(answer).plain == answer["translation"]


def test_drawn_answers_follow_the_seed(run):
    def drawn(seed):
        trained = load(run).answer_with({"temperature": 3.0, "seed": seed})
        return translations(trained, *["ein zwei drei vier"] * 5)

    assert drawn(1) == drawn(1) != drawn(2)


def test_the_most_tokens_of_an_answer_are_kept(run):
    trained = load(run).answer_with({"max_length": 2, "beam": 1})
    assert [len(each.split()) for each in translations(trained, "ein zwei drei vier", "ein")] == [2, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beem": 2}, "unknown option beem of the answers of translate; expected one of beam, n_best"),
        ({"beam": 0}, "beam: expected an integer of at least 1, got 0"),
        ({"beam": "five"}, "beam: expected an integer, got 'five'"),
        ({"beam": True}, "beam: expected an integer, got True"),
        ({"max_length": 1.5}, "max_length: expected an integer or null, got 1.5"),
        ({"max_length": 10**8}, "max_length: expected an integer from 1 to 10000, or null, got 100000000"),
        ({"seed": 2**80}, "seed: expected an integer from 0 to 2"),
        ({"length_penalty": "a"}, "length_penalty: expected a number, got 'a'"),
        ({"n_best": 6}, "n_best: expected a number from 1 to beam = 5, got 6"),
        ({"top_k": 3}, "top_k, top_p: are for texts that are drawn"),
        ({"n_best": 2, "temperature": 1.0}, "n_best: expected 1 where texts are drawn"),
    ],
)
def test_options_of_answers_that_cannot_be_are_refused(run, options, message):
    with pytest.raises(ConfigError, match=message):
        load(run).answer_with(options)


def test_a_penalty_for_places_needs_attention(tmp_path, table):
    settings = small(
        tmp_path / "run",
        table,
        model=TranslatorSettings(embedding_size=4, hidden_size=4, attention="none"),
        training=UpdateSettings(batch_size=20, max_steps=2),
    )
    result = train(settings)
    assert not result.pictures
    with pytest.raises(ConfigError, match="coverage_penalty: expected 0 for a model without attention"):
        load(result.run.path).answer_with({"coverage_penalty": 0.2}).predict(texts("ein"))


def test_unknown_words_are_copied_where_attention_looked(run):
    """The model has never seen one, so its biases make it write nothing else."""
    trained = load(run)
    vocabulary = trained.known.target
    with torch.no_grad():
        trained.model.decoder.output.bias[vocabulary.unknown_id] = 100.0
    options = {"beam": 2, "max_length": 3}
    (copied,) = translations(trained.answer_with(options), "Zürich, Paris")
    assert set(copied.replace(",", " ").split()) <= {"Zürich", "Paris"}
    assert copied
    (kept,) = translations(trained.answer_with({**options, "copy_unknown": False}), "Zürich, Paris")
    assert "<unk>" in kept


@pytest.mark.parametrize(
    ("reading", "model"),
    [
        ({"tokens": "bpe", "vocabulary_size": 270, "joint": True}, {"cell": "lstm", "tied": "three-way"}),
        ({"tokens": "char", "joint": False}, {"num_layers": 2, "attention": "additive", "coverage": True}),
        ({"tokens": "byte", "lower_case": True}, {"bidirectional": False, "input_feeding": True, "bridge": "copy"}),
        ({"tokens": "word", "joint": False}, {"tied": "none", "readout_size": 7, "coverage_weight": 0.1}),
    ],
)
def test_tokens_and_models_of_all_kinds_train_and_load(tmp_path, table, reading, model):
    settings = small(
        tmp_path / "run",
        table,
        reading=TranslateReadingSettings(**reading),
        model=TranslatorSettings(**{"embedding_size": 6, "hidden_size": 8, **model}),
        sampling=SamplingSettings(decay="linear", k=2.0),
        training=UpdateSettings(batch_size=50, max_steps=3),
    )
    trained = load(train(settings).run.path)
    assert trained.model.scheduled_sampling == ScheduledSampling("linear", k=2.0)
    assert len(trained.predict(texts("ein oder zwei", "ZÜRICH!"))) == 2
    assert trained.evaluate()[0].examples > 0


def test_one_vocabulary_is_needed_to_tie_both_sides(tmp_path, table):
    with pytest.raises(ConfigError, match=r"model[.]tied three-way: expected one vocabulary for both sides"):
        train(small(tmp_path / "run", table, model=TranslatorSettings(tied="three-way")))


def test_a_folder_of_two_languages_is_read_in_its_parts(tmp_path):
    for part, count in (("train", 60), ("val", 10), ("test_2016", 5)):
        found = phrases(count)
        with gzip.open(tmp_path / f"{part}.de.gz", "wt", encoding="utf-8") as file:
            file.write("".join(source + "\n" for source, _ in found))
        (tmp_path / f"{part}.en").write_text("".join(target + "\n" for _, target in found))
    reading = TranslateReadingSettings(source="de", target="en", tokens="word", min_count=1)
    training = UpdateSettings(batch_size=20, max_steps=2)
    result = train(small(tmp_path / "run", str(tmp_path), reading=reading, training=training))
    assert {part: scores.examples for part, scores in result.scores.items()} == {"validation": 10, "test": 5}
    both = f"{tmp_path / 'val.de.gz'},{tmp_path / 'val.en'}"
    assert load(result.run.path).evaluate(both)[0].examples == 10


def test_lines_that_are_left_out_are_told(tmp_path):
    data = write(tmp_path / "data.tsv", [*phrases(40), ("ein", ""), ("", "two"), ("same", "same")])
    task, settings = (
        Translate(),
        small(tmp_path / "run", data, reading=TranslateReadingSettings(validation=data, test=data)),
    )
    lines = task.remarks(task.read(settings))
    assert any("left out 2 with an empty side (line 41 first)" in line for line in lines)


def test_weights_can_be_chosen_by_the_loss(tmp_path, table):
    settings = small(tmp_path / "run", table)
    scoring = dataclasses.replace(settings.scoring, best_by="loss")
    task = Translate()
    assert task.judged_by(settings) == "chrf"
    assert task.judged_by(dataclasses.replace(settings, scoring=scoring)) is None


def test_the_built_in_dates_have_settings_of_their_own():
    settings = find("translate").built_in_settings(run="somewhere")
    assert isinstance(settings, TranslateSettings)
    assert (settings.data, settings.run, settings.reading.tokens) == (None, "somewhere", "char")
    assert settings.training.batch_size != TranslateSettings().training.batch_size
    assert Translate.answering is Answering


def test_built_in_data_have_parts_of_their_own(tmp_path):
    with pytest.raises(DataError, match="the built-in data have parts for validation and test; leave out"):
        train(small(tmp_path / "run", None, reading=TranslateReadingSettings(test="x.tsv")))


@pytest.mark.parametrize(
    ("group", "values", "message"),
    [
        (TranslateReadingSettings, {"min_count": 0}, "reading.min_count: expected at least 1, got 0"),
        (TranslateReadingSettings, {"batch_tokens": 0}, "reading.batch_tokens: expected at least 1, got 0"),
        (TranslateReadingSettings, {"validation_share": 0.0}, "expected shares above 0"),
        (TranslateReadingSettings, {"source": "de"}, "expected both, such as de and en, or neither, got de and None"),
        (TranslateReadingSettings, {"source": "de", "target": "de"}, "expected both, such as de and en, or neither"),
    ],
)
def test_settings_that_cannot_be_are_refused(group, values, message):
    with pytest.raises(ConfigError, match=message):
        group(**values)
