"""How often a training opens its files of data: once, but for what is said here."""

import builtins
import dataclasses
import gzip
import io
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import polars
import pytest
from PIL import Image

from ostinato.data.tokens import corpus
from ostinato.recipes import train
from ostinato.recipes.caption.settings import CaptionerSettings, CaptionSettings, UpdateSettings
from ostinato.recipes.lm.settings import TokenSettings

from . import phrases, reviews, tagged, waves
from .conftest import TEXT
from .conftest import small as small_text


def lm_file(data, run):
    (data / "fox.txt").write_text(TEXT)
    return small_text(run, data / "fox.txt")


def lm_compressed(data, run):
    (data / "fox.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    return small_text(run, data / "fox.txt.gz")


def lm_folder(data, run):
    for part in ("train", "valid", "test"):
        (data / f"fox.{part}.txt").write_text(TEXT)
    return small_text(run, data)


def lm_bytes(data, run):
    return dataclasses.replace(lm_file(data, run), tokens=TokenSettings(kind="byte"))


def classify_table(data, run):
    words = sorted({word for text, _ in reviews.rows() for word in text.split()})
    (data / "vectors.txt").write_text("".join(f"{word}{' 0.1' * 8}\n" for word in words))
    settings = reviews.small(run, reviews.write(data / "reviews.csv", reviews.rows()))
    reading = dataclasses.replace(settings.reading, vectors=str(data / "vectors.txt"))
    return dataclasses.replace(settings, reading=reading)


def classify_folder(data, run):
    for number, (text, label) in enumerate(reviews.rows()):
        (data / label).mkdir(exist_ok=True)
        (data / label / f"{number}.txt").write_text(text)
    return reviews.small(run, str(data))


def classify_images(data, run):
    labels = np.arange(60) % 2
    pixels = np.random.default_rng(0).integers(0, 99, (60, 4, 4)) + 100 * labels[:, None, None]
    np.savez(data / "images.npz", images=pixels.astype(np.uint8), labels=labels)
    return reviews.small(run, str(data / "images.npz"))


def tag_columns(data, run):
    return tagged.small(run, tagged.write(data / "tags.tsv", tagged.sentences()))


def tag_treebank(data, run):
    for part in ("train", "dev", "test"):
        tagged.write_conllu(data / f"en-ud-{part}.conllu", tagged.sentences())
    return tagged.small(run, str(data))


def tag_source(data, run):
    for number in range(20):
        (data / f"{number}.py").write_text(f"for i in range({number}):\n    print(i)  # one\n" * 8)
    return tagged.small(run, str(data))


def _recording(number):
    return "t,acc\n" + "".join(f"{t},{t * (number % 2) + 0.5}\n" for t in range(12))


def recordings_table(data, run):
    rows = [f"{n},{t},{t * (n % 2) + 0.5},{'ab'[n % 2]}\n" for n in range(40) for t in range(12)]
    (data / "motion.csv").write_text("id,t,acc,label\n" + "".join(rows))
    return reviews.small(run, str(data / "motion.csv"))


def recordings_lists(data, run):
    rows = [{"values": [[n % 2 + 0.5]] * 5, "label": n % 2} for n in range(40)]
    (data / "motion.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return reviews.small(run, str(data / "motion.jsonl"))


def recordings_archive(data, run):
    np.savez(data / "motion.npz", x=np.random.default_rng(0).normal(size=(40, 5, 2)), y=np.arange(40) % 2)
    return reviews.small(run, str(data / "motion.npz"))


def recordings_folder(data, run):
    for number in range(40):
        (data / "ab"[number % 2]).mkdir(exist_ok=True)
        (data / "ab"[number % 2] / f"{number}.csv").write_text(_recording(number))
    return reviews.small(run, str(data))


def recordings_of_an_archive(data, run):
    for part in ("TRAIN", "TEST"):
        lines = [f"{n % 2 + 0.5},{n % 2},1.5:{n % 2}\n" for n in range(40)]
        (data / f"Gun_{part}.ts").write_text("@univariate true\n@classLabel true 0 1\n@data\n" + "".join(lines))
    return reviews.small(run, str(data))


def tagged_steps(data, run):
    rows = [f"{n},{t},{t * (n % 2) + 0.5},{'ab'[t % 2]}\n" for n in range(40) for t in range(12)]
    (data / "motion.csv").write_text("id,t,acc,label\n" + "".join(rows))
    return tagged.small(run, str(data / "motion.csv"))


def forecast_csv(data, run):
    return waves.small(run, waves.write(data / "sales.csv", waves.rows(60)))


def forecast_parquet(data, run):
    polars.read_csv(waves.write(run.parent / "sales.csv", waves.rows(60))).write_parquet(data / "sales.parquet")
    return waves.small(run, str(data / "sales.parquet"))


def forecast_json(data, run):
    polars.read_csv(waves.write(run.parent / "sales.csv", waves.rows(60))).write_ndjson(data / "sales.jsonl")
    return waves.small(run, str(data / "sales.jsonl"))


def caption(data, run):
    for number in range(30):
        Image.fromarray(np.full((8, 6, 3), number, np.uint8)).save(data / f"{number}.png")
    rows = [{"file": f"{number}.png", "caption": f"A square of {number % 3}."} for number in range(30)]
    (data / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = CaptionerSettings(features=8, embedding_size=8, hidden_size=16, dropout=0.0)
    return CaptionSettings(
        data=str(data),
        run=str(run),
        device="cpu",
        precision="32-true",
        quiet=True,
        model=model,
        training=UpdateSettings(batch_size=16),
    )


def translate_table(data, run):
    return phrases.small(run, phrases.write(data / "pairs.tsv", phrases.phrases(80)))


def translate_sides(data, run):
    for side, lines in zip(("de", "en"), zip(*phrases.phrases(80), strict=True), strict=True):
        (data / f"lines.{side}").write_text("\n".join(lines))
    return phrases.small(run, f"{data / 'lines.de'},{data / 'lines.en'}")


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Trains for two steps on what is made in a folder; gives how often each file there was opened meanwhile."""
    data = tmp_path / "data"
    data.mkdir()

    def count(make):
        settings = make(data, tmp_path / "run")
        found: Counter[str] = Counter()
        with monkeypatch.context() as patch:
            for module in (builtins, io, os):
                patch.setattr(module, "open", _counting(module.open, data, found))
            train(dataclasses.replace(settings, training=dataclasses.replace(settings.training, max_steps=2)))
        assert found.keys() == {str(path) for path in data.rglob("*") if path.is_file()}
        return set(found.values())

    return count


def _counting(function, data, found):
    def counted(file, *args, **options):
        if isinstance(file, str | Path) and data in Path(file).parents:
            found[os.fspath(file)] += 1
        return function(file, *args, **options)

    return counted


@pytest.mark.parametrize(
    "make",
    [
        *(lm_file, lm_compressed, classify_table, classify_folder, classify_images, tag_columns, tag_treebank),
        *(
            recordings_table,
            recordings_lists,
            recordings_archive,
            recordings_folder,
            recordings_of_an_archive,
            tagged_steps,
        ),
        *(forecast_csv, forecast_parquet, forecast_json, caption, translate_table, translate_sides),
    ],
)
def test_a_training_opens_a_file_of_data_once(opened, make):
    assert opened(make) == {1}


@pytest.mark.parametrize("make", [lm_folder, tag_source])
def test_a_file_of_a_folder_of_texts_is_looked_into_before(opened, make):
    """How many texts there are, which parts they make and how large they are is known before the first is read; by then those that
    are not texts are left out, for which 8,000 bytes of each are read. A folder has more files than can stay open or be held."""
    assert opened(make) == {2}


@pytest.mark.parametrize(("make", "times"), [(lm_file, 3), (lm_bytes, 2)])
def test_a_text_that_is_not_held_is_read_again(opened, monkeypatch, make, times):
    """Its characters are counted, which sets where validation begins; then, but for bytes, its vocabulary is built of what is
    before; then it is tokenised. None of these can begin before the one before is done, and the text may be larger than memory."""
    monkeypatch.setattr(corpus, "IN_MEMORY_BYTES", len(TEXT) - 1)
    assert opened(make) == {times}
