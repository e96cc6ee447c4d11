"""The benchmark of many texts, with few."""

import polars
import pytest
from benchmarks.texts import chunks, make, train

from ostinato.data import read_examples, read_pairs, read_sentences


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_texts_are_the_same_in_every_form(tmp_path, name, monkeypatch):
    monkeypatch.setattr("benchmarks.texts._CHUNK_ROWS", 30)
    make(tmp_path / name, 100)
    expected = polars.concat(list(chunks(100, ".csv")))
    found = read_examples(tmp_path / name)
    assert [each.text for each in found] == expected["text"].to_list()
    assert [each.label for each in found] == expected["label"].to_list()
    assert len({each.label for each in found}) == 4


def test_pairs_and_sentences_can_be_read(tmp_path):
    make(tmp_path / "a.tsv", 50)
    make(tmp_path / "a.conll", 50)
    pairs, sentences = read_pairs(tmp_path / "a.tsv").pairs, read_sentences(tmp_path / "a.conll")
    assert [each.source.replace("w", "v") for each in pairs] == [each.target for each in pairs]
    assert [" ".join(each.words) for each in sentences] == [each.source for each in pairs]


def test_a_training_is_watched(tmp_path):
    make(tmp_path / "a.csv", 200)
    shares = ["--reading.validation_share", "0.1", "--reading.test_share", "0.1", "--quiet", "true"]
    found = train("classify", str(tmp_path / "a.csv"), tmp_path / "run", 30, shares)
    assert found.read_s > 0
    assert 0 < found.read_bytes <= found.peak_bytes
    assert found.steps_per_s > 0
    assert found.again_s > 0
