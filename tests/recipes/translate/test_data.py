import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.records.pairs import Pair, Pairs
from ostinato.errors import DataError
from ostinato.recipes.translate.data import (
    TokenPairs,
    TranslateKnown,
    joined,
    prepared,
    texts_of_tokens,
)
from ostinato.recipes.translate.reading import read, read_file, read_part
from ostinato.recipes.translate.settings import TranslateReadingSettings

from ..phrases import phrases, write

WORDS = TranslateReadingSettings(tokens="word")
TEXT = st.text(st.sampled_from("ab Zé.,'-3￭\u0301\u0939\u093f👍🏽\u200d"), max_size=12).map(
    lambda text: " ".join(text.split())
)


def pairs(*given):
    return Pairs("pairs", tuple(Pair(*each) for each in given), (), 0)


@given(text=TEXT, tokens=st.sampled_from(["word", "bpe", "char", "byte"]))
def test_a_text_is_put_together_again_as_it_was(text, tokens):
    reading = TranslateReadingSettings(tokens=tokens)
    if tokens != "word" or "￭" not in text:
        assert joined(prepared(text, reading), reading) == text


def test_words_and_punctuation_are_split_and_those_that_follow_without_a_blank_are_marked():
    assert prepared("He's here, isn't he?", WORDS) == "He ￭' ￭s here ￭, isn ￭' ￭t he ￭?"
    assert prepared("ÄRGER", TranslateReadingSettings(lower_case=True, tokens="char")) == "ärger"


@settings(deadline=None, max_examples=30)
@given(texts=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6), tokens=st.sampled_from(["word", "char", "byte"]))
def test_tokens_of_both_sides_are_those_of_each_text(texts, tokens):
    reading = TranslateReadingSettings(tokens=tokens, joint=False, min_count=1)
    known = TranslateKnown.of(pairs(*texts), reading)
    examples = TokenPairs(pairs(*texts).pairs, known, reading)
    batch = examples.batch(np.arange(len(texts)))
    for n, (source, target) in enumerate(texts):
        for ids, lengths, vocabulary, text in (
            (batch.input, batch.lengths, known.source, source),
            (batch.target, batch.target_lengths, known.target, target),
        ):
            steps = len(ids) if lengths is None else int(lengths[n])
            assert ids[:steps, n].tolist() == vocabulary.encode(prepared(text, reading)).tolist()
        assert examples.counts[n] == len(examples.targets[n]) + 1
        assert examples.lengths[n] == max(len(examples.sources[n]), examples.counts[n])


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("tokens", ["word", "bpe", "char", "byte"])
def test_knowledge_is_kept(joint, tokens):
    reading = TranslateReadingSettings(tokens=tokens, joint=joint, vocabulary_size=260, min_count=1)
    known = TranslateKnown.of(pairs(("ein", "one"), ("zwei", "two")), reading)
    again = TranslateKnown.from_dict(known.to_dict())
    assert again.is_joint == known.is_joint == joint
    assert again.to_dict() == known.to_dict()
    assert len(again.source) == len(known.source)
    if joint:
        assert again.source.encode("ein two").tolist() == again.target.encode("ein two").tolist()


def test_rare_words_are_unknown_and_pieces_have_the_others_names():
    reading = TranslateReadingSettings(tokens="word", joint=False, min_count=2)
    known = TranslateKnown.of(pairs(("ein ein zebra", "one one"), ("ein", "one")), reading)
    assert known.source.encode("ein zebra").tolist() == [2, known.source.unknown_id]
    assert texts_of_tokens(known.target) == ["<unk>", "\n", "one"]


def test_all_words_are_kept_where_all_are_rare():
    how = TranslateReadingSettings(tokens="word", joint=False, min_count=5)
    known = TranslateKnown.of(pairs(("ein", "one"), ("zwei", "two")), how)
    assert known.source.unknown_id not in known.source.encode("ein zwei")


def test_a_file_is_drawn_into_parts_and_parts_can_have_files(tmp_path):
    data = write(tmp_path / "data.tsv", phrases(80))
    drawn = read(data, TranslateReadingSettings(validation_share=0.2, test_share=0.1))
    assert len(drawn.validation) > len(drawn.test) > 0
    assert not {pair.source for pair in drawn.train.pairs} & {pair.source for pair in drawn.test.pairs}
    other = write(tmp_path / "other.tsv", [("a", "b"), ("c", "")])
    given_all = read(data, TranslateReadingSettings(validation=other, test=other))
    assert (len(given_all.train), len(given_all.validation), len(given_all.test)) == (80, 1, 2)


