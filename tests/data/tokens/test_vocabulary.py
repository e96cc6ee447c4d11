import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data import (
    BPEVocabulary,
    ByteVocabulary,
    CharVocabulary,
    Vocabulary,
    WordVocabulary,
    load_vocabulary,
    vocabulary_class,
)
from ostinato.data.tokens.vocabulary import build_vocabulary, vocabulary_from_dict
from ostinato.errors import ConfigError, DataError, RunError

SAMPLE = "def f(x):\n    return x + 1\r\n\n# café 日本 😀 naïve\n\tfor word in words:  print(word, 'it''s')\n" * 3
UNICODE = st.text(st.characters(codec="utf-8"), max_size=60)
WORDY = st.text(st.sampled_from("ab '\n\t\r\u00a0\x1cé1.😀"), max_size=60)

CHAR = CharVocabulary.build([SAMPLE], 0)
BYTE = ByteVocabulary.build([], 0)
WORD = WordVocabulary.build([SAMPLE], 12)
BPE = BPEVocabulary.build([SAMPLE], 300)
ALL: tuple[Vocabulary, ...] = (CHAR, BYTE, WORD, BPE)
every = pytest.mark.parametrize("vocabulary", ALL, ids=lambda vocabulary: vocabulary.kind)


def streamed(vocabulary, ids):
    decoder = vocabulary.decoder()
    return "".join([decoder.push(id) for id in ids]) + decoder.flush()


def test_characters_in_the_order_of_their_code_points():
    vocabulary = CharVocabulary.build(["ba", "é😀", "a\n"], 0)
    assert vocabulary.characters == "\nabé😀"
    assert vocabulary.encode("ab😀").tolist() == [2, 3, 5]
    assert (vocabulary.unknown_id, len(vocabulary)) == (0, 6)
    assert vocabulary.encode("zaé\ud800").tolist() == [0, 2, 4, 0]
    assert vocabulary.decode([0, 2]) == "\ufffda"


@settings(deadline=None)
@given(UNICODE)
def test_text_comes_back_from_bytes_bpe_and_known_characters(text):
    for vocabulary in (BYTE, BPE, CharVocabulary.build([text], 0)):
        ids = vocabulary.encode(text)
        assert vocabulary.decode(ids) == text
        assert streamed(vocabulary, ids.tolist()) == text


@settings(deadline=None)
@given(st.lists(st.integers(0, 255), max_size=12))
def test_any_bytes_stream_as_they_decode(ids):
    assert streamed(BYTE, ids) == bytes(ids).decode("utf-8", "replace") == BYTE.decode(ids)
    assert streamed(BPE, ids) == BPE.decode(ids)


def test_bytes_stream_only_whole_characters():
    decoder = BYTE.decoder()
    assert [decoder.push(id) for id in "aé😀".encode()] == ["a", "", "é", "", "", "", "😀"]
    assert (decoder.push(0xE6), decoder.flush()) == ("", "\ufffd")


@settings(deadline=None)
@given(st.lists(UNICODE | WORDY, max_size=4))
def test_blocks_cut_where_allowed_encode_as_the_whole(texts):
    whole = "".join(texts)
    for vocabulary in ALL:
        ids, pending = [], ""
        for text in texts:
            pending += text
            end = vocabulary.cut(pending)
            ids += vocabulary.encode(pending[:end]).tolist()
            pending = pending[end:]
        assert ids + vocabulary.encode(pending).tolist() == vocabulary.encode(whole).tolist()


def test_white_space_is_not_cut_apart():
    text = "a\n\n\n   b \n\n  c    d\n"
    vocabulary = BPEVocabulary.build([text * 20], 280)  # runs of white space become tokens
    for end in range(len(text)):
        cut = vocabulary.cut(text[:end])
        parts = [*vocabulary.encode(text[:cut]), *vocabulary.encode(text[cut:])]
        assert parts == vocabulary.encode(text).tolist()


def test_a_long_text_encodes_as_in_one_piece():
    text = "".join(np.random.default_rng(0).choice(list("ab c\n'é  "), 200_000))
    whole = BPE._tokenizer.encode(text).ids
    assert BPE.encode(text).tolist() == whole


def test_words_and_line_ends():
    vocabulary = WordVocabulary.build(["b a\nb  c\n", "a b <unk> d d d d"], 5)
    assert vocabulary.words == ["<unk>", "\n", "d", "b", "a"]
    ids = vocabulary.encode("a c\r\n\n  b <unk>\n")
    assert ids.tolist() == [4, 0, 1, 1, 3, 0, 1]
    assert vocabulary.decode(ids) == streamed(vocabulary, ids.tolist()) == "a <unk>\n\nb <unk>\n"
    assert vocabulary.encode("").tolist() == []


