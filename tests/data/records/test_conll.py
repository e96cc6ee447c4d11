import gzip

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ostinato.data.records.conll import Sentence, read_conllu, read_sentence_splits, read_sentences
from ostinato.errors import ConfigError, DataError


def row(id, form, upos="NOUN", lemma="_", deprel="_"):
    return "\t".join([id, form, lemma, upos, "_", "_", "_", deprel, "_", "_"])


SPANISH = "\n".join(
    [
        "# sent_id = 1",
        "# text = vámonos al mar",
        row("1-2", "vámonos", "_"),
        row("1", "vamos", "VERB"),
        row("2", "nos", "PRON"),
        row("3-4", "al", "_"),
        row("3", "a", "ADP"),
        row("4", "el", "DET"),
        row("5", "mar"),
        row("5.1", "vamos", "VERB"),
        "",
        "",
        "# sent_id = 2",
        row("1", "#", "SYM", lemma="#"),
        row("2", "_", "PUNCT", lemma="_"),
        row("3", "x", "_"),
    ]
)


@pytest.mark.parametrize("ending", ["", "\n", "\n\n"])
def test_only_syntactic_words_are_tagged(tmp_path, ending):
    (tmp_path / "a.conllu").write_text(SPANISH + ending, encoding="utf-8")
    assert read_sentences(tmp_path / "a.conllu") == (
        Sentence(("vamos", "nos", "a", "el", "mar"), ("VERB", "PRON", "ADP", "DET", "NOUN"), 3),
        Sentence(("#", "_", "x"), ("SYM", "PUNCT", None), 14),
    )


def test_any_column_of_a_compressed_file(tmp_path):
    (tmp_path / "a.conllu.gz").write_bytes(gzip.compress(SPANISH.encode()))
    assert read_sentences(tmp_path / "a.conllu.gz", "form")[1].tags[:1] == ("#",)
    assert read_sentences(tmp_path / "a.conllu.gz", "lemma")[1].tags == ("#", "_", None)
    with pytest.raises(DataError, match="column deprel is empty in all lines"):
        read_conllu(tmp_path / "a.conllu.gz", "deprel")
    with pytest.raises(ConfigError, match="must be one of CoNLL-U's id, form"):
        read_conllu(tmp_path / "a.conllu.gz", "pos")
    with pytest.raises(ConfigError, match="got 3"):
        read_sentences(tmp_path / "a.conllu.gz", 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "there is no sentence in it"),
        ("# only = this\n", "there is no sentence in it"),
        (row("1", "a") + "\n2\tb\tNOUN\n", "line 2: expected 10 columns with a tab between, got 3"),
        (row("1", "a") + "\n" + row("1", "b"), "line 2: expected the id 2, got '1'; is the empty line"),
        (row("x", "a"), "line 1: expected the id 1, got 'x'"),
    ],
)
def test_a_broken_treebank_is_told_in_one_line(tmp_path, content, message):
    (tmp_path / "a.conllu").write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_sentences(tmp_path / "a.conllu")
    assert "\n" not in str(caught.value)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=5).filter(str.strip)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5), min_size=1, max_size=5), st.sampled_from("\t ")
)
def test_two_columns_are_read_as_they_were_written(tmp_path_factory, sentences, separator):
    assume(all(sentence[0][0] != "#" for sentence in sentences))  # which may begin a comment
    path = tmp_path_factory.mktemp("columns") / "a.conll"
    lines = [[f"{word}{separator}{tag}" for word, tag in sentence] for sentence in sentences]
    path.write_text("\n\n".join("\n".join(some) for some in lines), encoding="utf-8")
    if lines[0][0].startswith("\ufeff"):  # a byte order mark, not a word
        return
    found = read_sentences(path)
    assert [list(zip(each.words, each.tags, strict=True)) for each in found] == sentences


def test_the_columns_of_conll_2003(tmp_path):
    (tmp_path / "a.txt").write_text("-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n")
    assert read_sentences(tmp_path / "a.txt") == (Sentence(("EU", "rejects"), ("B-ORG", "O"), 3),)
    assert read_sentences(tmp_path / "a.txt", 1)[0].tags == ("NNP", "VBZ")
    assert read_sentences(tmp_path / "a.txt", "1")[0].tags == ("NNP", "VBZ")
    with pytest.raises(ConfigError, match="has 4 columns; column must be 0 to 3, got 4"):
        read_sentences(tmp_path / "a.txt", 4)
    with pytest.raises(ConfigError, match="column must be a number"):
        read_sentences(tmp_path / "a.txt", "upos")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a X\nb\n", "line 2: expected 2 columns as in the lines before, got 1"),
        ("a\nb\n", "expected a word and its tag a line, got one column"),
        ("\n\n", "there is no sentence"),
    ],
)
def test_broken_columns_are_told(tmp_path, content, message):
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(DataError, match=message):
        read_sentences(tmp_path / "a.txt")


def test_words_without_tags_will_do_where_tags_are_predicted(tmp_path):
    (tmp_path / "a.txt").write_text("Paris\nsleeps\n\nGood\n")
    (tmp_path / "a.conllu").write_text(
        "\n".join([row("1", "Paris", "_"), row("2", "sleeps", "_"), "", row("1", "Good", "_")])
    )
    for name in ("a.txt", "a.conllu"):
        found = read_sentences(tmp_path / name, tagged=False)
        assert [sentence.words for sentence in found] == [("Paris", "sleeps"), ("Good",)]
        assert [sentence.tags for sentence in found] == [(None, None), (None,)]
        with pytest.raises(DataError, match=r"one column|is empty in all lines"):
            read_sentences(tmp_path / name)