def test_two_files_are_named_with_a_comma(tmp_path):
    (tmp_path / "a.de").write_text("ein\nzwei\n")
    (tmp_path / "a.en").write_text("one\ntwo\n")
    both = f"{tmp_path / 'a.de'},{tmp_path / 'a.en'}"
    assert read_file(both).pairs == (Pair("ein", "one"), Pair("zwei", "two"))
    for wrong in (f"{both},{both}", f"{tmp_path / 'b.de'},"):
        with pytest.raises(DataError, match="expected two files with a comma between them"):
            read_file(wrong)
    with pytest.raises(DataError, match=r"expected a second file with the targets, or a \.tsv file"):
        read_file(str(tmp_path / "a.de"))


def test_a_folder_without_languages_says_what_it_wants(tmp_path):
    (tmp_path / "train.de").write_text("ein\n")
    with pytest.raises(
        DataError, match=r"expected train\.tsv there; of two files a part, say what they end in: --reading"
    ):
        read(str(tmp_path), TranslateReadingSettings())
    for part in ("train", "val", "test"):
        write(tmp_path / f"{part}.tsv", phrases(5))
    assert len(read(str(tmp_path), TranslateReadingSettings()).test) == 5
    assert len(read_part(str(tmp_path), TranslateReadingSettings(), labelled=True)) == 5


def test_texts_to_translate_are_the_lines_of_a_file_or_of_standard_input(tmp_path, monkeypatch):
    (tmp_path / "new.de").write_text("ein\n\n zwei \n")
    lines = read_part(str(tmp_path / "new.de"), WORDS, labelled=False)
    assert [pair.source for pair in lines.pairs] == ["ein", "", "zwei"]
    table = read_part(write(tmp_path / "new.tsv", phrases(4)), WORDS, labelled=False)
    assert [pair.source for pair in table.pairs] == [source for source, _ in phrases(4)]
    monkeypatch.setattr("sys.stdin", io.StringIO("drei\n"))
    assert [pair.source for pair in read_part("-", WORDS, labelled=False).pairs] == ["drei"]


def test_an_accent_in_two_ways_is_one_where_texts_are_normalised():
    written = pairs(("cafe\u0301 caf\u00e9", "x"), ("cafe\u0301", "x"))
    for form, count in (("none", 2), ("nfc", 1)):
        reading = TranslateReadingSettings(tokens="word", normalisation=form, min_count=1)
        words = TranslateKnown.of(written, reading).source.vocabulary.words
        assert len([word for word in words if word.startswith("caf")]) == count


def test_words_of_a_run_of_before_are_read_as_they_were():
    known = TranslateKnown.of(pairs(("\u0939\u093f\u0928\u094d\u0926\u0940", "x"), ("x", "x")), WORDS)
    content = {key: value for key, value in known.to_dict().items() if key != "breaks"}
    assert TranslateKnown.from_dict(known.to_dict()).breaks == "clusters"
    assert TranslateKnown.from_dict(content).breaks == "code points"
    assert prepared("\u0939\u093f", WORDS, "code points").split() == ["\u0939", "\uffed\u093f"]
    assert prepared("\u0939\u093f", WORDS) == "\u0939\u093f"


def test_tables_are_read_by_the_columns_that_are_set(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,en,de\n1,one,eins\n2,two,zwei\n")
    reading = TranslateReadingSettings(source="de", target="en")
    assert read_part(str(path), reading, labelled=True).pairs == (Pair("eins", "one"), Pair("zwei", "two"))
    assert [pair.source for pair in read_part(str(path), reading, labelled=False).pairs] == ["eins", "zwei"]


def test_a_part_of_a_folder_can_be_another_file(tmp_path):
    for part in ("train", "val", "test_1", "test_2"):
        write(tmp_path / f"{part}.tsv", phrases(5))
    with pytest.raises(DataError, match=r"could both be the test part; say which, such as --reading.test .*test_1.tsv"):
        read(str(tmp_path), TranslateReadingSettings())
    given = TranslateReadingSettings(test=write(tmp_path / "test_1.tsv", phrases(3)))
    assert [len(part) for part in (read(str(tmp_path), given).validation, read(str(tmp_path), given).test)] == [5, 3]
