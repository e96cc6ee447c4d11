"""Runs of data that are mapped, against those of the same data in memory: the same numbers to the last bit."""

import json
import random
import shutil

import pytest

import ostinato.data.stored.folder as folder_module
from ostinato.data.mapped import files
from ostinato.recipes import task_training
from ostinato.recipes.classify.task import Classify
from ostinato.recipes.tag.task import Tag
from ostinato.recipes.task import Opening
from ostinato.recipes.trained import load, read_splits
from ostinato.recipes.translate.task import Translate

STEPS = {"training": {"max_steps": 6, "log_every": 1, "batch_size": 8}}


def words(generator, letter, count):
    return [f"{letter}{int(generator.paretovariate(0.7)) % 90}" for _ in range(count)]


def write_texts(path, target):
    generator = random.Random(target)
    rows = []
    for _ in range(160):
        kind = generator.randrange(3)
        text = " ".join([*words(generator, "w", generator.randint(0, 8)), f"own{kind}"])
        label = {"class": f"é {kind}", "number": f"{kind + generator.random():.3f}", "several": ["a;b", "a", "b"][kind]}
        rows.append(f'"{text}",{label[target]}\n')
    path.write_text("text,label\n" + "".join(rows))


def write_sentences(path):
    generator = random.Random(1)
    sentences = [words(generator, "W", generator.randint(1, 6)) for _ in range(120)]
    path.write_text("".join("".join(f"{word}\t{word[-1]}\n" for word in each) + "\n" for each in sentences))


def write_pairs(path):
    generator = random.Random(2)
    pairs = [words(generator, "w", generator.randint(1, 6)) for _ in range(120)]
    path.write_text("".join(f"{' '.join(each)}\t{' '.join(each).replace('w', 'v')}\n" for each in pairs))


TASKS = {
    "classify": ("a.csv", lambda path: write_texts(path, "class"), {"model": {"hidden_size": 8}}),
    "numbers": ("a.csv", lambda path: write_texts(path, "number"), {"model": {"hidden_size": 8}}),
    "several": ("a.csv", lambda path: write_texts(path, "several"), {"model": {"hidden_size": 8}}),
    "tag": ("a.bio", write_sentences, {"model": {"hidden_size": 8}, "reading": {"lower_case": True}}),
    "translate": ("a.tsv", write_pairs, {"model": {"hidden_size": 8}, "reading": {"tokens": "word"}}),
}


def trained(task, data, run, given, **more):
    content = {**STEPS, **given, "data": str(data), "run": str(run), "quiet": True, **more}
    content["training"] = {**STEPS["training"], **more.get("training", {})}
    return task_training.train(task, task.settings.from_dict(content))


def losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    told = ("loss", "gradient_norm", "validation_loss", "validation_accuracy", "validation_mae", "validation_bleu")
    return [(each["step"], *(each.get(name) for name in told)) for each in lines]


@pytest.mark.parametrize("name", TASKS)
def test_a_run_of_mapped_data_is_that_of_the_same_in_memory(tmp_path, name, monkeypatch):
    file, write, given = TASKS[name]
    write(tmp_path / file)
    make = {"tag": Tag, "translate": Translate}.get(name, Classify)
    small = trained(make(), tmp_path / file, tmp_path / "small", given)
    monkeypatch.setattr(files, "MOST_BYTES", 1)
    large = trained(make(), tmp_path / file, tmp_path / "large", given)
    assert not (tmp_path / "small" / "tables").exists()
    assert (tmp_path / "large" / "tables").is_dir()
    assert losses(tmp_path / "small") == losses(tmp_path / "large")
    assert {part: each.figures for part, each in small.scores.items()} == {
        part: each.figures for part, each in large.scores.items()
    }
    assert {part: each.baselines for part, each in small.scores.items()} == {
        part: each.baselines for part, each in large.scores.items()
    }
    # Resumed, it goes on at once with what is there, as the other does.
    monkeypatch.setattr(folder_module, "made_whole", None)
    trained(make(), tmp_path / file, tmp_path / "large", given, resume=True, training={"max_steps": 9})
    monkeypatch.undo()
    trained(make(), tmp_path / file, tmp_path / "small", given, resume=True, training={"max_steps": 9})
    assert losses(tmp_path / "small") == losses(tmp_path / "large")
    monkeypatch.setattr(files, "MOST_BYTES", 1)
    model = load(make(), tmp_path / "large")
    found = model.predict(data=tmp_path / file)
    expected = load(make(), tmp_path / "small").predict(data=tmp_path / file)
    assert [dict(each) for each in found][:5] == [dict(each) for each in expected][:5]


def test_partitions_are_trained_on_and_what_is_wrong_with_one_is_told(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    write_texts(tmp_path / "data" / "part-0.csv", "class")
    shutil.copy(tmp_path / "data" / "part-0.csv", tmp_path / "data" / "part-1.csv")
    task = Classify()
    settings = task.settings.from_dict({"data": str(tmp_path / "data"), "run": str(tmp_path / "run"), "quiet": True})
    splits = read_splits(task, settings, Opening(tmp_path / "run"))
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 320
    with (tmp_path / "data" / "part-1.csv").open("a") as file:
        file.write('"no label",\n')
    with pytest.raises(Exception, match=r"part-1\.csv, line 162: column 'label' is empty"):
        read_splits(task, settings, Opening(tmp_path / "run"))
