"""Answers in partitions are those of one process, of every task; and so is what is measured."""

import json
import shutil
from pathlib import Path

import polars
import pytest

from ostinato.errors import ConfigError, RunError
from ostinato.recipes import open_run
from ostinato.recipes.engines.answer_files import answers_into
from ostinato.recipes.engines.evaluating import JudgeWorker, evaluate_by
from ostinato.recipes.engines.folder import PartFolder
from ostinato.recipes.engines.predicting import predict_in_parts
from ostinato.recipes.engines.work import Work
from tests.releases.make import HERE

from .here import Here

RUNS = sorted(file.parent for file in (HERE / "0_2_0").glob("*/model.safetensors") if file.parent.name != "lm")


def data_of(run):
    (file,) = run.glob("data.*")
    return str(file)


def in_parts(run, data, output, *, suffix=".jsonl", rows=2, crew=None):
    crew = crew or Here()
    work = Work(str(run), data, device="cpu", output=str(output), suffix=suffix)
    return predict_in_parts(work, crew.team, open_run(run), rows=rows, on_part=lambda done, size: None)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_partitions_hold_the_answers_of_one_process_in_their_order(run, tmp_path):
    found = in_parts(run, data_of(run), tmp_path / "out", crew=Here(deaths=(2,)))
    trained = open_run(run)
    expected = trained.predict(data=data_of(run))
    parts = PartFolder(tmp_path / "out", ".jsonl").parts()
    assert len(parts) == found.parts == -(-len(expected) // 2)
    lines = [line for part in parts for line in part.read_text().splitlines()]
    assert len(lines) == len(expected) == found.rows
    for line, answer in zip(lines, expected, strict=True):
        assert_alike(json.loads(line), json.loads(json.dumps(answer)), exactly=trained.task.name == "forecast")


def assert_alike(mine, theirs, *, exactly):
    """To the last digit where a task promises it: elsewhere sums of float32 depend on what is beside a row."""
    if isinstance(theirs, dict):
        assert list(mine) == list(theirs)
        for name, value in theirs.items():
            assert_alike(mine[name], value, exactly=exactly)
    elif isinstance(theirs, list):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            assert_alike(one, other, exactly=exactly)
    elif isinstance(theirs, float) and not exactly:
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5)
    else:
        assert mine == theirs


@pytest.mark.parametrize("name", ["tag_words", "forecast"])
def test_rows_of_steps_go_on_counting_from_partition_to_partition(name, tmp_path):
    run = HERE / "0_2_0" / name
    in_parts(run, data_of(run), tmp_path / "out.parquet", suffix=".parquet", rows=1)
    folder = PartFolder(tmp_path / "out.parquet", ".parquet")
    parts = [polars.read_parquet(part) for part in folder.parts()]
    assert all(part.schema == parts[0].schema for part in parts)
    folder.join(tmp_path / "joined.parquet")
    assert not folder.path.exists()
    trained = open_run(run)
    with answers_into(
        str(tmp_path / "one.parquet"), trained.task, lambda a: trained.task.table_rows(trained, a)
    ) as put:
        for answer in trained.stream(data=data_of(run)):
            put(answer)
    mine, theirs = (polars.read_parquet(tmp_path / f"{each}.parquet") for each in ("joined", "one"))
    for column in theirs.columns:
        if theirs[column].dtype.is_float() and name != "forecast":
            assert mine[column].to_list() == pytest.approx(theirs[column].to_list(), rel=1e-4, abs=1e-5)
        else:
            assert mine[column].to_list() == theirs[column].to_list()


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_many_measure_what_one_measures(run, monkeypatch):
    trained = open_run(run)
    monkeypatch.setattr(type(trained.task), "rows", 2)  # several batches of the few examples there are
    data = data_of(run)
    alone, _ = trained.evaluate(data)
    crew = Here(JudgeWorker, deaths=(1,))
    many, _ = evaluate_by(Work(str(run), data, device="cpu"), crew.team, open_run(run), lambda done, size: None)
    assert crew.calls > 2
    assert json.dumps(many.figures) == json.dumps(alone.figures)
    assert json.dumps([many.loss, many.count, many.examples]) == json.dumps([alone.loss, alone.count, alone.examples])
    assert json.dumps(many.details, default=str) == json.dumps(alone.details, default=str)


