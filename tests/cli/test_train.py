import os
import re
import shlex
import shutil
import signal

import pytest
import yaml

from ostinato.cli import train
from ostinato.recipes.registry import TASKS
from ostinato.training import Progress, RunFolder
from ostinato.training.loop.budget import LIMITS

from .conftest import SMALL, start


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--training.batchsize", "3"], "unknown argument --training.batchsize; did you mean --training.batch_size?"),
        (["--batch_size", "3"], "unknown argument --batch_size; did you mean --training.batch_size?"),
        (["--zzz"], "unknown argument --zzz; see ostinato train lm --help"),
        (["xyzzy"], "unknown argument xyzzy; see ostinato train lm --help"),
        (["--training.batch_size", "x"], "training.batch_size: expected an integer, got x"),
        (["--training.batch_size", "-1"], "training.batch_size: expected an integer of at least 1, got -1"),
        (["--training.patience", "x"], "training.patience: expected an integer, or null, got x"),
        (["--training.clip_norm", "x"], "training.clip_norm: expected a number, or null, got x"),
        (["--training.max_time_s", "0"], "training.max_time_s: expected a budget above 0, or null, got 0.0"),
        (["--model.hidden_size", "x"], "model.hidden_size: expected an integer or a list of integers, got x"),
        (["--model.hidden_size", "[8, x]"], "model.hidden_size: expected an integer or a list of integers, got [8, x]"),
        (["--tokens.kind", "chars"], "tokens.kind: expected one of char, byte, word, bpe, got chars"),
        (["--seed"], "argument --seed: expected one argument"),
        (["--config", "/missing.yaml"], "config: File does not exist: /missing.yaml"),
        (["--resume"], "--resume needs --run FOLDER, the run to go on with"),
        (
            ["--run", "nothing", "--resume"],
            "nothing holds no run to resume (it has no config.yaml); leave out --resume to begin one",
        ),
        (
            ["--data", "missing.txt"],
            "missing.txt: no such file or folder; give a file, a folder, a glob in quotes or a URL",
        ),
        (["--device", "gpu"], "device: expected auto, cpu, cuda, cuda:N or mps, got gpu"),
        (["--seed", "-1"], "seed: expected an integer from 0 to 2^63 - 1, got -1"),
        (["--seed", str(2**63)], f"seed: expected an integer from 0 to 2^63 - 1, got {2**63}"),
        (["--data", ""], "data: expected a name, got an empty one; leave it out for the built-in data"),
        (["--run", ""], "run: expected a name, got an empty one; leave it out for a new folder in runs/"),
        (["--model.dropout", "2"], "dropout: expected a rate from 0 to below 1, got 2.0"),
    ],
)
def test_a_mistake_is_answered_in_one_line(ostinato, tmp_path, monkeypatch, text, words, message):
    monkeypatch.chdir(tmp_path)
    data = [] if "--data" in words else ["--data", text]
    assert ostinato("train", "lm", *data, *words) == (2, "", f"ostinato: {message}\n")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "training: {batch_sze: 3}",
            "unknown setting training.batch_sze; did you mean batch_size? Expected one of accumulate, ",
        ),
        ("trainin: 3", "unknown setting trainin; did you mean training? Expected one of baselines, data, "),
        ("training: 3", "training: expected settings by name, got 3"),
        ("training: [", "expected settings by name in YAML; cannot read: while parsing "),
        ("- 1", "expected settings by name in YAML; cannot read: - 1"),
        ("seed: one", "seed: expected an integer, got one"),
        ("training: {batch_size: 0}", "training.batch_size: expected an integer of at least 1, got 0"),
    ],
)
def test_a_mistake_in_a_file_is_answered_in_one_line(ostinato, tmp_path, content, message):
    path = tmp_path / "run.yaml"
    path.write_text(content)
    status, out, error = ostinato("train", "lm", "--config", str(path))
    assert (status, out) == (2, "")
    assert error.startswith("ostinato: ")
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize("form", [["--config", "awd-lstm-ptb"], ["--config=awd-lstm-ptb"]])
def test_a_paper_s_recipe_is_a_configuration_and_flags_after_it_win(ostinato, capsys, form):
    with pytest.raises(SystemExit):
        ostinato("train", "lm", *form, "--training.batch_size", "7", "--print_config")
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["hidden_size"] == [1150, 1150, 400]
    assert printed["training"]["learning_rate"] == 30.0
    assert printed["training"]["batch_size"] == 7


