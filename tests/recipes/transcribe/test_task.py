"""Recordings are transcribed, from the file to the answers."""

import dataclasses
import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from ostinato.cli.main import main
from ostinato.data.recordings.recording import Recordings
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.recipes import load, train
from ostinato.recipes.lm.settings import LanguageModelSettings
from ostinato.recipes.recordings.settings import RecordingSettings
from ostinato.recipes.task_report import show_scores
from ostinato.recipes.transcribe.data import TranscribeKnown
from ostinato.recipes.transcribe.settings import TranscribeAnswering, TranscribeReadingSettings, TranscriberSettings
from ostinato.recipes.transcribe.task import Transcribe
from tests.recipes.transcribe.strokes import CHANNELS, FEW, recordings, small, write


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("strokes") / "strokes.jsonl", recordings())


@pytest.fixture(scope="module")
def result(tmp_path_factory, data):
    return train(small(tmp_path_factory.mktemp("transcribe") / "run", data))


@pytest.fixture
def trained(result):
    return load(result.run.path)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return Path(write(tmp_path_factory.mktemp("others") / "others.jsonl", recordings(20, seed=1)))


def test_texts_are_learnt_and_reported(result):
    figures = result.scores["test"].figures
    assert set(figures) == {"character_error_rate", "word_error_rate", "exact_match"}
    assert figures["character_error_rate"] < 0.1
    report = json.loads((result.run.path / "report.json").read_text())
    assert set(report["scores"]["test"]["baselines"]) == {"a window by itself", "most frequent text"}
    assert set(report["scores"]["test"]["details"]["errors"]) == {"replaced", "left_out", "put_in"}
    assert report["pictures"] == ["pictures/alignment_validation.png", "pictures/alignment_test.png"]


def test_answers_say_what_is_written_where_and_how_sure_it_is(trained, others):
    part = recordings(20, seed=1)
    answers = trained.predict(others)
    right = [answer["text"] == each.label for answer, each in zip(answers, part.items, strict=True)]
    assert np.mean(right) > 0.7
    for answer, each, is_right in zip(answers, part.items, right, strict=True):
        assert answer["id"] == each.id
        assert 0.0 < answer["confidence"] <= 1.0
        assert answer["confidence"] == pytest.approx(np.exp(answer["log_probability"] / (len(answer["text"]) + 1)))
        assert "".join(unit for unit, *_ in answer["characters"]) == answer["text"]
        assert [word for word, *_ in answer["words"]] == answer["text"].split()
        spans = [(first, end) for _, first, end, _ in answer["characters"]]
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
        assert all(0 <= first < end <= len(each) for first, end in spans)
        if is_right:  # a letter is where its channel is loud
            for unit, first, end, _ in answer["characters"]:
                loud = each.values[max(0, first - 2) : end + 2] / [1, 1, 1000]
                assert loud[:, "ab ".index(unit)].max() > 0.5


def test_a_probability_is_that_of_the_whole_text(trained, others):
    """As torch's loss has it, whatever the beam has followed."""
    part = trained.read_part(str(others), labelled=False)
    examples = trained.task.examples(trained.settings, trained.known, part)
    for beam in (1, 3, 30):
        answer = trained.answer_with({"beam": beam}).predict(others)[0]
        batch = examples.batch(np.array([0]))
        with torch.no_grad():
            log_probs = trained.model(batch.input)
            target = torch.from_numpy(trained.known.encode(answer["text"]))[None]
            loss = torch.nn.functional.ctc_loss(
                log_probs, target, torch.tensor([len(log_probs)]), torch.tensor([target.shape[1]]), reduction="sum"
            )
        assert answer["log_probability"] == pytest.approx(-loss.item(), abs=1e-4)


def test_the_best_of_several_texts_come_in_order(trained, others):
    trained.answer_with({"beam": 12, "n_best": 3, "spans": False})
    for answer in trained.predict(others):
        chances = [each["log_probability"] for each in answer["texts"]]
        assert chances == sorted(chances, reverse=True)
        assert len({each["text"] for each in answer["texts"]}) == len(chances) > 1
        assert answer["text"] == answer["texts"][0]["text"]
        assert "characters" not in answer


def test_alone_and_among_others_a_recording_has_the_same_text(trained):
    part = recordings(12, seed=3)
    together = trained.predict(part)
    for at in range(0, 12, 4):
        (alone,) = trained.predict(part.take([at]))
        assert alone["text"] == together[at]["text"]
        assert alone["log_probability"] == pytest.approx(together[at]["log_probability"], abs=1e-3)


