import json
import os
from dataclasses import dataclass

import pytest
import torch

from ostinato.data.sources.tables import Example
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.recipes import load, train
from ostinato.recipes.classify.task import Classify
from ostinato.recipes.trained import load as load_task

from .reviews import rows, small, write


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write(tmp_path_factory.mktemp("reviews") / "reviews.csv", rows())


@pytest.fixture(scope="module")
def run(tmp_path_factory, table):
    return train(small(tmp_path_factory.mktemp("trained") / "run", table)).run.path


def texts(*given):
    return tuple(Example(text, None) for text in given)


def test_answers_come_in_the_order_of_the_data(run):
    given = texts("a very very very very good film", "dull", "", "great", "the film was awful", "zebra quagga " * 300)
    answers = load(run).predict(given)
    assert [answer["text"] for answer in answers] == [each.text for each in given]
    assert [answers[at]["class"] for at in (0, 1, 3)] == ["good", "bad", "good"]
    for answer in answers:
        assert sum(answer["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
        assert answer["probability"] == max(answer["probabilities"].values())


def test_an_answer_does_not_depend_on_what_is_beside_it(run):
    trained = load(run)
    given = texts("great fun", "", "a film that was never seen before " * 20)
    together = trained.predict(given)
    for each, answer in zip(given, together, strict=True):
        alone = trained.predict((each,))[0]
        assert alone["probability"] == pytest.approx(answer["probability"], abs=1e-6)


def test_nothing_is_said_about_nothing(run):
    assert load(run).predict(()) == []
    with pytest.raises(DataError, match="expected at least one example to evaluate on, got none"):
        load(run).evaluate((), name="nothing")


def test_progress_is_told(run):
    told = []
    load(run).predict(texts(*["good"] * 300), on_batch=lambda done, total: told.append((done, total)))
    assert told == [(256, 300), (300, 300)]


def test_answers_come_one_by_one_while_few_batches_are_held(run, monkeypatch):
    monkeypatch.setattr("ostinato.recipes.trained.POOL_BATCHES", 2)
    monkeypatch.setattr(Classify, "rows", 3)
    trained, told = load(run), []
    given = texts(*(f"good {'very ' * (n * 7 % 5)}film {n}" for n in range(20)))
    answers = trained.stream(given, lambda done, total: told.append((done, total)))
    assert told == []
    assert next(answers)["text"] == given[0].text
    assert told == [(3, 20), (6, 20)]
    assert torch.is_grad_enabled()  # for whoever takes the answers
    assert [each["text"] for each in answers] == [each.text for each in given[1:]]
    assert told[-1] == (20, 20)


def test_data_that_cannot_be_read_are_told_of_before_the_first_answer(run):
    with pytest.raises(DataError, match=r"missing\.txt: no such file"):
        load(run).stream(data="missing.txt")


def test_an_evaluation_of_a_file_counts_errors(run, tmp_path):
    path = write(tmp_path / "new.csv", [("good", "good"), ("great fun", "good"), ("awful", "good"), ("dull", "bad")])
    scores, judge = load(run).evaluate(path)
    assert (scores.data, scores.examples, scores.count) == (path, 4, 4)
    assert scores.figures["accuracy"] == 0.75
    assert judge.details()["confusion"] == [[1, 0], [1, 2]]
    assert scores.warnings == ()


def test_a_label_that_training_never_had_is_an_error_without_a_loss(run, tmp_path):
    known = write(tmp_path / "known.csv", [("good", "good"), ("bad", "bad")])
    more = write(tmp_path / "more.csv", [("good", "good"), ("bad", "bad"), ("fine", "middling"), ("well", "middling")])
    trained = load(run)
    scores, judge = trained.evaluate(more)
    assert scores.loss == pytest.approx(trained.evaluate(known)[0].loss, rel=1e-5)
    assert (scores.examples, scores.count, scores.figures["accuracy"]) == (4, 2, 0.5)
    assert judge.details()["classes"]["middling"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "examples": 2}
    assert "training never had the label middling: 2 of the examples count as errors" in scores.warnings[0]


def test_without_data_the_runs_own_test_part_is_taken(run, table):
    scores, _ = load(run).evaluate()
    assert (scores.examples, scores.data) == (12, "reviews.csv, test")


@dataclass(frozen=True)
class Options:
    loud: bool = False


class Loud(Classify):
    answering = Options

    def answers(self, trained, part, batch):
        found = super().answers(trained, part, batch)
        return [{"class": each["class"].upper()} for each in found] if trained.answering.loud else found


def test_a_task_can_be_told_how_to_answer(run):
    trained = load_task(Loud(), run)
    assert trained.predict(texts("good"))[0]["class"] == "good"
    assert trained.answer_with({"loud": True}).predict(texts("good")) == [{"class": "GOOD"}]
    with pytest.raises(ConfigError, match="unknown option beam of the answers of classify; expected one of loud"):
        trained.answer_with({"beam": 5})
    with pytest.raises(
        ConfigError, match="unknown option beam of the answers of classify; expected one of running, confidence"
    ):
        load(run).answer_with({"beam": 5})


def test_the_models_mode_is_put_back(run):
    trained = load(run)
    assert not trained.model.training
    trained.model.train()
    trained.predict(texts("good"))
    assert trained.model.training
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("knowledge.json", None, "knowledge.json is missing; begin the run anew"),
        ("knowledge.json", b"{", "knowledge.json is damaged"),
        ("knowledge.json", b"[]", "knowledge.json is damaged"),
        ("knowledge.json", b"{}", "knowledge.json is damaged"),
        ("config.yaml", b"task: classify\nzzz: 1\n", "config.yaml is damaged, or of another version"),
        ("config.yaml", b"task: juggle\n", "expected a task of lm, classify"),
        ("model.safetensors", b"", "model.safetensors is damaged"),
    ],
)
def test_a_damaged_run_is_called_that(run, tmp_path, name, content, message):
    for file in ("knowledge.json", "config.yaml", "model.safetensors"):
        (tmp_path / file).write_bytes((run / file).read_bytes())
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=message):
        load(tmp_path)


def test_a_pipe_in_the_place_of_what_was_learnt_is_not_waited_for(run, tmp_path):
    (tmp_path / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    os.mkfifo(tmp_path / "knowledge.json")
    with pytest.raises(RunError, match=r"knowledge\.json .*expected a plain file, got a pipe"):
        load(tmp_path)


def test_weights_of_another_model_are_refused(run, tmp_path):
    for file in ("knowledge.json", "config.yaml", "model.safetensors"):
        (tmp_path / file).write_bytes((run / file).read_bytes())
    knowledge = json.loads((tmp_path / "knowledge.json").read_text())
    knowledge["classes"].append("third")
    knowledge["counts"].append(1)
    (tmp_path / "knowledge.json").write_text(json.dumps(knowledge))
    with pytest.raises(RunError, match=r"model.safetensors does not fit .*config.yaml"):
        load(tmp_path)