def test_rare_words_are_forgotten_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr("ostinato.data.tokens.vocabulary._COUNTED_WORDS", 20)
    texts = [" ".join(["often"] * 5 + [f"once{i}{j}" for j in range(15)]) for i in range(50)]
    assert WordVocabulary.build(texts, 3).words[2] == "often"


def test_words_that_training_has_seldom_are_unknown_unless_all_are():
    texts = ["a b b", "c a b"]
    for min_count, known in ((1, "bac"), (2, "ba"), (3, "b"), (4, "bac")):
        vocabulary = build_vocabulary(texts, "word", 10, min_count)
        assert vocabulary.to_dict()["words"] == ["<unk>", "\n", *known]
    assert build_vocabulary(texts, "char", 10, 9).to_dict()["characters"] == " abc"


@every
def test_a_vocabulary_of_any_kind_comes_back_from_plain_values(vocabulary):
    assert vocabulary_from_dict(vocabulary.to_dict()).to_dict() == vocabulary.to_dict()


def test_bpe_merges_what_is_frequent_and_holds_its_size():
    vocabulary = BPEVocabulary.build(["the theme of the other thesis is the theory " * 20], 262)
    assert len(vocabulary) == 262
    assert len(vocabulary.encode("the")) < 3
    assert vocabulary.unknown_id is None


@every
def test_ids_have_the_smallest_type(vocabulary):
    ids = vocabulary.encode(SAMPLE)
    assert ids.dtype == np.min_scalar_type(len(vocabulary) - 1)
    assert ids.ndim == 1
    assert vocabulary.encode("").shape == (0,)
    assert ids.max() < len(vocabulary)


@every
def test_saved_and_loaded_it_is_the_same(vocabulary, tmp_path):
    vocabulary.save(tmp_path)
    loaded = load_vocabulary(tmp_path)
    assert type(loaded) is type(vocabulary)
    assert loaded.to_dict() == vocabulary.to_dict()
    np.testing.assert_array_equal(loaded.encode(SAMPLE), vocabulary.encode(SAMPLE))
    assert [path.name for path in tmp_path.iterdir()] == ["vocabulary.json"]


@every
@pytest.mark.parametrize("wrong", [-1, 10**6])
def test_an_id_outside_is_a_data_error(vocabulary, wrong):
    with pytest.raises(DataError, match=f"id {wrong} is not in this {vocabulary.kind} vocabulary"):
        vocabulary.decode([0, wrong])


@pytest.mark.parametrize("vocabulary", [BYTE, BPE], ids=["byte", "bpe"])
def test_a_lone_surrogate_is_a_data_error(vocabulary):
    with pytest.raises(DataError, match="character 1 of the text is a lone surrogate"):
        vocabulary.encode("a\ud800")


@pytest.mark.parametrize(("kind", "size", "least"), [("word", 2, 3), ("bpe", 255, 256)])
def test_a_size_too_small_is_a_config_error(kind, size, least):
    with pytest.raises(ConfigError, match=f"at least {least} for {kind}.*got {size}"):
        vocabulary_class(kind).build(["a"], size)


def test_an_unknown_kind_lists_the_known():
    with pytest.raises(ConfigError, match="one of char, byte, word, bpe; got 'chars'"):
        vocabulary_class("chars")


def test_a_missing_file_is_a_run_error(tmp_path):
    with pytest.raises(RunError, match=r"vocabulary\.json: expected a vocabulary there"):
        load_vocabulary(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("{}", "is damaged"),
        ('{"format": "other", "version": 1}', "format is 'other'"),
        ('{"format": "ostinato.vocabulary", "version": 99}', "version 99; this ostinato reads up to 1"),
        ('{"format": "ostinato.vocabulary", "version": 1, "kind": "char"}', "characters"),
        ('{"format": "ostinato.vocabulary", "version": 1, "kind": "runes"}', "runes"),
        ('{"format": "ostinato.vocabulary", "version": 1, "kind": "bpe", "tokenizer": {}}', "is damaged"),
    ],
)
def test_a_damaged_file_is_a_run_error(tmp_path, content, says):
    (tmp_path / "vocabulary.json").write_text(content)
    with pytest.raises(RunError, match=says) as caught:
        load_vocabulary(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_file_says_what_it_is(tmp_path):
    CHAR.save(tmp_path)
    content = json.loads((tmp_path / "vocabulary.json").read_text())
    assert (content["format"], content["version"], content["kind"]) == ("ostinato.vocabulary", 1, "char")


def test_importing_the_room_loads_no_tokenizers_and_no_fsspec():
    code = "import torch, sys; before = set(sys.modules); import ostinato.data.tokens.corpus; print(set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "ostinato.data.tokens.corpus" in loaded
    assert "tokenizers" not in loaded
    assert "fsspec" not in loaded
