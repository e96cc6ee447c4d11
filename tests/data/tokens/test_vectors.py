import gzip

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data import load_vectors, read_vectors
from ostinato.errors import DataError

WORDS = ["the", "cat", "Sat", "london", "zebra"]
VECTORS = {"the": [1.0, 2.0, 3.0], "cat": [0.5, -1.0, 0.25], "sat": [4.0, 5.0, 6.0], "London": [-1.5, 0.0, 2.0]}
EXPECTED = np.array([VECTORS["the"], VECTORS["cat"], VECTORS["sat"], VECTORS["London"], [0, 0, 0]], np.float32)


def text(vectors, header):
    lines = [f"{len(vectors)} 3"] if header else []
    return "".join(
        f"{line}\n" for line in lines + [f"{w} " + " ".join(map(str, v)) for w, v in vectors.items()]
    ).encode()


def binary(vectors, line_end=b"\n"):
    size = len(next(iter(vectors.values())))
    head = f"{len(vectors)} {size}\n".encode()
    return head + b"".join(w.encode() + b" " + np.array(v, "<f4").tobytes() + line_end for w, v in vectors.items())


FORMS = {
    "glove.txt": text(VECTORS, header=False),
    "fasttext.vec": text(VECTORS, header=True),
    "fasttext.vec.gz": gzip.compress(text(VECTORS, header=True)),
    "word2vec.bin": binary(VECTORS),
    "word2vec-without-line-ends.bin": binary(VECTORS, b""),
    "word2vec.bin.gz": gzip.compress(binary(VECTORS)),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_vectors(tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name])
    vectors, known, coverage = read_vectors(tmp_path / name, WORDS)
    np.testing.assert_array_equal(vectors, EXPECTED)
    assert known.tolist() == [True, True, True, True, False]
    assert (coverage.words, coverage.as_written, coverage.in_other_case, coverage.missing) == (5, 2, 2, ("zebra",))
    assert coverage.share == pytest.approx(0.8)
    assert str(coverage) == (
        f"{name}: vectors for 4 of 5 words (80.0%), 2 of them in another case; without a vector 1: zebra"
    )


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(
            st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_categories=["Z", "C"]), min_size=1, max_size=6
        ),
        st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=2),
        min_size=1,
        max_size=30,
    )
)
def test_text_and_binary_agree_with_a_dictionary(tmp_path_factory, vectors):
    folder = tmp_path_factory.mktemp("vectors")
    lines = [f"{len(vectors)} 2", *(f"{w} {a!r} {b!r}" for w, (a, b) in vectors.items())]
    (folder / "a.vec").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "a.bin").write_bytes(binary(vectors))
    expected = np.array(list(vectors.values()), np.float32)
    for name in ("a.vec", "a.bin"):
        found, known, coverage = read_vectors(folder / name, list(vectors))
        assert known.all()
        assert coverage.as_written == len(vectors)
        np.testing.assert_array_equal(found, expected)


def test_a_word_is_taken_as_written_then_in_lower_case_then_in_any(tmp_path):
    (tmp_path / "a.txt").write_text("TURKEY 3 3\nturkey 2 2\nTurkey 1 1\nUS 5 5\nUs 6 6\n")
    vectors, _, coverage = read_vectors(tmp_path / "a.txt", ["Turkey", "tURKEY", "us"])
    assert vectors[:, 0].tolist() == [1, 2, 5]
    assert (coverage.as_written, coverage.in_other_case) == (1, 2)


def test_a_word_with_blanks_is_counted_from_the_right(tmp_path):
    (tmp_path / "a.txt").write_text("a 1 2\n. . . 3 4\nb 5 6\n")
    vectors, _, _ = read_vectors(tmp_path / "a.txt", ["b", ". . ."])
    assert vectors.tolist() == [[5, 6], [3, 4]]


def test_a_binary_file_longer_than_what_is_read_at_a_time(tmp_path):
    generator = np.random.default_rng(0)
    vectors = {f"word{i}": row for i, row in enumerate(generator.standard_normal((3000, 200)).astype(np.float32))}
    (tmp_path / "a.bin").write_bytes(binary(vectors))
    found, known, _ = read_vectors(tmp_path / "a.bin", list(vectors))
    assert known.all()
    np.testing.assert_array_equal(found, np.stack(list(vectors.values())))


def test_how_much_of_a_text_is_covered(tmp_path):
    (tmp_path / "a.txt").write_text("a 1 2\n")
    _, _, coverage = read_vectors(tmp_path / "a.txt", ["a", "b"], counts={"a": 3, "b": 1, "elsewhere": 5})
    assert coverage.token_share == 0.75
    assert "75.0% of the text" in str(coverage)


def test_an_embedding_keeps_the_rows_of_words_without_a_vector(tmp_path):
    (tmp_path / "a.txt").write_bytes(FORMS["glove.txt"])
    embedding = torch.nn.Embedding(7, 3, dtype=torch.float64)
    before = embedding.weight.detach().clone()
    coverage = load_vectors(tmp_path / "a.txt", embedding, WORDS)
    np.testing.assert_array_equal(embedding.weight[:4].detach(), EXPECTED[:4])
    assert torch.equal(embedding.weight[4:], before[4:])
    assert embedding.weight.requires_grad
    assert coverage.missing == ("zebra",)


def test_an_embedding_of_another_size_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(FORMS["glove.txt"])
    with pytest.raises(DataError, match="vectors have 3 numbers, the embedding 4"):
        load_vectors(tmp_path / "a.txt", torch.nn.Embedding(5, 4), WORDS)
    with pytest.raises(DataError, match="2 rows for 5 words"):
        load_vectors(tmp_path / "a.txt", torch.nn.Embedding(2, 3), WORDS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: expected a word and its numbers"),
        (b"hello\n", "line 1: expected a word and its numbers"),
        (b"the 1 2 3\ncat 1 2\n", "line 2: expected a word and 3 numbers, got 3 parts"),
        (b"the 1 2 3\ncat  1 3\n", "line 2: expected 3 numbers after the word, got 2"),
        (b"the 1 2 3\ncat 1 x 3\n", "line 2: expected 3 numbers"),
        (b"the 1 nan 3\n", "line 1: the vector has numbers that are not finite"),
        (b"3 2\nthe 1 2\ncat 3 4\n", "says that it has 3 words, but ends after 2"),
        (b"1 0\nthe\n", "line 1: says that vectors have no numbers"),
        (b"0 3\n", "there is no vector in it"),
        (b"the 1 2\n\xff 1 2\n", "line 2: expected UTF-8"),
        (binary(VECTORS)[:-20], "ends at word 4 of 4"),
        (b"2 3\n" + b"\xff" * 100_000, "has no end|ends at word 1 of 2"),
        (binary({"the": [1.0, float("inf")]}), "word 1 of 1: the vector has numbers that are not finite"),
    ],
)
def test_a_broken_file_is_told_in_one_line(tmp_path, content, message):
    (tmp_path / "a.vec").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_vectors(tmp_path / "a.vec", WORDS)
    assert "a.vec" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_compressed_and_cut_off(tmp_path):
    (tmp_path / "a.vec.gz").write_bytes(FORMS["fasttext.vec.gz"][:-12])
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(tmp_path / "a.vec.gz", WORDS)
    with pytest.raises(DataError, match="no such file"):
        read_vectors(tmp_path / "none.vec", WORDS)