def test_only_words_of_a_lexicon_are_written(trained, others, tmp_path):
    (tmp_path / "words.txt").write_text("aa ab\nbbb\nzoo\n")
    trained.answer_with({"lexicon": str(tmp_path / "words.txt")})
    words = {word for answer in trained.predict(others) for word in answer["text"].split()}
    assert words <= {"aa", "ab", "bbb"}
    assert words
    (tmp_path / "none.txt").write_text("zoo\n")
    trained.answer_with({"lexicon": str(tmp_path / "none.txt")})
    with pytest.raises(ConfigError, match="at least one word"):
        trained.predict(others)


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    """A language model that has seen a alone, and blanks."""
    folder = tmp_path_factory.mktemp("language")
    (folder / "a.txt").write_text("aaa aa a\n" * 300)
    settings = LanguageModelSettings.from_dict(
        {
            "data": str(folder / "a.txt"),
            "run": str(folder / "run"),
            "device": "cpu",
            "quiet": True,
            "model": {"embedding_size": 8, "hidden_size": 16},
            "tokens": {"kind": "char"},
            "training": {"max_steps": 60, "evaluate_every": 60, "learning_rate": 0.02},
            "baselines": {"markov_orders": 0, "window": 0},
        }
    )
    return str(train(settings).run.path)


def test_a_language_model_has_its_say(trained, others, language):
    """With much weight it lets nothing be written that it has not read."""
    with_b = sum("b" in answer["text"] for answer in trained.predict(others))
    trained.answer_with({"language_model": language, "weight": 8.0, "bonus": 8.0, "beam": 24})
    answers = trained.predict(others)
    assert sum("b" in answer["text"] for answer in answers) < with_b / 2
    trained.answer_with({"language_model": language, "weight": 0.0, "bonus": 0.0})
    without = load(trained.folder).predict(others)
    assert [each["text"] for each in trained.predict(others)] == [each["text"] for each in without]


def test_a_language_model_of_another_kind_is_refused(trained, others, result):
    trained.answer_with({"language_model": str(result.run.path)})
    with pytest.raises(ConfigError, match="expected a run of the task lm"):
        trained.predict(others)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"beam": 0}, "beam: expected"),
        ({"beam": 1001}, "beam: expected"),
        ({"n_best": 9}, "n_best: expected"),
        ({"weight": -1.0}, "weight: expected"),
        ({"beam": 1, "lexicon": "a.txt"}, "expected more than 1"),
        ({"beams": 3}, "unknown option"),
    ],
)
def test_options_that_do_not_fit_are_refused(trained, wrong, said):
    with pytest.raises(ConfigError, match=said):
        trained.answer_with(wrong)


def test_a_model_of_one_direction_writes_while_frames_come(tmp_path, data):
    model = TranscriberSettings(hidden_size=12, bidirectional=False)
    train(small(tmp_path / "run", data, model=model, training=FEW))
    trained = load(tmp_path / "run").answer_with({"beam": 1})
    with torch.no_grad():
        trained.model.output.weight *= 30
    recording = recordings(1, seed=5)[0]
    stream, written = trained.model.stream(), []
    for frame in trained.known.frames(recording):
        stream(torch.from_numpy(frame))
        if unit := int(stream.written()):
            written.append(unit)
    assert trained.known.said(written) == trained.predict(Recordings(CHANNELS, (recording,)))[0]["text"]


@pytest.mark.parametrize(("tokens", "units"), [("char", 3), ("cluster", 4), ("word", None)])
def test_what_is_written_may_be_characters_clusters_or_words(tokens, units):
    part = recordings(30)
    if tokens == "cluster":  # an accent that is a character of its own stays with its letter
        items = tuple(dataclasses.replace(each, label=each.label.replace("a", "e\u0301")) for each in part.items)
        part = dataclasses.replace(part, items=items)
    known = TranscribeKnown.of(part, TranscribeReadingSettings(tokens=tokens), None, None)
    words = {word for each in part.items for word in each.label.split()}
    # A vocabulary of words, as clusters are kept, has a line's end, which no text has.
    assert len(known.vocabulary) - 1 == (units or len(words) + 1)
    for each in part.items:
        assert known.said(known.encode(f" {each.label}  ")) == known.normal(each.label) == each.label
        assert (known.encode(each.label) > 0).all()
    if tokens == "word":
        assert {known.unit_name(unit) for unit in range(2, len(known.vocabulary))} == words
    assert (known.separator is None) == (tokens == "word")


def test_texts_too_long_for_their_frames_are_told_and_lose_nothing(tmp_path, capsys):
    part = recordings(30)
    items = [dataclasses.replace(part[0], label="ab" * 40), *part.items[1:]]
    file = write(tmp_path / "a.jsonl", dataclasses.replace(part, items=tuple(items)))
    test = write(tmp_path / "t.jsonl", dataclasses.replace(part, items=tuple(items)))
    settings = small(tmp_path / "run", file, training=FEW, reading=TranscribeReadingSettings(test=test))
    result = train(dataclasses.replace(settings, quiet=False))
    assert "1 texts of training have more units" in capsys.readouterr().out.replace("\n", " ")
    assert np.isfinite(result.scores["test"].loss)
    assert any("more units than their recordings have frames" in line for line in result.scores["test"].warnings)
    assert result.scores["test"].examples == 30


