"""`ostinato.train`: what is in memory is learnt from as files of the same are, bit for bit; errors in the words of Python."""

import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pandas
import polars
import pytest
import torch
from torch.utils.data import Dataset

import ostinato
from ostinato.data import Recording, Recordings
from ostinato.data.recordings.line_pictures import read_line_pictures
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.recipes import registry
from ostinato.recipes.in_python.kept import keep
from ostinato.recipes.transcribe.task import Transcribe
from ostinato.training import RunFolder

from ..reviews import rows
from ..tagged import sentences
from ..tagged import write as write_columns

HOW = {"quiet": True, "device": "cpu", "precision": "32-true", "training": {"max_steps": 4, "batch_size": 16}}
SMALL = {"hidden_size": 4}


def same_weights(first, second):
    one, other = RunFolder(first).read_model(), RunFolder(second).read_model()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Pairs(Dataset):
    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, at):
        return self.pairs[at]


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """A run on a file, and the file."""
    folder = tmp_path_factory.mktemp("reviews")
    (folder / "a.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows()))
    ostinato.train("classify", folder / "a.csv", run=folder / "run", model=SMALL, **HOW)
    return folder


def as_polars(pairs):
    return polars.DataFrame(pairs, schema=["text", "label"], orient="row")


@pytest.mark.parametrize(
    "made",
    [
        list,
        as_polars,
        lambda pairs: pandas.DataFrame(pairs, columns=["text", "label"]),
        lambda pairs: as_polars(pairs).lazy(),
        lambda pairs: dict(zip(("text", "label"), map(list, zip(*pairs, strict=True)), strict=True)),
        lambda pairs: [{"text": text, "label": label} for text, label in pairs],
        Pairs,
    ],
    ids=["pairs", "polars", "pandas", "lazy", "columns", "rows", "Dataset"],
)
def test_texts_in_memory_are_those_of_a_file(reviews, tmp_path, made):
    ostinato.train("classify", made(rows()), run=tmp_path / "run", model=SMALL, **HOW)
    assert same_weights(tmp_path / "run", reviews / "run")


def test_a_run_of_data_in_memory_is_a_run_as_any_other(reviews, tmp_path):
    trained = ostinato.train("classify", rows(), run=tmp_path / "run", model=SMALL, **HOW)
    again = ostinato.load(tmp_path / "run", "classify")
    assert again.evaluate()[0].figures == trained.evaluate()[0].figures
    assert [file.name for file in (tmp_path / "run" / "data").iterdir()] == ["data.parquet"]
    more = ostinato.train("classify", run=tmp_path / "run", resume=True, quiet=True, training={"max_steps": 6})
    assert more.settings.training.max_steps == 6
    assert more.settings.model.hidden_size == 4
    assert json.loads((tmp_path / "run" / "report.json").read_text())["outcome"]["counters"]["step"] == 6
    with pytest.raises(ConfigError, match="a run that goes on has its data in its folder"):
        ostinato.train("classify", rows(), run=tmp_path / "run", resume=True, quiet=True)


def test_settings_are_groups_or_have_dots(reviews, tmp_path):
    dotted = {"model.hidden_size": 4, "training.batch_size": 16}
    changed = {**HOW, "training": {"max_steps": 4}}
    (tmp_path / "a.yaml").write_text("model: {hidden_size: 99}\nseed: 0\n")
    ostinato.train("classify", reviews / "a.csv", run=tmp_path / "run", config=tmp_path / "a.yaml", **dotted, **changed)
    assert same_weights(tmp_path / "run", reviews / "run")


def test_parts_of_their_own_may_be_in_memory_too(tmp_path):
    trained = ostinato.train(
        "classify",
        as_polars(rows()),
        run=tmp_path / "run",
        model=SMALL,
        reading={"validation": as_polars(rows(10)), "test": rows(6)},
        **HOW,
    )
    scores = json.loads((tmp_path / "run" / "report.json").read_text())["scores"]
    assert (scores["validation"]["examples"], scores["test"]["examples"]) == (10, 6)
    assert trained.settings.reading.test == str((tmp_path / "run" / "data" / "test.parquet").absolute())


def test_recordings_in_memory_are_those_of_an_archive(tmp_path):
    draw = np.random.default_rng(0)
    x = [draw.normal(size=(int(n), 2)).astype(np.float32) for n in draw.integers(5, 9, 40)]
    y = ["up" if each[:, 0].sum() > 0 else "down" for each in x]
    filled = np.zeros((40, max(map(len, x)), 2), np.float32)
    for row, each in zip(filled, x, strict=True):
        row[: len(each)] = each
    np.savez(tmp_path / "a.npz", x=filled, y=np.array(y), lengths=np.array(list(map(len, x))))
    items = tuple(Recording(str(at), values, label) for at, (values, label) in enumerate(zip(x, y, strict=True)))
    given = {
        "file": tmp_path / "a.npz",
        "mapping": {"x": x, "y": y},
        "pairs": list(zip(x, y, strict=True)),
        "tensors": Pairs([(torch.from_numpy(values), label) for values, label in zip(x, y, strict=True)]),
        "recordings": Recordings(("x0", "x1"), items),
    }
    for name, data in given.items():
        ostinato.train("classify", data, run=tmp_path / name, model=SMALL, **HOW)
        assert same_weights(tmp_path / name, tmp_path / "file"), name


def test_sentences_in_memory_are_those_of_a_file(tmp_path):
    file = write_columns(tmp_path / "a.conll", sentences())
    pairs = [tuple(map(list, zip(*each, strict=True))) for each in sentences()]
    frame = polars.DataFrame({"tokens": [words for words, _ in pairs], "tags": [tags for _, tags in pairs]})
    for name, data in (("file", file), ("memory", pairs), ("frame", frame)):
        ostinato.train("tag", data, run=tmp_path / name, model={"hidden_size": 4, "embedding_size": 4}, **HOW)
        assert same_weights(tmp_path / name, tmp_path / "file")


def test_pairs_in_memory_are_those_of_a_table(tmp_path):
    pairs = [(f"ein {n}", f"one {n}") for n in range(40)]
    (tmp_path / "a.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in pairs))
    for name, data in (("file", tmp_path / "a.tsv"), ("memory", pairs)):
        ostinato.train("translate", data, run=tmp_path / name, model={"hidden_size": 4, "embedding_size": 4}, **HOW)
    assert same_weights(tmp_path / "memory", tmp_path / "file")


def test_series_in_memory_are_those_of_a_table(tmp_path):
    days = pandas.date_range("2024-01-01", periods=120)
    sold = [round(50 + 10 * float(np.sin(n)), 3) for n in range(120)]
    frame = pandas.DataFrame({"date": days, "sold": sold})
    frame.to_csv(tmp_path / "a.csv", index=False)
    for name, data in (("file", tmp_path / "a.csv"), ("column", frame.set_index("date")["sold"])):
        ostinato.train("forecast", data, run=tmp_path / name, model=SMALL, reading={"horizon": 5}, **HOW)
        assert same_weights(tmp_path / name, tmp_path / "file"), name


def test_a_language_model_learns_from_texts(tmp_path):
    texts = ["the quick brown fox jumps over the lazy dog\n" * 8] * 5
    model = ostinato.train(
        "lm", texts, run=tmp_path / "run", model=SMALL, baselines={"markov_orders": 0, "window": 0},
        quiet=True, device="cpu", training={"max_steps": 2, "batch_size": 2, "chunk_length": 8},
    )  # fmt: skip
    assert isinstance(model.generate(length=3, seed=0), str)
    told = repr(model)
    assert f"run: lm, {sum(each.numel() for each in model.parameters()):,} parameters" in told
    assert f"run         {tmp_path / 'run'}" in told
    assert "bits per character" in told
    assert len(list((tmp_path / "run" / "data" / "data").iterdir())) == 5


@pytest.mark.parametrize(
    ("data", "settings", "error", "message"),
    [
        (None, {"model": {"hidden": 3}}, ConfigError, "unknown setting model.hidden; expected one of"),
        (None, {"hidden_size": 3}, ConfigError, "unknown setting hidden_size; expected one of"),
        (None, {"model": 3}, ConfigError, "model: expected settings by name, got 3"),
        (None, {"resume": True}, ConfigError, "resume needs run=FOLDER"),
        (None, {"devices": 2}, ConfigError, "devices, nodes: expected 1 of each in one Python process"),
        (rows(), {"reading": {"text": "review"}}, DataError, "^data.parquet: has no column 'review'; .* one with reading.text$"),
        ([], {}, DataError, "data: expected at least one example, got none"),
        (3, {}, DataError, "data: expected a path, a frame, arrays, a list of pairs or a Dataset, got an int"),
        ([("a", "b", "c")], {}, DataError, r"data: expected pairs \(text, label\), got a tuple of str"),
        ([("a", "b"), (3, "b")], {}, DataError, "data: expected a text in every pair, got an int"),
        ({"text": ["a"], "label": ["b", "c"]}, {}, DataError, "expected as many cells in each, got text 1, label 2"),
        ("missing.csv", {}, DataError, "missing.csv: no such file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_and_leaves_nothing_behind(tmp_path, data, settings, error, message):
    run = {} if "resume" in settings else {"run": tmp_path / "runs" / "run"}
    with pytest.raises(error, match=message):
        ostinato.train("classify", data, quiet=True, **run, **settings)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_there_is_kept(reviews):
    with pytest.raises(RunError, match="already holds a run; add resume=True to go on with it, or choose another run="):
        ostinato.train("classify", rows(), run=reviews / "run", quiet=True)
    assert not (reviews / "run" / "data").exists()
    with pytest.raises(RunError, match="is a run of the task classify, not tag"):
        ostinato.load(reviews / "run", "tag")
    with pytest.raises(ConfigError, match=r"is a run of the task classify, not tag; call ostinato.train\('classify'"):
        ostinato.train("tag", run=reviews / "run", resume=True)


def test_what_is_not_of_the_run_is_not_written_over(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data.parquet").write_text("mine")
    with pytest.raises(
        ConfigError, match="is there already, and may hold what is not of this run; choose another run="
    ):
        ostinato.train("classify", rows(), run=tmp_path, quiet=True)
    assert (tmp_path / "data" / "data.parquet").read_text() == "mine"


def test_settings_that_are_given_stay_as_they_are(tmp_path):
    reading = {"validation": rows(10)}
    with pytest.raises(ConfigError, match=r"model.hidden_size"):
        ostinato.train("classify", rows(), run=tmp_path / "run", reading=reading, model={"hidden_size": "x"})
    assert reading == {"validation": rows(10)}
    assert list(tmp_path.iterdir()) == []


def test_one_process_of_several_reads_files_only(tmp_path, monkeypatch):
    monkeypatch.setattr("ostinato.recipes.in_python.training.is_launched", lambda: True)
    with pytest.raises(ConfigError, match="data: data in memory are for one process"):
        ostinato.train("classify", rows(), run=tmp_path / "run")


def test_an_interrupt_says_how_to_go_on(reviews, tmp_path):
    def stop(step, loss):
        threading.Timer(0.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        threading.Event().wait(0.3)

    how = {**HOW, "training": {"max_steps": 200, "evaluate_every": 2}}
    with pytest.raises(KeyboardInterrupt, match=r"go on with ostinato.train\('classify', run='.*run', resume=True\)"):
        ostinato.train("classify", rows(), run=tmp_path / "run", model=SMALL, on_evaluation=stop, **how)
    going_on = ostinato.train("classify", run=tmp_path / "run", resume=True, quiet=True, training={"max_steps": 5})
    assert Path(going_on.folder) == tmp_path / "run"


def test_the_built_in_data_have_the_settings_that_suit_them(monkeypatch):
    seen = []

    def stop(task, settings, *_):
        seen.append(settings)
        raise DataError("enough")

    monkeypatch.setattr("ostinato.recipes.in_python.training.train_task", stop)
    with pytest.raises(DataError, match="enough"):
        ostinato.train("translate", quiet=True)
    assert seen == [registry.TASKS["translate"].built_in_settings(quiet=True, run=seen[0].run)]
    assert not Path(seen[0].run).exists()


def pages(count=30, *, alike=False):
    """Pictures of two letters, every third as deep as scanners have it, and what is written there."""
    from PIL import Image

    draw, found = np.random.default_rng(0), []
    for n in range(count):
        text = "ab" if n % 2 else "ba"
        page = np.full((20, 60 if alike else 60 + n), 240, np.uint8)
        for at, letter in enumerate(text):
            page[4:16, 10 + 20 * at : (14 if letter == "a" else 22) + 20 * at] = 30 + draw.integers(20)
        # Among eight bits deep ones were white paper, and eight bits black ink among these.
        found.append((Image.fromarray(page if n % 3 or alike else page.astype(np.uint16) * 257), text))
    return found


@pytest.mark.parametrize("kind", ["images", "arrays", "x and y"])
def test_pictures_of_lines_in_memory_are_read_as_files_are(kind, tmp_path):
    given = pages(alike=kind == "x and y")
    data = given if kind == "images" else [(np.asarray(page), text) for page, text in given]
    if kind == "x and y":
        data = (np.stack([page for page, _ in data]), [text for _, text in data])
    kept = read_line_pictures(
        str(keep(data, tmp_path / "kept", "data", Transcribe.pair)), 24, text=None, names=["text"]
    )
    folder = tmp_path / "pages"
    folder.mkdir()
    for n, (page, text) in enumerate(given):
        page.save(folder / f"{n + 1:06}.png")
        (folder / f"{n + 1:06}.txt").write_text(text)
    files = read_line_pictures(str(folder), 24, text=None, names=["text"])
    assert [each.label for each in kept.items] == [each.label for each in files.items] == [text for _, text in given]
    assert all((one.values == other.values).all() for one, other in zip(kept.items, files.items, strict=True))


def test_a_transcriber_learns_from_pictures_in_memory(tmp_path):
    trained = ostinato.train("transcribe", pages(), run=str(tmp_path / "run"), **{**HOW, "model": SMALL})
    assert trained.known.height == 24
    assert isinstance(trained.predict(pages(2)[1][0]).text, str)


def test_deep_and_shallow_pictures_side_by_side_are_as_bright(tmp_path):
    shallow = np.full((4, 4), 200, np.uint8)
    file = keep([(shallow, "a"), (shallow.astype(np.uint16) * 257, "b")], tmp_path, "data")
    x = np.load(file)["x"]
    assert x.dtype == np.uint8
    assert (x == 200).all()


def test_labels_of_another_number_are_told_of_whatever_they_are(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 9, 2))
    for data in ((x, ["a"] * 19), {"x": x, "y": np.arange(21)}, {"x_train": x, "y_train": np.arange(2)}):
        with pytest.raises(DataError, match=r"expected as many in y.* as examples in x, got .* beside 20"):
            ostinato.train("classify", data, run=str(tmp_path / "run"), **HOW)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(19))
    with pytest.raises(DataError, match=r"expected a class for each recording, \(20,\)"):
        ostinato.train("classify", str(tmp_path / "a.npz"), run=str(tmp_path / "run"), **HOW)
