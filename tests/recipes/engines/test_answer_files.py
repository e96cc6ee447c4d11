"""Answers in files of every form, from the command line; and what becomes of each part of them in a table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import polars
import pytest

from ostinato.cli.main import main
from ostinato.recipes.engines import answer_files
from ostinato.recipes.engines.answer_files import answers_into, rows_of


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A run, and a file to predict for."""
    folder = tmp_path_factory.mktemp("run")
    table, new = folder / "reviews.csv", folder / "new.txt"
    table.write_text("text,label\n" + "so good,yes\nquite bad,no\n" * 20)
    new.write_text('good\nbad, "really"\n')
    words = [
        "train",
        "classify",
        "--data",
        str(table),
        "--run",
        str(folder / "run"),
        "--quiet",
        "--training.max_steps",
        "2",
    ]
    assert main([*words, "--model.hidden_size", "4", "--model.embedding_size", "4"]) == 0
    return str(folder / "run"), str(new)


@pytest.fixture(scope="module")
def answers(classifier: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    file = tmp_path_factory.mktemp("answers") / "out.jsonl"
    assert main(["predict", *classifier, "--output", str(file)]) == 0
    return [json.loads(line) for line in file.read_text().splitlines()]


FLAT = ["text", "class", "probability", "probabilities.no", "probabilities.yes"]


def flat(answer: dict[str, Any]) -> list[Any]:
    return [answer["text"], answer["class"], answer["probability"], *answer["probabilities"].values()]


@pytest.mark.parametrize(("name", "separator"), [("out.csv", ","), ("OUT.TSV", "\t")])
def test_a_table_has_a_row_an_answer(
    name: str, separator: str, classifier: tuple[str, str], answers: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert main(["predict", *classifier, "--output", str(tmp_path / name)]) == 0
    with (tmp_path / name).open(newline="") as file:
        header, *rows = csv.reader(file, delimiter=separator)
    assert header == FLAT
    assert rows == [[str(cell) for cell in flat(answer)] for answer in answers]


def test_parquet_has_types(classifier: tuple[str, str], answers: list[dict[str, Any]], tmp_path: Path) -> None:
    assert main(["predict", *classifier, "--output", str(tmp_path / "out.parquet")]) == 0
    table = polars.read_parquet(tmp_path / "out.parquet")
    assert table.columns == FLAT
    assert [list(row) for row in table.rows()] == [flat(answer) for answer in answers]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.docx", ".csv, .tsv, .parquet, .txt, .conllu, .conll, .bio, got .docx"),
        ("out.conllu", "classify are written to .jsonl, .ndjson, .json, .csv, .tsv, .parquet, .txt, got .conllu"),
        ("out.txt", "answers of classify have no text of their own; write .jsonl, .csv or .parquet"),
        ("none/out.parquet", "cannot be written (No such file or directory); choose another --output"),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_is_lost(
    name: str, message: str, classifier: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    if file.parent.exists():
        file.write_text("from before")
    assert main(["predict", *classifier, "--output", str(file)]) == 2
    assert message in capsys.readouterr().err
    assert not file.exists() or file.read_text() == "from before"


def test_what_people_read_is_text(tmp_path: Path) -> None:
    run, words, out = tmp_path / "run", tmp_path / "names.bio", tmp_path / "out.txt"
    words.write_text("Ada\tNAME\nsleeps\tO\n\n" * 20)
    small = ["--model.hidden_size", "4", "--training.max_steps", "30", "--training.learning_rate", "0.1", "--quiet"]
    assert main(["train", "tag", "--data", str(words), "--run", str(run), *small]) == 0
    (tmp_path / "new.txt").write_text("Ada sleeps\nAda\n")
    assert main(["predict", str(run), str(tmp_path / "new.txt"), "--output", str(out)]) == 0
    assert out.read_text() == "Ada/NAME sleeps\nAda/NAME\n"


FORECAST = {
    "series": "north",
    "last": {"time": "2024-01-31", "value": 2.0},
    "times": ["2024-02-01", "2024-02-02"],
    "mean": [1.0, 2.0],
    "intervals": {"50": {"low": [0.5, 1.5], "high": [1.5, 2.5]}},
}
SENTENCE = {"words": ["a", "b"], "tags": ["X", "Y"], "probabilities": [0.5, 0.75]}


def test_answers_of_steps_are_a_row_a_step() -> None:
    rows = rows_of(FORECAST, 4)
    assert rows[1] == {
        "answer": 5,
        "step": 2,
        "series": "north",
        "last.time": "2024-01-31",
        "last.value": 2.0,
        "times": "2024-02-02",
        "mean": 2.0,
        "intervals.50.low": 1.5,
        "intervals.50.high": 2.5,
    }
    assert [row["words"] for row in rows_of(SENTENCE, 0)] == ["a", "b"]
    assert rows_of({"words": [], "tags": []}, 0) == []


def test_what_fits_no_cell_is_left_to_json() -> None:
    translation = {"source": "x", "translation": "y", "n_best": [{"translation": "y"}]}
    assert rows_of(translation, 0) == [{"source": "x", "translation": "y"}]
    assert rows_of({**SENTENCE, "segments": [[0, 2, "X"]], "three": [1, 2, 3]}, 0) == rows_of(SENTENCE, 0)


def test_a_long_table_is_written_in_parts_that_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_files, "_PART_ROWS", 7)
    path = tmp_path / "out.parquet"
    rows = [{"n": at, "late": None if at < 10 else at + 0.5, "name": f"x{at}"} for at in range(40)]
    rows[0]["late"] = None
    with answers_into(str(path), None, lambda answer: [dict(answer)]) as write:
        for row in rows:
            write(row)
    assert polars.read_parquet(path).to_dicts() == rows
    assert [each.name for each in tmp_path.iterdir()] == ["out.parquet"]


def test_what_was_begun_beside_a_table_goes_with_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_files, "_PART_ROWS", 2)

    def interrupted() -> None:
        with answers_into(str(tmp_path / "out.parquet"), None, lambda row: [dict(row)]) as write:
            for at in range(5):
                write({"n": at})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [each.name for each in tmp_path.iterdir()] == ["out.parquet"]