def test_where_every_text_is_too_long_nothing_is_trained(tmp_path):
    part = recordings(20)
    items = tuple(dataclasses.replace(each, label="ab" * 60) for each in part.items)
    file = write(tmp_path / "a.jsonl", dataclasses.replace(part, items=items))
    with pytest.raises(DataError, match=r"every text has more characters.*--reading.stride"):
        train(small(tmp_path / "run", file))
    assert not (tmp_path / "run").exists()


def test_recordings_without_a_text_are_left_out_or_silence(tmp_path, capsys):
    part = recordings(30)
    items = [dataclasses.replace(each, label="") if at % 5 == 0 else each for at, each in enumerate(part.items)]
    file = write(tmp_path / "a.jsonl", dataclasses.replace(part, items=tuple(items)))
    result = train(dataclasses.replace(small(tmp_path / "left", file, training=FEW), quiet=False))
    assert "recordings have no text, and are left out" in capsys.readouterr().out.replace("\n", " ")
    reading = TranscribeReadingSettings(keep_empty=True)
    result = train(small(tmp_path / "kept", file, training=FEW, reading=reading))
    assert np.isfinite(result.scores["validation"].loss)
    trained = load(tmp_path / "kept")
    assert trained.evaluate(Path(file))[0].examples == 30
    assert load(tmp_path / "left").evaluate(Path(file))[0].examples == 24


def test_characters_that_training_never_had_are_errors_and_told(trained, tmp_path):
    part = recordings(10, seed=2)
    items = [dataclasses.replace(part[0], label="a?!"), *part.items[1:]]
    file = write(tmp_path / "a.jsonl", dataclasses.replace(part, items=tuple(items)))
    scores, _ = trained.evaluate(Path(file))
    assert np.isfinite(scores.loss)
    assert "2 characters that training never had count as errors: '?', '!'" in scores.warnings
    assert scores.figures["exact_match"] < 1.0
    show_scores(trained.task, "run", scores, Console(file=io.StringIO()))


def test_data_that_have_no_texts_are_refused(tmp_path):
    part = recordings(20)
    bare = dataclasses.replace(part, items=tuple(dataclasses.replace(each, label=None) for each in part.items))
    with pytest.raises(DataError, match="none of its recordings has a text"):
        train(small(tmp_path / "run", write(tmp_path / "a.jsonl", bare)))
    empty = dataclasses.replace(part, items=tuple(dataclasses.replace(each, label="") for each in part.items))
    reading = TranscribeReadingSettings(keep_empty=True)
    with pytest.raises(DataError, match="expected texts to learn to write"):
        TranscribeKnown.of(empty, reading, None, None)


def test_windows_make_no_sense_here(tmp_path):
    with pytest.raises(ConfigError, match=r"recording.window: expected none"):
        small(tmp_path, "a.csv", recording=RecordingSettings(window=20))


def test_frames_overlap_and_have_every_step(trained):
    known = dataclasses.replace(trained.known, stack=4, stride=2)
    recording = recordings(1)[0]
    steps = known.scaling.apply(recording)
    frames = known.frames(recording).reshape(-1, 4, known.scaling.width)
    assert len(frames) == -(-len(steps) // 2)
    for at, frame in enumerate(frames):
        real = steps[2 * at : 2 * at + 4]
        np.testing.assert_array_equal(frame[: len(real)], real)
        assert not frame[len(real) :].any()


def test_a_run_goes_on_where_it_was(tmp_path, data):
    train(small(tmp_path / "run", data, training=FEW))
    more = dataclasses.replace(FEW, max_steps=4)
    result = train(dataclasses.replace(small(tmp_path / "run", data, training=more), resume=True))
    assert result.outcome.counters.step == 4
    other = dataclasses.replace(
        small(tmp_path / "run", write(tmp_path / "other.jsonl", recordings(seed=9)), training=more), resume=True
    )
    with pytest.raises(RunError, match="data"):
        train(other)


def test_the_command_line_trains_predicts_evaluates_and_inspects(tmp_path, data, capsys):
    run = str(tmp_path / "run")
    words = ["--model.hidden_size", "8", "--training.max_steps", "2", "--training.evaluate_every", "2"]
    assert main(["train", "transcribe", "--data", data, "--run", run, "--device", "cpu", *words]) == 0
    assert main(["predict", run, data, "--output", str(tmp_path / "a.jsonl")]) == 0
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 60
    assert main(["predict", run, data, "--show", "--options.beam", "1"]) == 0
    assert main(["evaluate", run, data]) == 0
    assert "character error rate" in capsys.readouterr().out
    assert main(["inspect", run, "--output", str(tmp_path / "page.html")]) == 0


def test_defaults_of_answers_are_those_of_the_page():
    assert (TranscribeAnswering().beam, TranscribeAnswering().n_best) == (8, 1)
    assert Transcribe().judged_by(small("run", None)) in Transcribe.errors
