import numpy as np
import pytest

from ostinato.data.tokens import TokenWriter, stored_about, stored_tokens
from ostinato.errors import DataError


def write(folder):
    with TokenWriter(np.dtype(np.uint16), folder) as writer:
        writer.begin_document(0)
        writer.append(0, np.array([1, 2, 3], dtype=np.uint8))
        writer.begin_document(0)
        writer.begin_document(0)
        writer.append(0, np.array([400], dtype=np.uint16))
        writer.begin_document(1)
        writer.append(1, np.array([5, 6]))
        writer.begin_document(1)
        return writer.finish({"what": "test"}, (10, 4), (3, 2))


@pytest.mark.parametrize("in_folder", [False, True])
def test_what_was_written_is_there(tmp_path, in_folder):
    for train, validation in (
        write(tmp_path if in_folder else None),
        *([stored_tokens(tmp_path)] if in_folder else []),
    ):
        assert train.ids.tolist() == [1, 2, 3, 400]
        assert train.document_starts.tolist() == [0, 3]
        assert (len(train), train.characters, train.words) == (4, 10, 3)
        assert validation.ids.tolist() == [5, 6]
        assert validation.document_starts.tolist() == [0]  # the last document is empty
        assert (validation.characters, validation.words) == (4, 2)
    assert stored_about(tmp_path) == ({"what": "test"} if in_folder else None)


def test_a_mapped_corpus_cannot_be_written_to(tmp_path):
    train, _ = write(tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        train.ids[0] = 1


def test_a_missing_token_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match=r"expected corpus\.tokens and corpus\.json there"):
        stored_tokens(tmp_path)