def test_a_configuration_that_is_not_there_is_answered_with_those_that_ship(ostinato):
    status, out, error = ostinato("train", "lm", "--config", "zaremba-smal")
    assert (status, out) == (2, "")
    assert error.startswith(
        "ostinato: zaremba-smal is no file, and no configuration that ships; did you mean zaremba-small?"
    )
    assert error.count("\n") == 1
    assert "char-rnn" in error


def test_a_small_text_trains_with_a_paper_s_recipe(ostinato, tmp_path, text):
    folder = tmp_path / "run"
    small = ["--model.hidden_size", "8", "--model.embedding_size", "8", "--training.batch_size", "2", "--device", "cpu"]
    budget = ["--training.max_epochs", "1", "--baselines.markov_orders", "0", "--baselines.window", "0", "--quiet"]
    words = ["--config", "zaremba-small", "--data", text, "--run", str(folder), *small, *budget]
    assert ostinato("train", "lm", *words) == (0, f"{folder}\n", "")
    config = RunFolder(folder).read_config()
    assert config["training"]["learning_rate"] == 20.0
    assert config["model"]["initial_range"] == 0.1


def test_an_unknown_recipe_is_answered_with_what_there_is(ostinato):
    error = ostinato("train", "ml")[2]
    assert error.startswith("ostinato: unknown task ml. Expected one of lm, classify")
    assert error.endswith(": ostinato train lm\n")


def test_the_settings_that_are_printed_are_settings_that_can_be_read(ostinato, tmp_path, capsys):
    with pytest.raises(SystemExit) as ending:
        ostinato("train", "lm", "--seed", "3", "--print_config")
    assert ending.value.code == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["seed"] == 3
    path = tmp_path / "run.yaml"
    path.write_text(printed)
    with pytest.raises(SystemExit):
        ostinato("train", "lm", "--config", str(path), "--training.batch_size", "2", "--print_config")
    again = yaml.safe_load(capsys.readouterr().out)
    assert again.pop("training")["batch_size"] == 2
    expected = yaml.safe_load(printed)
    del expected["training"]
    assert again == expected


def test_built_in_data_have_settings_of_their_own_and_flags_win(ostinato, capsys):
    def printed(*words):
        with pytest.raises(SystemExit):
            ostinato("train", "translate", *words, "--print_config")
        return yaml.safe_load(capsys.readouterr().out)

    built_in, own = printed("--model.hidden_size", "7"), printed("--data", "pairs.tsv")
    assert (built_in["reading"]["tokens"], own["reading"]["tokens"]) == ("char", "bpe")
    assert built_in["model"]["hidden_size"] == 7
    assert built_in["model"]["dropout"] != own["model"]["dropout"]


def test_a_switch_that_may_be_left_to_the_task_stands_alone_too(ostinato, capsys):
    def printed(*words):
        with pytest.raises(SystemExit):
            ostinato("train", "classify", *words, "--print_config")
        return yaml.safe_load(capsys.readouterr().out)["model"]["bidirectional"]

    assert [printed(), printed("--model.bidirectional"), printed("--model.bidirectional", "false")] == [
        None,
        True,
        False,
    ]


@pytest.mark.parametrize(("task", "limit"), [("translate", "max_steps"), ("tag", "max_epochs"), ("lm", "max_time_s")])
def test_a_limit_that_is_given_takes_the_place_of_those_that_suit_the_built_in_data(ostinato, capsys, task, limit):
    with pytest.raises(SystemExit):
        ostinato("train", task, f"--training.{limit}", "900", "--print_config")
    training = yaml.safe_load(capsys.readouterr().out)["training"]
    assert {name: training[name] for name in LIMITS if training[name] is not None} == {limit: 900}


def test_a_run_that_goes_on_with_a_limit_of_its_own_has_that_alone(ostinato, tmp_path, capsys, text):
    folder = str(tmp_path / "run")
    ostinato("train", "lm", "--data", text, "--run", folder, *SMALL, "--training.max_epochs", "0.1", "--quiet")
    with pytest.raises(SystemExit):
        ostinato("train", "lm", "--run", folder, "--resume", "--training.max_steps", "900", "--print_config")
    training = yaml.safe_load(capsys.readouterr().out.partition("training:")[2].join(["training:", ""]))["training"]
    assert [training[name] for name in LIMITS] == [900, None, None]


