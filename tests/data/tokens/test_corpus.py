import gzip
import json
import subprocess
import sys
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data import CharVocabulary, Corpus, open_corpus
from ostinato.data.sources import opening
from ostinato.data.tokens import blocks, token_file, worker
from ostinato.data.tokens import corpus as corpus_module
from ostinato.errors import ConfigError, DataError
from tests.data.servers import Site, serve

KINDS = ("char", "byte", "word", "bpe")
POEM = "Tyger Tyger, burning bright,\nIn the forests of the night;\nWhat immortal hand or eye,\n" * 12


@pytest.fixture
def poem(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_text(POEM)
    return str(path)


@pytest.fixture
def tiny_memory(monkeypatch):
    """Everything is a large corpus, read in small blocks."""
    monkeypatch.setattr(corpus_module, "IN_MEMORY_BYTES", 100)
    monkeypatch.setattr(corpus_module, "BLOCK_BYTES", 61)


def assert_equal(first: Corpus, second: Corpus):
    assert first.name == second.name
    assert first.vocabulary.to_dict() == second.vocabulary.to_dict()
    for part in ("train", "validation", "test"):
        one, other = getattr(first, part), getattr(second, part)
        np.testing.assert_array_equal(one.ids, other.ids)
        assert one.ids.dtype == other.ids.dtype
        np.testing.assert_array_equal(one.document_starts, other.document_starts)
        assert (one.characters, one.words) == (other.characters, other.words)


def test_the_built_in_corpus():
    corpus = open_corpus()
    assert "standard library" in corpus.name
    assert len(corpus.train) == corpus.train.characters > 8 * len(corpus.validation) > 500_000
    assert "import" in corpus.vocabulary.decode(corpus.train.ids[:50_000])


@pytest.mark.parametrize("kind", KINDS)
def test_both_parts_are_the_text_cut_where_a_line_ends(poem, kind):
    corpus = open_corpus(poem, kind=kind, vocabulary_size=300)
    boundary = min((i + 1 for i, c in enumerate(POEM) if c == "\n"), key=lambda at: abs(at - len(POEM) * 0.9))
    assert (corpus.train.characters, corpus.validation.characters) == (boundary, len(POEM) - boundary)
    for part, text in ((corpus.train, POEM[:boundary]), (corpus.validation, POEM[boundary:])):
        np.testing.assert_array_equal(part.ids, corpus.vocabulary.encode(text))
        assert part.words == len(text.split())
        assert part.document_starts.tolist() == [0]
        if kind != "word":
            assert corpus.vocabulary.decode(part.ids) == text


@pytest.mark.parametrize(
    ("share", "boundary"), [(0.1, 900), (0.3, 700), (0.9, 100), (0.999, 1), (0, 1000), (0.0001, 999)]
)
def test_the_boundary_is_decimal(tmp_path, share, boundary):
    (tmp_path / "a").write_text("x" * 1000)
    corpus = open_corpus(str(tmp_path / "a"), validation_share=share)
    assert (len(corpus.train), len(corpus.validation)) == (boundary, 1000 - boundary)


def test_the_vocabulary_is_that_of_the_training_part_only(tmp_path):
    (tmp_path / "a").write_text("a" * 90 + "z" * 10)
    corpus = open_corpus(str(tmp_path / "a"))
    assert isinstance(corpus.vocabulary, CharVocabulary)
    assert corpus.vocabulary.characters == "a"
    assert corpus.validation.ids.tolist() == [0] * 10


def test_documents_start_where_their_first_token_is(tmp_path):
    for name, text in {"a": "one two", "b": "", "c": " \t", "d": "three", "e": "four"}.items():
        (tmp_path / name).write_text(text)
    chars = open_corpus(str(tmp_path), validation_share=0.25)  # 18 characters; 13 would be inside "three"
    assert chars.train.document_starts.tolist() == [0, 7, 9]
    assert chars.validation.document_starts.tolist() == [0]
    words = open_corpus(str(tmp_path), validation_share=0.25, kind="word")
    assert words.train.document_starts.tolist() == [0, 2]
    assert words.validation.document_starts.tolist() == [0]
    assert (words.train.words, words.validation.words) == (3, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_corpus_equals_the_same_in_memory(poem, kind, tmp_path, request):
    small = open_corpus(poem, kind=kind, vocabulary_size=280)
    request.getfixturevalue("tiny_memory")
    large = open_corpus(poem, kind=kind, vocabulary_size=280, folder=tmp_path / "run")
    assert isinstance(large.train.ids, np.memmap)
    assert isinstance(large.validation.ids, np.memmap)
    assert_equal(small, large)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["corpus.json", "corpus.tokens"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(st.sampled_from("ab \n\té日"), max_size=30), min_size=1, max_size=4),
    st.sampled_from(KINDS),
    st.integers(1, 9),
)
def test_blocks_of_any_size_give_the_same_corpus(tmp_path_factory, texts, kind, block_bytes):
    folder = tmp_path_factory.mktemp("corpus")
    for index, text in enumerate(["some text", *texts]):
        (folder / f"{index}.txt").write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        whole = open_corpus(str(folder), kind=kind, vocabulary_size=260)
        patch.setattr(corpus_module, "BLOCK_BYTES", block_bytes)
        assert_equal(open_corpus(str(folder), kind=kind, vocabulary_size=260), whole)


@pytest.mark.usefixtures("tiny_memory")
def test_the_token_file_is_used_again_while_it_fits(poem, tmp_path, monkeypatch):
    run = tmp_path / "run"
    first = open_corpus(poem, folder=run)
    with monkeypatch.context() as patch:
        patch.setattr(corpus_module, "_Reading", None)  # reading the text again would fail
        assert_equal(open_corpus(poem, folder=run), first)
        assert_equal(open_corpus(poem, folder=run, vocabulary=first.vocabulary), first)
    other = CharVocabulary("abc")
    mostly_unknown = open_corpus(poem, folder=run, vocabulary=other)
    assert mostly_unknown.vocabulary.to_dict() == other.to_dict()
    assert set(mostly_unknown.train.ids.tolist()) == {0, 1, 2}  # the poem has no c
    assert len(open_corpus(poem, folder=run, vocabulary=other, validation_share=0.5).validation) == len(POEM) // 2
    assert_equal(open_corpus(poem, folder=run), first)
    assert len(open_corpus(poem, folder=run, validation_share=0.5).validation) == len(POEM) // 2
    assert open_corpus(poem, folder=run, kind="byte").vocabulary.kind == "byte"
    (tmp_path / "poem.txt").write_text(POEM + "more")
    again = open_corpus(poem, folder=run)
    assert again.train.characters + again.validation.characters == len(POEM) + 4


@pytest.mark.usefixtures("tiny_memory")
@pytest.mark.parametrize("damage", ["truncated tokens", "no tokens", "no description", "bad description"])
def test_a_damaged_token_file_is_made_again(poem, tmp_path, damage):
    open_corpus(poem, folder=tmp_path / "whole")
    whole = open_corpus(poem, folder=tmp_path / "whole")
    open_corpus(poem, folder=tmp_path)
    tokens, about = tmp_path / "corpus.tokens", tmp_path / "corpus.json"
    if damage == "truncated tokens":
        tokens.write_bytes(tokens.read_bytes()[:-1])
    elif damage == "bad description":
        about.write_text(json.dumps({"tokens": 3}))
    else:
        (tokens if damage == "no tokens" else about).unlink()
    assert_equal(open_corpus(poem, folder=tmp_path), whole)


@pytest.mark.usefixtures("tiny_memory")
@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_processes_changes_nothing(tmp_path, kind):
    for index in range(5):
        (tmp_path / f"{index}.txt").write_text(POEM[index * 13 :] + "é日" * index)
    one, three = (
        open_corpus(str(tmp_path), kind=kind, vocabulary_size=280, folder=tmp_path / f".{workers}", workers=workers)
        for workers in (1, 3)
    )
    assert_equal(one, three)
    for name in ("corpus.json", "corpus.tokens"):
        assert (tmp_path / ".1" / name).read_bytes() == (tmp_path / ".3" / name).read_bytes()


class Killed(BaseException):
    pass


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(st.sampled_from("ab \n\té日\ufeff"), max_size=60), min_size=1, max_size=4),
    st.sampled_from(KINDS),
    st.integers(1, 9),
    st.integers(1, 40),
    st.lists(st.integers(1, 20), max_size=3),
)
def test_what_is_killed_while_it_tokenises_goes_on(tmp_path_factory, texts, kind, block_bytes, shard_bytes, deaths):
    folder = tmp_path_factory.mktemp("corpus")
    for index, text in enumerate(["some text, more than that", *texts]):
        (folder / f"{index}.txt").write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_module, "IN_MEMORY_BYTES", 10)
        patch.setattr(corpus_module, "BLOCK_BYTES", block_bytes)
        patch.setattr(token_file, "SHARD_BYTES", shard_bytes)

        def opened(name):
            return open_corpus(str(folder), kind=kind, vocabulary_size=260, folder=folder / name, workers=1)

        whole = opened(".whole")
        for death in deaths:
            left = iter(range(death))

            def encoded(result, vocabulary, left=left):
                if next(left, None) is None:
                    raise Killed
                return worker.encoded(result, vocabulary)

            patch.setattr(corpus_module, "encoded", encoded)
            with suppress(Killed):
                opened(".run")
        patch.setattr(corpus_module, "encoded", worker.encoded)
        assert_equal(opened(".run"), whole)


