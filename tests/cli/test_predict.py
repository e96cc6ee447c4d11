"""A task that learns from examples, from the command line: train, predict, evaluate."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from ostinato.cli.main import main
from ostinato.recipes import load
from ostinato.recipes.classify.task import Classify

from .conftest import start

SMALL = [
    *("--model.embedding_size", "8", "--model.hidden_size", "8", "--model.dropout", "0"),
    *("--model.input_dropout", "0", "--device", "cpu"),
    *("--precision", "32-true", "--training.batch_size", "7", "--training.learning_rate", "0.05"),
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "reviews.tsv"
    rests = ("film", "the film", "a very long film", "it was", "") * 4
    words = {"awful": "bad", "dull": "bad", "great": "good", "fun": "good"}
    rows = [f"{word} {rest}\t{label}" for word, label in words.items() for rest in rests]
    path.write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, table):
    """A finished run."""
    run = str(tmp_path_factory.mktemp("classify") / "run")
    assert (
        main(["train", "classify", "--data", table, "--run", run, "--quiet", *SMALL, "--training.max_steps", "40"]) == 0
    )
    return run


def test_train_lists_the_tasks(ostinato):
    status, out, error = ostinato("train")
    assert (status, error) == (0, "")
    listed = " ".join(out.split())
    assert " lm predict how a text goes on" in listed
    assert " classify give a sequence a class" in listed


def test_training_shows_figures_and_what_can_be_done_next(ostinato, tmp_path, table):
    run = str(tmp_path / "run")
    status, out, error = ostinato(
        "train", "classify", "--data", table, "--run", run, *SMALL, "--training.max_steps", "4"
    )
    assert (status, error) == (0, "")
    assert "validation accuracy " in out
    assert "nats/token" not in out
    assert f"ostinato predict {run} INPUT" in out


def test_a_mistake_is_answered_in_one_line(ostinato, table):
    status, out, error = ostinato("train", "classify", "--data", table, "--model.pooling", "first")
    assert (status, out) == (2, "")
    assert error == "ostinato: model.pooling: expected one of last, mean, max, attention, got first\n"


def test_the_settings_of_another_task_are_refused(ostinato, classifier, tmp_path):
    status, _, error = ostinato("train", "lm", "--config", f"{classifier}/config.yaml", "--run", str(tmp_path / "x"))
    assert status == 2
    assert error.count("\n") == 1
    assert "ostinato: " in error


def test_predictions_are_lines_of_json_in_the_order_of_the_input(ostinato, classifier, tmp_path):
    lines = tmp_path / "new.txt"
    lines.write_text("great film\n\nit was awful\nzebra\n")
    status, out, error = ostinato("predict", classifier, str(lines))
    assert (status, error) == (0, "")
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["text"] for answer in answers] == ["great film", "", "it was awful", "zebra"]
    assert (answers[0]["class"], answers[2]["class"]) == ("good", "bad")
    file = tmp_path / "out.jsonl"
    assert ostinato("predict", classifier, str(lines), "--output", str(file)) == (0, "", "")
    assert file.read_text() == out


def test_what_a_user_should_know_of_the_data_is_told_apart_from_the_answers(
    ostinato, classifier, tmp_path, monkeypatch
):
    (tmp_path / "new.txt").write_text("great film\n")
    monkeypatch.setattr(Classify, "notes", lambda task, part: [f"{len(part)} line was strange"])
    status, out, error = ostinato("predict", classifier, str(tmp_path / "new.txt"))
    assert (status, error) == (0, "ostinato: 1 line was strange\n")
    assert json.loads(out)["text"] == "great film"


def test_an_interrupt_leaves_whole_lines(ostinato, classifier, tmp_path, monkeypatch):
    lines = tmp_path / "new.txt"
    lines.write_text("".join(f"great film {n}\n" for n in range(10)))
    answers = Classify.answers

    def interrupted(task, trained, part, batch):
        if 7 in batch.rows:
            raise KeyboardInterrupt
        return answers(task, trained, part, batch)

    monkeypatch.setattr("ostinato.recipes.trained.POOL_BATCHES", 1)
    monkeypatch.setattr(Classify, "rows", 3)
    monkeypatch.setattr(Classify, "answers", interrupted)
    file = tmp_path / "out.jsonl"
    status, out, error = ostinato("predict", classifier, str(lines), "--output", str(file))
    assert (status, out) == (130, "")
    assert "interrupted" in error
    written = file.read_text()
    assert written.endswith("\n")
    assert [json.loads(line)["text"] for line in written.splitlines()] == [f"great film {n}" for n in range(6)]


def test_an_evaluation_prints_a_figure_a_line_and_writes_all_of_it(ostinato, classifier, table, tmp_path):
    file = tmp_path / "scores.json"
    status, out, error = ostinato("evaluate", classifier, table, "--output", str(file))
    assert (status, error) == (0, "")
    assert out.splitlines()[:2] == [f"{classifier} on {table}", "100.00% accuracy"]
    assert json.loads(file.read_text())["details"]["classes"]["bad"]["examples"] == 40
    assert ostinato("evaluate", classifier, "--data", table)[1] == out
    assert "reviews.tsv, test" in ostinato("evaluate", classifier)[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "RUN"], "the following arguments are required: input"),
        (["predict", "RUN", "missing.txt"], "missing.txt: no such file or folder"),
        (["predict", "LM", "x.txt"], "LM is a language model: let it write with `ostinato generate`"),
        (["predict", "nothing", "x.txt"], "no run folder at nothing"),
        (["predict", "RUN", "TABLE", "--options", "{beam: 5}"], "unknown option beam of the answers of classify"),
        (["predict", "RUN", "TABLE", "--output", "none/x"], "none/x: cannot be written"),
        (["evaluate", "RUN", "TABLE", "--data", "TABLE"], "--data and the data after the run: expected one of them"),
        (["evaluate", "RUN", "--cache", "5"], "--max_tokens, --cache, --dynamic are for language models"),
        (["evaluate", "LM", "--options", "{beam: 5}"], "unknown option beam of the answers of lm"),
        (["generate", "RUN"], "RUN is a run of the task classify, not a language model"),
        (["train", "clasify"], "unknown task clasify; did you mean classify?"),
    ],
)
def test_what_cannot_be_is_answered_in_one_line(
    ostinato, classifier, run, table, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    places = {"RUN": classifier, "LM": run, "TABLE": table}
    status, out, error = ostinato(*(places.get(word, word) for word in words))
    assert (status, out) == (2, "")
    assert error.count("\n") == 1
    for name in ("RUN", "LM"):
        message = message.replace(name, places[name])
    assert message in error


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_learn_what_one_learns(table, tmp_path, strategy):
    # 64 rows in batches of 7: of each the two have 4 and 3 rows, and the last of an epoch has 1.
    words = ["--data", table, "--quiet", *SMALL, "--training.optimizer", "sgd", "--training.max_steps", "12"]
    assert main(["train", "classify", "--run", str(tmp_path / "one"), *words]) == 0
    process = start(
        "train", "classify", "--run", str(tmp_path / "two"), *words, "--devices", "2", "--strategy", strategy
    )
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    one, two = (load(tmp_path / name) for name in ("one", "two"))
    for name, weight in one.model.state_dict().items():
        torch.testing.assert_close(two.model.state_dict()[name], weight, rtol=1e-4, atol=1e-5)
    assert two.evaluate()[0].loss == pytest.approx(one.evaluate()[0].loss, rel=1e-4)
    # What validation found: of each half of its batches one process, which knows all that the first knows.
    found = [[line for line in lines_of(each.folder) if "validation_loss" in line] for each in (one, two)]
    for ours, theirs in zip(*found, strict=True):
        names = [name for name in ours if name.startswith("validation")]
        assert [theirs[name] for name in names] == pytest.approx([ours[name] for name in names], rel=1e-4)
    assert len(found[0]) > 1


def lines_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_run_of_another_task_is_not_resumed_but_its_command_is_told(ostinato, classifier):
    status, out, error = ostinato("train", "tag", "--run", classifier, "--resume")
    assert (status, out) == (2, "")
    assert error == (
        f"ostinato: {classifier} is a run of the task classify, not tag; "
        f"go on with it by `ostinato train classify --run {classifier} --resume`\n"
    )


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_an_empty_name_is_not_taken_for_none(ostinato, classifier, command):
    """As of a variable of the shell that is not set."""
    status, out, error = ostinato(command, classifier, "")
    assert (status, out) == (2, "")
    assert error == "ostinato: the name of the data is empty; expected that of a file or a folder\n"


@pytest.mark.parametrize("command", ["evaluate", "generate", "inspect"])
def test_an_empty_name_of_a_run_is_not_taken_for_the_latest(ostinato, command, monkeypatch, classifier, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "one").symlink_to(classifier)
    monkeypatch.chdir(tmp_path)
    status, out, error = ostinato(command, "")
    assert (status, out) == (2, "")
    assert "is not a run: it has no config.yaml" in error


def test_recipes_of_papers_are_told_of_where_there_are_some(ostinato, capsys):
    shown = {}
    for task in ("lm", "classify"):
        with pytest.raises(SystemExit):
            ostinato("train", task, "--help-all")
        shown[task] = " ".join(capsys.readouterr().out.split())
    assert "a paper's recipe such as" in shown["lm"]
    assert "recipe" not in shown["classify"]


def test_json_for_an_output_of_another_encoding_has_its_own_way_to_write_every_character(classifier, tmp_path):
    lines = tmp_path / "new.txt"
    lines.write_text("naïve 素晴らしい 🎉\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "ostinato.cli.main", "predict", classifier, str(lines)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.decode("ascii"))["text"] == "naïve 素晴らしい 🎉"


def test_scores_that_nobody_reads_are_no_error(classifier):
    words = [sys.executable, "-m", "ostinato.cli.main", "evaluate", classifier]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("wrong", [["--model.hidden_size", "9"], ["--training.optimizer", "sgd"]])
def test_a_resumption_that_does_not_fit_leaves_the_run_as_it_was(ostinato, classifier, table, tmp_path, wrong):
    """Else config.yaml would be of another model than the weights, and the run lost to a slip of the pen."""
    run = tmp_path / "run"
    shutil.copytree(classifier, run)
    before = (run / "config.yaml").read_bytes()
    status, _, error = ostinato("train", "classify", "--run", str(run), "--resume", *wrong)
    assert status == 2
    assert "does not fit the settings it is resumed with" in error
    assert (run / "config.yaml").read_bytes() == before
    assert ostinato("evaluate", str(run), table)[0] == 0
    again = ["train", "classify", "--run", str(run), "--resume", "--quiet", "--training.max_steps", "42"]
    assert ostinato(*again) == (0, f"{run}\n", "")
    assert b"max_steps: 42" in (run / "config.yaml").read_bytes()


def test_the_figures_of_a_language_model_go_into_a_file_too(ostinato, run, tmp_path):
    (tmp_path / "fox.txt").write_text("the quick brown fox\n" * 20)
    words = ("evaluate", run, str(tmp_path / "fox.txt"), "--options", "{max_tokens: 100}")
    status, out, _ = ostinato(*words, "--output", str(tmp_path / "found.json"))
    found = json.loads((tmp_path / "found.json").read_text())
    assert status == 0
    assert f"{found['count']:,} tokens" in out
    assert f"{found['figures']['bits_per_character']:.4f} bits/char" in out
    assert found["count"] < 399


def test_predict_why_is_explain(ostinato, classifier, table, tmp_path):
    wanted = ostinato("explain", classifier, table, "--limit", "2", "--method", "gates")
    assert wanted[0] == 0
    for words in (["--why"], ["--why", "true"], ["--why=true"]):
        assert ostinato("predict", classifier, *words, table, "--limit", "2", "--method", "gates") == wanted
    file = tmp_path / "why.json"
    assert ostinato("predict", classifier, table, "--why", "--output", str(file))[0] == 0
    assert json.loads(file.read_text())["examples"][0]["steps"]
    assert ostinato("predict", classifier, table, "--why", "false") == ostinato("predict", classifier, table)


def test_files_that_cannot_be_read_leave_the_others_their_answers(ostinato, tmp_path):
    for n in range(24):
        name = tmp_path / "moves" / ("walk", "run")[n % 2] / f"{n}.csv"
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_text("t,v\n" + "".join(f"{t},{(n % 2) * t + n / 100}\n" for t in range(9)))
    run, data = str(tmp_path / "run"), str(tmp_path / "moves")
    words = ["train", "classify", "--data", data, "--run", run, "--quiet", "--training.max_steps", "2"]
    words += ["--model.hidden_size", "4", "--device", "cpu"]
    assert main(words) == 0
    (tmp_path / "moves" / "walk" / "broken.csv").write_text("")
    output = tmp_path / "answers.csv"
    for given in (data, f"{data}/*/*.csv"):
        status, _, error = ostinato("predict", run, given, "--output", str(output))
        assert (status, len(output.read_text().splitlines())) == (1, 25)
        assert "1 of its files cannot be read, and are left out: " in error
        assert "broken.csv" in error
    assert ostinato("predict", run, f"{data}/run/*.csv", "--output", str(output))[0] == 0
    assert ostinato("evaluate", run, data)[0] == 2