def test_quiet_prints_the_folder_and_nothing_else(ostinato, tmp_path, text):
    folder = str(tmp_path / "run")
    words = ["--data", text, "--run", folder, *SMALL, "--training.max_steps", "3", "--quiet"]
    assert ostinato("train", "lm", *words) == (0, folder + "\n", "")


def test_plain_lines_where_there_is_no_terminal(ostinato, tmp_path, text):
    folder = str(tmp_path / "run")
    status, out, error = ostinato("train", "lm", "--data", text, "--run", folder, *SMALL, "--training.max_steps", "3")
    assert (status, error) == (0, "")
    assert "\x1b" not in out
    assert "\r" not in out
    assert "fox.txt" in out.splitlines()[0]
    assert len(re.findall(r"^step \d: validation [\d.]+ nats/token, [\d.]+ bits/char", out, re.M)) == 3
    assert "best on the validation text: " in out


def test_interrupted_and_resumed_it_ends_where_it_would_have_ended(tmp_path, text):
    common = ["--data", text, *SMALL, "--training.max_steps", "400", "--training.evaluate_every", "150"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    process = start("train", "lm", "--run", str(whole), *common)
    assert process.communicate(timeout=120)[1] == ""
    assert process.returncode == 0

    process = start("train", "lm", "--run", str(parts), *common)
    while "step 150: validation" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (130, "")
    found = re.search(r"^interrupted at step (\d+); go on with: ostinato (.*)$", out, re.M)
    assert found
    assert 150 <= int(found[1]) < 400

    process = start(*shlex.split(found[2]))
    out, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (0, "")
    assert "step 300: validation" in out
    assert "step 150: validation" not in out
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    ends = [RunFolder(folder).checkpoints.read().state for folder in (whole, parts)]
    assert {name: t.tolist() for name, t in ends[0]["model"].items()} == {
        name: t.tolist() for name, t in ends[1]["model"].items()
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("resume", [False, True])
def test_a_signal_while_the_text_is_read_leaves_everything_as_it_was(
    ostinato, tmp_path, run, text, monkeypatch, number, resume
):
    folder = tmp_path / "run"
    if resume:
        shutil.copytree(run, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(Progress, "show_reading", lambda self, done, total: os.kill(os.getpid(), number))
    words = ["--run", str(folder), *(["--resume"] if resume else ["--data", text])]
    status, _, error = ostinato("train", "lm", *words)
    assert (status, error) == (130, "\nostinato: interrupted\n")
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    lock = folder / "state" / "lock"
    assert {**after, lock: b""} == {**before, lock: b""}
    assert folder.exists() == resume


def test_a_run_that_is_at_work_is_not_disturbed(ostinato, tmp_path, run):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    with RunFolder(folder).locked(resume=True):
        status, _, error = ostinato("train", "lm", "--run", str(folder), "--resume")
    assert status == 2
    assert re.fullmatch(r"ostinato: another run \(process .*\) is at work in .*; wait for its end, or .*\n", error)


def test_training_goes_on_when_nobody_reads_its_lines_any_more(text, tmp_path):
    run = tmp_path / "run"
    with start("train", "lm", "--data", text, "--run", str(run), *SMALL, "--training.max_steps", "6") as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(120) == 0
    assert (run / "report.json").exists()


@pytest.mark.parametrize("task", list(TASKS))
def test_the_help_of_a_task_fits_a_small_window_and_its_examples_are_commands(ostinato, task):
    status, out, _ = ostinato("train", task, "--help")
    assert status == 0
    lines = out.splitlines()
    assert len(lines) < 40
    assert max(map(len, lines)) <= 80
    examples = [line[line.index("ostinato train") :] for line in lines[1:] if "  ostinato train" in line]
    assert len(examples) == 3
    known = train.parser(task)
    for example in examples:
        known.read(example.split()[3:])
    shown = {line.split()[0] for line in lines if line.startswith("  --")}
    assert {"--data", "--run", "--training.learning_rate", "--model.hidden_size"} <= shown <= set(known._flags())


@pytest.mark.parametrize("task", list(TASKS))
def test_the_help_of_a_setting_begins_with_what_it_is(task):
    told = {action.dest: action.help or "" for action in train.parser(task)._actions}
    assert len(told) > 50
    lost = {name: text for name, text in told.items() if re.match(r"(of|from|between|as|likewise)\b", text)}
    assert lost == {}