@pytest.mark.usefixtures("tiny_memory")
def test_going_on_reads_neither_what_is_done_nor_twice(poem, tmp_path, monkeypatch):
    monkeypatch.setattr(token_file, "SHARD_BYTES", 200)
    whole = open_corpus(poem, folder=tmp_path / "whole", workers=1)
    calls = []

    def die(result, vocabulary):
        calls.append(result)
        if len(calls) > 10:
            raise Killed
        return worker.encoded(result, vocabulary)

    with monkeypatch.context() as patch:
        patch.setattr(corpus_module, "encoded", die)
        with pytest.raises(Killed):
            open_corpus(poem, folder=tmp_path / "run", workers=1)
    progress = []
    again = open_corpus(
        poem, folder=tmp_path / "run", workers=2, on_progress=lambda done, total: progress.append((done, total))
    )
    assert_equal(again, whole)
    # Two of three readings are done before it begins, and of the third two shards: eight blocks of 61 bytes.
    assert progress[0] == (2 * len(POEM) + 9 * 61, 3 * len(POEM))
    assert progress[-1] == (3 * len(POEM), 3 * len(POEM))


SCRIPT = """
import sys
from pathlib import Path
from ostinato.data.tokens import corpus
from ostinato.data.tokens import token_file
from ostinato.data import open_corpus
corpus.IN_MEMORY_BYTES, corpus.BLOCK_BYTES, token_file.SHARD_BYTES = 100, 1000, 5000
open_corpus(sys.argv[1], kind="word", folder=Path(sys.argv[2]), on_progress=lambda done, total: print(done, flush=True))
"""


