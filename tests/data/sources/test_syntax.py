import itertools
import sys
import sysconfig
from pathlib import Path

import pytest

from ostinato.data.sources.syntax import SYNTAX_CLASSES, highlight, python_source
from ostinato.errors import DataError

LETTERS = dict(zip("-knd'#o", SYNTAX_CLASSES, strict=True))


@pytest.mark.parametrize(
    ("source", "letters"),
    [
        ("if x == 10:\n    return 'é'  # ja\n", "kk-n-oo-ddo-----kkkkkk-'''--####-"),
        ('a = """1\n2"""\n', "n-o-'''''''''-"),
        ("f(\n\t0x1F, b'x')\n", "no--ddddo-''''o-"),
        ("x = 1 + \\\n2\n", "n-o-d-o---d-"),
        ("match = é\n\n\ndel é", "nnnnn-o-n---kkk-n"),
        ("", ""),
        ("# x", "###"),
    ],
)
def test_each_character_is_what_it_belongs_to(source, letters):
    assert [SYNTAX_CLASSES[label] for label in highlight(source)] == [LETTERS[letter] for letter in letters]


def test_an_f_string_is_a_string_and_from_python_3_12_on_code_in_braces():
    found = [SYNTAX_CLASSES[label] for label in highlight("f'a{b}'\n")]
    inner = ["operator", "name", "operator"] if sys.version_info >= (3, 12) else ["string"] * 3
    assert found == ["string"] * 3 + inner + ["string", "space"]


@pytest.mark.parametrize("source", ["'''open", "a = (1,\n", "x = 'a\n", "if x:\n        a\n    b\n", "a $ b\n"])
def test_what_is_not_python_is_told(source):
    with pytest.raises(DataError, match="not Python that can be read"):
        highlight(source)


def test_the_library_is_split_by_file():
    splits = python_source(60_000, 20_000, 20_000)
    parts = (splits.train, splits.validation, splits.test)
    names = [file.name for part in parts for file in part]
    assert len(names) == len(set(names))
    root = Path(sysconfig.get_path("stdlib"))
    for file in itertools.chain(*parts):
        assert file.text == (root / file.name).read_text(encoding="utf-8-sig")
        assert file.labels is not None
        assert len(file.text) == len(file.labels)
        assert not file.name.startswith("encodings/")
    for part, characters in zip(parts, (60_000, 20_000, 20_000), strict=True):
        assert characters <= sum(len(file.text) for file in part) < characters + 100_000
    assert [f.name for f in python_source(1, 1, 20_000).test] == [f.name for f in splits.test]


def test_no_characters_are_no_files():
    assert python_source(1, 0, 0).test == ()
