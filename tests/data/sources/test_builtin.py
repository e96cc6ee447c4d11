import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from ostinato.data import carbon_dioxide, digits, digits_in_words, number_words
from ostinato.errors import ConfigError


def test_the_digits_are_those_of_scikit_learn_each_once():
    splits = digits()
    pixels, labels = load_digits(return_X_y=True)
    found = np.concatenate([part.pixels for part in (splits.train, splits.validation, splits.test)]).reshape(-1, 64)
    names = np.concatenate([part.labels for part in (splits.train, splits.validation, splits.test)])

    def order(rows, names):
        return sorted((*row, name) for row, name in zip(rows.astype(int).tolist(), names.tolist(), strict=True))

    assert order(found, names) == order(np.asarray(pixels), np.asarray(labels))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [1261, 179, 357]
    assert min(np.bincount(splits.test.labels)) >= 34
    assert splits.train.rows().max() == 1


def test_the_digits_are_named_in_a_language():
    german = digits_in_words("de")
    assert german.test.images.labels is not None
    words = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
    assert german.test.captions == tuple((words[label],) for label in german.test.images.labels)
    assert number_words("en", 12)[-2:] == ("ten", "eleven")
    assert number_words("ko")[:3] == ("영", "일", "이")


def test_a_language_without_number_words_is_told():
    with pytest.raises(ConfigError, match=r"language must be one whose number words are known, af, .*; got 'xx'"):
        number_words("xx")


def test_the_air_of_mauna_loa():
    table = carbon_dioxide()
    (series,) = table.series
    assert (table.step, table.values, len(series)) == ("7 days", ("co2",), 2284)
    assert np.isnan(series.values).sum() == 59
    by_year = [np.nanmean(series.values[i : i + 52]) for i in range(0, 2284 - 52, 52)]
    assert by_year[0] == pytest.approx(316, abs=1)
    assert by_year[-1] == pytest.approx(370, abs=1.5)
    assert np.all(np.diff(by_year) > 0)


def test_libraries_are_loaded_when_data_is_read():
    names = (
        "sources.builtin",
        "records.captions",
        "records.conll",
        "records.dates",
        "sources.frames",
        "records.images",
        "records.marked",
        "records.pairs",
        "series.series",
        "sources.syntax",
        "sources.tables",
        "tokens.vectors",
        "series.windows",
    )
    program = f"import sys, {', '.join('ostinato.data.' + name for name in names)}"
    program += "; ostinato.data.digits(); print(*sys.modules)"  # of scikit-learn, a file is read
    loaded = set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "ostinato.data.series.windows" in loaded
    assert not loaded & {"torch", "polars", "sklearn", "PIL", "babel", "unicode_rbnf"}
