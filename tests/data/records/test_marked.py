import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data import load_vocabulary, vocabulary_class
from ostinato.data.records.marked import MarkedVocabulary
from ostinato.errors import DataError

TEXTS = ["ein haus", "zwei häuser", "drei bäume und ein haus"]


@pytest.fixture(params=["char", "byte", "word", "bpe"], scope="module")
def marked(request):
    return MarkedVocabulary(vocabulary_class(request.param).build(TEXTS, 300))


def test_marks_are_behind_the_tokens(marked):
    inner = len(marked.vocabulary)
    assert (marked.begin, marked.end, len(marked)) == (inner, inner + 1, inner + 2)


@pytest.mark.parametrize("text", [*TEXTS, ""])
def test_a_text_comes_back_whatever_follows_its_end(marked, text):
    ids = marked.encode(text)
    assert ids.dtype == "int64"
    assert ids.tolist() == marked.vocabulary.encode(text).tolist()
    assert marked.decode([marked.begin, *ids, marked.end, 0, 1, len(marked)]) == text
    assert marked.decode(ids) == text


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_no_text_is_taken_for_a_mark(text):
    marked = MarkedVocabulary(vocabulary_class("byte").build([], 256))
    assert marked.decode(marked.encode(text)) == text
    assert not {marked.begin, marked.end} & set(marked.encode(text).tolist())


def test_saving_the_vocabulary_saves_all(marked, tmp_path):
    marked.vocabulary.save(tmp_path)
    again = MarkedVocabulary(load_vocabulary(tmp_path))
    assert again.encode(TEXTS[1]).tolist() == marked.encode(TEXTS[1]).tolist()
    assert (again.unknown_id, len(again)) == (marked.unknown_id, len(marked))


def test_ids_that_are_not_there_are_told(marked):
    with pytest.raises(DataError, match="is not in this"):
        marked.decode([len(marked)])