def test_what_is_there_is_not_done_again_and_what_is_missing_is(tmp_path):
    run = HERE / "0_2_0" / "classify_texts"
    in_parts(run, data_of(run), tmp_path / "out", rows=20)
    parts = PartFolder(tmp_path / "out", ".jsonl").parts()
    before = [part.read_bytes() for part in parts]
    parts[1].unlink()
    parts[2].write_text("kept\n")
    (tmp_path / "out" / ".host-7-part-00001.jsonl").write_text("of one that was killed")
    found = in_parts(run, data_of(run), tmp_path / "out", rows=20)
    assert (found.parts, found.before, found.rows) == (4, 3, 20)
    assert [part.read_bytes() for part in parts] == [before[0], before[1], b"kept\n", before[3]]
    assert not list((tmp_path / "out").glob(".host*"))
    assert json.loads((tmp_path / "out" / ".parts.json").read_text())["parts"] == 4


def test_a_folder_is_not_mixed_with_other_answers(tmp_path):
    run, other = tmp_path / "run", tmp_path / "other"
    for folder in (run, other):
        shutil.copytree(HERE / "0_2_0" / "classify_texts", folder)
    data = str(tmp_path / "data.csv")
    shutil.copy(data_of(run), data)
    in_parts(run, data, tmp_path / "out")
    with pytest.raises(RunError, match="holds partitions of another number of rows than this"):
        in_parts(run, data, tmp_path / "out", rows=3)
    config = other / "config.yaml"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(RunError, match="holds partitions of another run than this"):
        in_parts(other, data, tmp_path / "out")
    Path(data).write_text(Path(data).read_text() + "dull,no\n")
    with pytest.raises(RunError, match="of other data than this, or of the same before a file was changed; choose"):
        in_parts(run, data, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="holds files that are no partitions"):
        in_parts(run, data, tmp_path / "mine")
    with (
        PartFolder(tmp_path / "out", ".jsonl").begun({}),
        pytest.raises(RunError, match=r"another process .* is at work in"),
    ):
        in_parts(run, data, tmp_path / "out")


def test_a_piece_that_cannot_be_read_is_told_of_and_the_others_are_written(tmp_path):
    run = HERE / "0_2_0" / "classify_texts"
    lines = Path(data_of(run)).read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join(lines[:41]))
    (tmp_path / "b.csv").write_text("\n".join([*lines[:31], "a,b,c,d", *lines[31:]]))
    found = in_parts(run, str(tmp_path), tmp_path / "out", rows=20)
    assert found.parts == 7
    (told,) = found.unread
    assert told.startswith(f"{tmp_path / 'b.csv'}, line 32: has 4 cells")
    assert len(PartFolder(tmp_path / "out", ".jsonl").parts()) == 6
    assert json.loads((tmp_path / "out" / ".parts.json").read_text())["parts"] is None


def test_columns_of_partitions_have_one_type(tmp_path):
    folder = PartFolder(tmp_path, ".parquet")
    columns = [{"a": [1], "b": [None]}, {"a": [0.5], "b": ["x"]}, {"a": [2], "b": [None]}]
    for number, content in enumerate(columns):
        polars.DataFrame(content).write_parquet(folder.part(number))
    folder.agree()
    assert polars.read_parquet(tmp_path / "part-*.parquet").to_dict(as_series=False) == {
        "a": [1.0, 0.5, 2.0],
        "b": [None, "x", None],
    }


def test_an_error_leaves_no_partition(tmp_path):
    folder = PartFolder(tmp_path, ".jsonl")

    def fail(path):
        path.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), folder.new_part(0) as path:
        fail(path)
    assert not list(tmp_path.iterdir())


def test_a_language_model_is_measured_by_one_process(monkeypatch):
    run = HERE / "0_2_0" / "lm"
    monkeypatch.chdir(run)
    with pytest.raises(ConfigError, match="the task lm reads its data from the beginning to the end"):
        evaluate_by(Work(str(run), data_of(run)), Here(JudgeWorker).team, open_run(run), lambda done, size: None)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_of_data_without_an_example_one_file_has_no_row(tmp_path, suffix):
    folder, target = PartFolder(tmp_path / "parts", suffix), tmp_path / f"all{suffix}"
    with folder.begun({}):
        folder.end({}, 0)
    folder.join(target)
    assert (polars.read_parquet(target).height if suffix == ".parquet" else len(target.read_bytes())) == 0
    assert list(tmp_path.iterdir()) == [target]
