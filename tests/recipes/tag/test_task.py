import dataclasses
import json
from functools import partial

import numpy as np
import pytest
import torch

from ostinato.cli.main import main
from ostinato.data.records.conll import Sentence
from ostinato.data.sources.syntax import Highlighted, highlight, python_source
from ostinato.errors import ConfigError, DataError
from ostinato.recipes import load, train
from ostinato.recipes.registry import TASKS
from ostinato.recipes.tag.settings import TaggerSettings, TagReadingSettings, UpdateSettings
from ostinato.recipes.tag.task import Tag

from ..tagged import sentences, small, write, write_conllu


@pytest.fixture(scope="module", params=["softmax", "crf"])
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    data = write_conllu(folder / "bank.conllu", sentences())
    model = dataclasses.replace(small(folder, data).model, output=request.param)
    return train(small(folder / "run", data, model=model)).run.path


def test_words_are_learnt(run):
    report = json.loads((run / "report.json").read_text())
    assert report["scores"]["test"]["figures"]["accuracy"] > 0.95
    assert report["scores"]["test"]["figures"]["unknown_word_accuracy"] is None  # there is none
    assert (run / "pictures" / "confusion_test.png").exists()
    assert set(report["scores"]["test"]["details"]["classes"]) == {"DET", "NOUN", "VERB"}


def plain(*texts):
    return tuple(Sentence(tuple(text.split()), (None,) * len(text.split()), 1) for text in texts)


def test_answers_are_words_tags_and_how_sure_they_are(run):
    given = plain("the dog sees", "", "a fox hears the zzz rain " * 30, "Œ")
    answers = load(run).predict(given)
    assert [answer["words"] for answer in answers] == [list(each.words) for each in given]
    assert answers[0]["tags"] == ["DET", "NOUN", "VERB"]
    assert answers[1] == {"words": [], "tags": [], "probabilities": []}
    for answer in answers:
        assert len(answer["tags"]) == len(answer["words"]) == len(answer["probabilities"])
        assert all(0.0 < p <= 1.0 + 1e-6 for p in answer["probabilities"])


def test_an_answer_does_not_depend_on_what_is_beside_it(run):
    trained, given = load(run), plain("the dog sees a fox", "a", "", "the rain finds " * 9)
    for each, together in zip(given, trained.predict(given), strict=True):
        (alone,) = trained.predict((each,))
        assert alone["tags"] == together["tags"]
        assert alone["probabilities"] == pytest.approx(together["probabilities"], abs=1e-5)


def test_an_evaluation_counts_errors_unknown_words_and_strange_tags(run, tmp_path):
    path = write(tmp_path / "new.conll", [[("the", "DET"), ("dog", "VERB")], [("zebra", "PUNCT"), ("a", "DET")]])
    scores, judge = load(run).evaluate(path)
    assert (scores.examples, scores.count) == (2, 3)
    assert scores.figures["accuracy"] == 0.5
    assert scores.figures["unknown_word_accuracy"] == 0.0
    assert judge.details()["unknown_words"] == 1
    assert "training never had the label PUNCT: 1 of the words count as errors" in scores.warnings[0]


def test_a_run_goes_on_where_it_was_stopped(tmp_path):
    data = write(tmp_path / "bank.conll", sentences())
    training = UpdateSettings(batch_size=8, learning_rate=0.02, max_steps=12, evaluate_every=6)
    whole = train(small(tmp_path / "whole", data, training=training))
    cut = small(tmp_path / "cut", data, training=training)
    assert train(cut, on_evaluation=lambda step, loss: True).outcome.ending == "pruned"
    again = train(dataclasses.replace(cut, resume=True))
    one, other = (load(result.run.path).model.state_dict() for result in (whole, again))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_spans_are_found_and_judged(tmp_path):
    names = [[("Ada", "B-PER"), ("Byron", "I-PER"), ("sees", "O"), ("Rome", "B-LOC")], [("Rome", "B-LOC"), ("is", "O")]]
    data = write(tmp_path / "names.bio", names * 20)
    model = TaggerSettings(hidden_size=8, num_layers=1, dropout=0.0, output="crf")
    result = train(small(tmp_path / "run", data, model=model))
    scores = result.scores["test"]
    assert scores.figures["span_f1"] > 0.9
    assert set(scores.details["spans"]) == {"PER", "LOC"}
    assert load(result.run.path).model.constraints is not None


def test_a_crf_keeps_to_the_scheme_that_the_data_have(tmp_path):
    names = [[("Ada", "I-PER"), ("Byron", "I-PER"), ("sees", "O"), ("Rome", "I-LOC"), ("Kiel", "B-LOC")], [("is", "O")]]
    data = write(tmp_path / "names.bio", names * 20)
    model = TaggerSettings(hidden_size=8, num_layers=1, dropout=0.0, output="crf")
    result = train(small(tmp_path / "run", data, model=model))
    assert result.scores["test"].figures["span_f1"] > 0.9
    (answer,) = load(result.run.path).predict(plain("Ada Byron sees Rome Kiel"))
    assert answer["tags"] == [tag for _, tag in names[0]]