def test_kill_9_at_any_moment_loses_nothing(tmp_path):
    data, run = tmp_path / "data.txt", tmp_path / "run"
    data.write_text(POEM * 60)
    for lines in (70, 150, 151, 160, 199):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(data), str(run)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.kill()
        process.stdout.close()
        process.wait()
    subprocess.run([sys.executable, "-c", SCRIPT, str(data), str(run)], check=True, stdout=subprocess.DEVNULL)
    assert_equal(open_corpus(str(data), kind="word", folder=run), open_corpus(str(data), kind="word"))


def test_a_far_text_whose_server_fails_goes_on_later(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_module, "IN_MEMORY_BYTES", 100)
    monkeypatch.setattr(corpus_module, "BLOCK_BYTES", 2**16)
    monkeypatch.setattr(token_file, "SHARD_BYTES", 2**19)
    monkeypatch.setattr(opening, "FIRST_WAIT_S", 0.0)
    text = POEM * 4000
    with serve(Site({"/a.txt": text.encode()})) as site:
        url = f"{site.url}/a.txt"

        def fail(done, total):
            if done > 1.5 * len(text):  # the third reading will break off
                site.fail_at, site.ranges = len(text) // 2, False

        with pytest.raises(DataError, match="run the same again later: what is done is kept"):
            open_corpus(url, folder=tmp_path / "run", workers=1, on_progress=fail)
        site.fail_at, site.ranges = None, True
        site.asked.clear()
        far = open_corpus(url, folder=tmp_path / "run", workers=2)
        assert len(site.asked) == 1
        assert site.asked[0] > len(text) // 4  # what is done is not even read
    (tmp_path / "near.txt").write_text(text)
    near = open_corpus(str(tmp_path / "near.txt"), folder=tmp_path / "near")
    np.testing.assert_array_equal(far.train.ids, near.train.ids)
    np.testing.assert_array_equal(far.validation.ids, near.validation.ids)


