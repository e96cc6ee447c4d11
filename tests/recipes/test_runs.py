import os
import shutil

import pytest

from ostinato.data import CharVocabulary
from ostinato.errors import RunError
from ostinato.recipes import load, train
from ostinato.recipes.lm.settings import LanguageModelSettings, ModelSettings
from ostinato.recipes.lm.task import LanguageModelling
from ostinato.recipes.runs import latest_run, new_run
from tests.recipes.conftest import small


@pytest.fixture
def copy(result, tmp_path):
    return shutil.copytree(result.run.path, tmp_path / "copy")


def test_new_runs_do_not_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: form.replace("%Y%m%d-%H%M%S", "20260101-000000"))
    first = new_run()
    assert str(first) == os.path.join("runs", "lm-20260101-000000")
    first.mkdir(parents=True)
    assert new_run().name == "lm-20260101-000000-2"


def test_the_latest_run_is_the_one_written_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="no run in runs/ here"):
        latest_run()
    for age, name in enumerate(["b", "a", "c"]):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("")
        os.utime(folder / "config.yaml", (1000 - age, 1000 - age))
    (tmp_path / "runs" / "not-a-run").mkdir()
    assert latest_run().name == "b"


def test_every_setting_of_the_model_reaches_it():
    settings = ModelSettings(
        cell="gru",
        embedding_size=6,
        hidden_size=[5, 6],
        num_layers=2,
        dropout=0.1,
        tied=True,
        options={"weight_dropout": 0.5},
        embedding_dropout=0.2,
        input_dropout=0.3,
        output_dropout=0.4,
        locked_dropout=True,
        activation_regularisation=2.0,
        temporal_activation_regularisation=1.0,
        embedding_range=0.01,
    )
    model = LanguageModelling().build(LanguageModelSettings(model=settings), CharVocabulary("abc"))
    assert model.recurrent.hidden_sizes == (5, 6)
    assert model.recurrent.options.weight_dropout == 0.5
    assert model.recurrent.options.variational_dropout.input == 0.1
    assert model.output.weight is model.embedding.weight
    assert model.embedding.weight.abs().max() <= 0.01
    assert (model.word_dropout.rate, model.dropout.rate) == (0.2, 0.4)
    assert 1 - (1 - model.input_dropout.rate) * (1 - 0.1) == pytest.approx(0.3)
    assert (model.alpha, model.beta) == (2.0, 1.0)
    filled = LanguageModelling().build(
        LanguageModelSettings(model=ModelSettings(initial_range=0.01)), CharVocabulary("abc")
    )
    assert all(bool((parameter.abs() <= 0.01).all()) for parameter in filled.parameters())


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(RunError, match="no run folder at"):
        load(tmp_path / "nothing")
    with pytest.raises(RunError, match="is not a run"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary.json", "config.yaml"])
def test_a_file_that_is_missing_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(RunError, match=name):
        load(copy)


def test_a_damaged_model_is_named(copy):
    (copy / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(RunError, match=r"model\.safetensors is damaged"):
        load(copy)


def test_a_model_that_does_not_fit_its_settings_is_named(copy):
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace("hidden_size: 16", "hidden_size: 17"))
    with pytest.raises(RunError, match=r"model\.safetensors does not fit .*config\.yaml.*size mismatch"):
        load(copy)


def test_settings_of_another_version_are_named(copy):
    config = copy / "config.yaml"
    config.write_text(config.read_text() + "colour: red\n")
    with pytest.raises(RunError, match=r"config\.yaml is damaged, or of another version.*unknown setting colour"):
        load(copy)


def test_the_latest_run_of_a_task_is_found_among_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for age, task in enumerate(["classify", "lm"]):
        folder = tmp_path / "runs" / task
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(f"task: {task}\n")
        os.utime(folder / "config.yaml", (1000 - age, 1000 - age))
    assert latest_run().name == "classify"
    assert latest_run("lm").name == "lm"


@pytest.mark.parametrize("name", ["config.yaml", "vocabulary.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_plain_file_is_neither_waited_for_nor_read(copy, name, kind):
    (copy / name).unlink()
    if kind == "pipe":
        os.mkfifo(copy / name)
    elif kind == "device":
        (copy / name).symlink_to("/dev/zero")
    else:
        (copy / name).mkdir()
    with pytest.raises(RunError, match=rf"{name}.*expected a plain file, got a {kind}"):
        load(copy)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_run_with_pipes_in_it_is_not_resumed(copy, kind, text):
    for file in [copy / "metrics.jsonl", *(copy / "state").glob("step-*")]:
        file.unlink()
        os.mkfifo(file) if kind == "pipe" else file.symlink_to("/dev/zero")
    with pytest.raises(RunError, match=f"expected a plain file, got a {kind}"):
        train(small(copy, text, resume=True))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("cell: lstm", "cell: {lstm: 1}", "model.cell: expected one of lstm, gru.*, got {'lstm': 1}"),
        (
            "hidden_size: 16",
            "hidden_size: .nan",
            "model.hidden_size: expected an integer or a list of integers, got nan",
        ),
        (
            "hidden_size: 16",
            "hidden_size: true",
            "model.hidden_size: expected an integer or a list of integers, got True",
        ),
        ("hidden_size: 16", "hidden_size: 100000000", "model.hidden_size: expected at most 1,000,000, got 100000000"),
        ("hidden_size: 16", "hidden_size: 900000", r"does not fit .*size mismatch for output.weight"),
        ("num_layers: 1", "num_layers: 1000000", "model.num_layers: expected at most 1,000, got 1000000"),
        ("num_layers: 1", "num_layers: 300", "does not fit .*missing recurrent"),
        ("options: {}", "options: {zoneout: .nan}", "damaged"),
        ("options: {}", "options: {zzz: 1}", "damaged"),
        ("seed: 0", "seed: {}", "seed: expected an integer, got {}"),
        ("seed: 0", "seed: 2024-13-45", "damaged"),
        ("seed: 0", "seed: " + "[" * 1500 + "]" * 1500, "damaged"),
        ("seed: 0", "seed: &a [*a]", "seed: expected an integer"),
        ("dropout: 0.0", "dropout: .inf", "dropout"),
        ("task: lm", "task: [lm]", "task"),
        ("task: lm", "1: lm", "unknown setting 1"),
    ],
)
def test_damaged_settings_are_named(copy, before, after, message):
    config = copy / "config.yaml"
    content = config.read_text()
    assert before in content
    config.write_text(content.replace(before, after, 1))
    with pytest.raises(RunError, match=message):
        load(copy)