def test_the_words_own_vectors_begin_with_those_of_a_file(tmp_path):
    data = write(tmp_path / "bank.conll", sentences())
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("dog " + " ".join(["0.5"] * 8) + "\nfox " + " ".join(["-0.5"] * 8) + "\n")
    settings = small(tmp_path / "run", data, reading=TagReadingSettings(vectors=str(vectors)))
    task = Tag()
    known = task.learn(settings, task.read(settings).train)
    model = task.build(settings, known)
    (line,) = task.begin(settings, known, model)
    assert line.startswith("vectors.txt: vectors for 2 of ")
    torch.testing.assert_close(
        model.encoder.embedding.weight[known.word_ids(["DOG", "fox"])], torch.tensor([[0.5], [-0.5]]).expand(2, 8)
    )


@pytest.fixture(scope="module")
def highlighter(tmp_path_factory):
    """A small highlighter of the source that is built in."""
    folder = tmp_path_factory.mktemp("source")
    settings = TASKS["tag"].built_in_settings(run=str(folder / "run"), device="cpu", precision="32-true", quiet=True)
    changes = small(folder / "run", None)
    reading = dataclasses.replace(settings.reading, built_in_characters=30_000, piece_length=64)
    model = dataclasses.replace(changes.model, hidden_size=16)
    training = dataclasses.replace(changes.training, learning_rate=0.03, max_steps=80, evaluate_every=80)
    settings = dataclasses.replace(settings, reading=reading, training=training, model=model)
    with pytest.MonkeyPatch.context() as patch:
        less = partial(python_source, validation_characters=20_000, test_characters=20_000)
        patch.setattr("ostinato.recipes.tag.reading.python_source", less)
        return train(settings)


def test_the_built_in_source_is_learnt(highlighter):
    scores = highlighter.scores["test"]
    assert set(scores.figures) == {"accuracy", "macro_f1"}
    assert scores.figures["accuracy"] > 0.6
    assert scores.count == sum(row["examples"] for row in scores.details["classes"].values()) > 20_000


def test_spans_of_source_are_in_order_and_whole(highlighter, tmp_path):
    text = "def f(x):\n    return x + 1  # ü\n"
    trained = load(highlighter.run.path)
    answers = trained.predict((Highlighted("a", text, None), Highlighted("b", "", None)))
    assert answers[1] == {"name": "b", "text": "", "spans": []}
    spans = answers[0]["spans"]
    assert [first for first, _, _ in spans] == [0, *(end for _, end, _ in spans[:-1])]
    assert spans[-1][1] == len(text)
    file = tmp_path / "a.py"
    file.write_text(text)
    scores, _ = trained.evaluate(str(file))
    names = np.concatenate([[tag] * (end - first) for first, end, tag in spans])
    right = names == np.array(trained.known.tags)[highlight(text)]
    assert scores.figures["accuracy"] == pytest.approx(right.mean())


def test_a_long_file_is_answered_as_a_whole(highlighter):
    trained = load(highlighter.run.path)
    text = "x = 1\n" * 2000
    (answer,) = trained.predict((Highlighted("long", text, None),))
    assert answer["spans"][-1][1] == len(text) > trained.model.window


def test_predict_shows_source_and_sentences_for_people(highlighter, run, tmp_path, capsys):
    file = tmp_path / "a.py"
    file.write_text("import os\nprint(os)\n")
    assert main(["predict", str(highlighter.run), str(file), "--show"]) == 0
    assert capsys.readouterr().out == file.read_text()
    lines = tmp_path / "a.txt"
    lines.write_text("the dog sees\n")
    assert main(["predict", str(run), str(lines), "--show"]) == 0
    assert capsys.readouterr().out == "the/DET dog/NOUN sees/VERB\n"
    assert main(["predict", str(run), str(lines), "--show", "--output", "x"]) == 2
    assert "--show and --output: expected one of them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_count": 0}, "reading.min_count: expected at least 1, got 0"),
        ({"piece_length": 0}, "reading.piece_length: expected at least 1, got 0"),
        ({"validation_share": 0.6, "test_share": 0.4}, "together below 1, got 0.6 and 0.4"),
    ],
)
def test_settings_that_cannot_be_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        TagReadingSettings(**values)


def test_a_rare_tag_is_found_where_tags_are_balanced(tmp_path):
    # The same word, which alone does not tell, is rare in one case of three; others are never rare.
    words = [("hm", "RARE" if n % 3 == 0 else "OFTEN") for n in range(60)] + [("ho", "OFTEN")] * 100
    data = write(tmp_path / "rare.conll", [[each] for each in words])
    recall = {}
    for weights in ("none", "balanced"):
        model = dataclasses.replace(small(tmp_path, data).model, class_weights=weights)
        reading = TagReadingSettings(validation=data, test=data)
        result = train(small(tmp_path / weights, data, model=model, reading=reading))
        recall[weights] = result.scores["test"].details["classes"]["RARE"]["recall"]
    assert recall == {"none": 0.0, "balanced": 1.0}


def test_a_crf_has_no_label_smoothing(tmp_path):
    data = write(tmp_path / "bank.conll", sentences())
    model = TaggerSettings(output="crf", label_smoothing=0.1)
    with pytest.raises(ConfigError, match="label_smoothing: expected 0 with a CRF"):
        train(small(tmp_path / "run", data, model=model))


def test_sentences_without_tags_cannot_be_trained_on(tmp_path):
    path = tmp_path / "words.conll"
    path.write_text("the\ndog\n")
    with pytest.raises(DataError, match="expected a word and its tag a line, got one column"):
        train(small(tmp_path / "run", str(path)))