def test_parts_are_found_in_a_folder_or_drawn(tmp_path):
    sentence = row("1", "a") + "\n\n"
    for name, count in (("xx-ud-train", 30), ("xx-ud-dev", 3), ("xx-ud-test", 5)):
        (tmp_path / f"{name}.conllu").write_text(sentence * count)
    splits = read_sentence_splits(tmp_path)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [30, 3, 5]
    drawn = read_sentence_splits(
        tmp_path / "xx-ud-train.conllu", test=tmp_path / "xx-ud-test.conllu", validation_share=0.5
    )
    assert [len(part) for part in (drawn.train, drawn.validation, drawn.test)] == [15, 15, 5]
    assert {each.line for part in (drawn.train, drawn.validation) for each in part} == set(range(1, 61, 2))


def read(tmp_path, content, **arguments):
    (tmp_path / "a.bio").write_bytes(content.encode())
    return [list(zip(each.words, each.tags, strict=True)) for each in read_sentences(tmp_path / "a.bio", **arguments)]


ADA = [("Ada", "B-PER"), ("lives", "O")]


@pytest.mark.parametrize(
    "content",
    [
        "# id 0\tdomain=en\nAda\tB-PER\nlives\tO\n\n# id 1\tdomain=en\nAda\tB-PER\nlives\tO\n",
        "# id 0\tdomain=en\nAda B-PER\nlives O\n\n# text = Ada lives\n# more\nAda B-PER\nlives O\n",
        "#\thttp://x.org\t[2020]\nAda\tB-PER\nlives\tO\n\n# 1\n\nAda\tB-PER\nlives\tO\n",
        "Ada\t B-PER\nlives \tO \n \nAda\tB-PER\nlives\tO\n\t\n",
        "Ada   B-PER\nlives\tO\n\nAda \t B-PER\n  lives O\n",
        "\ufeffAda\tB-PER\r\nlives\tO\r\n\r\n-DOCSTART-\tO\r\n\r\nAda\tB-PER\r\nlives\tO\r\n",
        "Ada\tB-PER\rlives\tO\r\rAda\tB-PER\rlives\tO\r",
    ],
)
def test_comments_blanks_and_line_ends_are_no_words(tmp_path, content):
    assert read(tmp_path, content) == [ADA, ADA]


@pytest.mark.parametrize("separator", ["\t", " ", "   "])
def test_a_hash_may_be_a_word(tmp_path, separator):
    rows = [("#", "O"), ("#", "#"), ("#Ada", "B-x"), ("a", "O")]
    content = "\n\n".join("\n".join(f"{word}{separator}{tag}" for word, tag in [row, *rows]) for row in rows)
    assert read(tmp_path, content) == [[row, *rows] for row in rows]


def test_comments_that_have_as_many_cells_as_words_are_known_by_their_tag(tmp_path):
    assert read(tmp_path, "# id 7 en\nAda _ _ B-PER\n# _ _ O\n\n# _ _ O\nlives _ _ O\n") == [
        [("Ada", "B-PER"), ("#", "O")],
        [("#", "O"), ("lives", "O")],
    ]


def test_words_and_tags_may_be_in_any_column(tmp_path):
    content = "1\tAda\tB-PER\tO\n2\tlives\tO\tO\n\n1\tAda\tB-PER\tO\n"
    assert read(tmp_path, content, column=2, word_column=1) == [ADA, ADA[:1]]
    with pytest.raises(
        DataError, match=r"a.bio, line 1: column 0 counts the words; name the column .* --reading.word_column"
    ):
        read(tmp_path, content)
    with pytest.raises(ConfigError, match=r"a.bio, line 1: has 4 columns; column must be 0 to 3, got 4"):
        read(tmp_path, content, word_column=4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "Ada\tB-PER\t\nlives\tO\t\n",
            r"line 1: expected a tag in column 2 \(0 is the first\), got an empty cell; .* --reading.column 1",
        ),
        (
            "Ada\tB-PER\nlives\t\n",
            r"line 2: expected a tag in column 1 \(0 .*\), got an empty cell; write the tag of 'lives'",
        ),
        ("Ada B-PER\nlives \n", "line 2: expected 2 columns as in the lines before, got 1"),
        ("Ada\tB-PER\n \tO\n", r"line 2: expected a word in column 0 \(0 is the first\), got an empty cell"),
        ("Ada\tB-PER\n# no\nlives\tO\n", "line 2: expected 2 columns .* comments before the first word"),
    ],
)
def test_a_cell_that_is_missing_is_told_with_its_line(tmp_path, content, message):
    with pytest.raises(DataError, match=rf"a.bio, {message}"):
        read(tmp_path, content)


def test_an_empty_cell_of_a_treebank_is_told(tmp_path):
    (tmp_path / "a.conllu").write_text(row("1", "a", " NOUN") + "\n" + row("2", "b", ""))
    with pytest.raises(DataError, match="line 2: column upos is empty; write _ where there is nothing"):
        read_sentences(tmp_path / "a.conllu")