def test_a_compressed_text_is_the_text(poem, tmp_path):
    (tmp_path / "poem.txt.gz").write_bytes(gzip.compress(POEM.encode()))
    packed, plain = open_corpus(str(tmp_path / "poem.txt.gz")), open_corpus(poem)
    np.testing.assert_array_equal(packed.train.ids, plain.train.ids)


@pytest.mark.usefixtures("tiny_memory")
def test_a_folder_that_cannot_be_written_is_a_data_error(poem, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="token file cannot be written"):
        open_corpus(poem, folder=tmp_path / "file")


def test_memory_does_not_grow_with_the_text(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_module, "IN_MEMORY_BYTES", 2**14)
    monkeypatch.setattr(corpus_module, "BLOCK_BYTES", 2**13)
    peaks = []
    for quarters in (1, 8):
        path = tmp_path / f"{quarters}.txt"
        path.write_text("seven words and a line end here\n" * (quarters * 2**13))
        tracemalloc.start()
        corpus = open_corpus(str(path), folder=tmp_path / str(quarters))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(corpus.train) + len(corpus.validation) == quarters * 2**18
    # The tables of a character vocabulary take a few MB, whatever the text.
    assert peaks[1] < peaks[0] + 2**17


@pytest.mark.parametrize(("kind", "readings"), [("char", 3), ("byte", 2), ("bpe", 3)])
def test_progress_goes_from_nothing_to_all(poem, kind, readings):
    calls = []
    open_corpus(poem, kind=kind, on_progress=lambda done, total: calls.append((done, total)))
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert set(totals) == {done[-1]} == {readings * len(POEM)}


def test_progress_through_a_compressed_text_is_in_the_bytes_that_are_kept(tmp_path):
    path, calls = tmp_path / "a.txt.gz", []
    random = np.random.default_rng(0)
    path.write_bytes(gzip.compress(random.bytes(4 * 2**20).hex().encode()))  # 8 MB of text in more than 4
    open_corpus(str(path), on_progress=lambda done, total: calls.append((done, total)))
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert set(totals) == {3 * path.stat().st_size}
    assert done[0] / totals[0] == pytest.approx(1 / 24, rel=0.2)  # a megabyte of eight, of three readings
    assert done[-1] / totals[-1] > 0.99


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_text_without_white_space_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(blocks, "LONGEST_WORD", 500)
    monkeypatch.setattr(corpus_module, "BLOCK_BYTES", 100)
    (tmp_path / "genome").write_text("ACGT" * 500)
    with pytest.raises(DataError, match="no white space in 500 characters; take characters or bytes"):
        open_corpus(str(tmp_path / "genome"), kind=kind)


@pytest.mark.parametrize(
    ("error", "arguments", "says"),
    [
        (ConfigError, {"kind": "letters"}, "one of char, byte, word, bpe; got 'letters'"),
        (ConfigError, {"validation_share": 1.0}, "validation_share must be at least 0 and less than 1; got 1.0"),
        (ConfigError, {"validation_share": -0.1}, "got -0.1"),
        (ConfigError, {"workers": 0}, "workers must be at least 1; got 0"),
        (ConfigError, {"kind": "bpe", "vocabulary_size": 10}, "at least 256"),
    ],
)
def test_a_wrong_setting_is_a_config_error(poem, error, arguments, says):
    with pytest.raises(error, match=says):
        open_corpus(poem, **arguments)


@pytest.mark.parametrize(
    ("text", "says"), [("", "no text in it; expected at least one character"), ("x", "1 characters cannot be split")]
)
def test_too_little_text_is_a_data_error(tmp_path, text, says):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=says):
        open_corpus(str(tmp_path / "a.txt"))


@pytest.mark.usefixtures("tiny_memory")
def test_a_large_text_needs_a_folder(poem):
    with pytest.raises(DataError, match="say where with folder="):
        open_corpus(poem)


def test_a_url_reads_as_the_same_file(poem):
    import fsspec

    fsspec.filesystem("memory").pipe("/corpus/poem.txt", POEM.encode())
    remote, local = open_corpus("memory://corpus/poem.txt"), open_corpus(poem)
    np.testing.assert_array_equal(remote.train.ids, local.train.ids)
