import json
import os

import numpy as np
import pytest

from ostinato.data.tokens import token_file
from ostinato.data.tokens.token_file import Place, TokenFile, stored_about, stored_tokens, unfinished
from ostinato.errors import DataError

ABOUT = {"what": "test"}
WIDE = np.dtype(np.uint16)
BLOCKS = [
    (0, [1, 2, 3], True),
    (0, [400], True),
    (0, [7, 8], False),
    (1, [5, 6], True),
    (1, [9], False),
    (2, [11], True),
]


def place(index):
    return Place(index, 10 * index, 100 * index, (index, 1, 7), index % 2 == 1)


def write(folder, blocks=BLOCKS, about=ABOUT, finish=True, die=None):
    """Writes the blocks that are not there yet."""
    with TokenFile(folder, WIDE, about) as file:
        for index in range(file.place.document, len(blocks)):
            if index == die:
                raise RuntimeError("killed")
            part, ids, begins = blocks[index]
            file.append(part, np.array(ids), begins, place(index + 1))
        return file.finish((10, 4, 2)) if finish else None


def assert_whole(parts):
    train, validation, test = parts
    assert train.ids.tolist() == [1, 2, 3, 400, 7, 8]
    assert train.document_starts.tolist() == [0, 3]
    assert (train.characters, train.words) == (10, 6)
    assert validation.ids.tolist() == [5, 6, 9]
    assert validation.document_starts.tolist() == [0]
    assert (validation.characters, validation.words) == (4, 1)
    assert (test.ids.tolist(), test.document_starts.tolist(), test.characters, test.words) == ([11], [0], 2, 7)


@pytest.fixture
def small_shards(monkeypatch):
    """A shard is two ids or more."""
    monkeypatch.setattr(token_file, "SHARD_BYTES", 4)


def test_what_was_written_is_there(tmp_path):
    assert_whole(write(tmp_path))
    assert_whole(stored_tokens(tmp_path))
    assert stored_about(tmp_path) == ABOUT
    assert unfinished(tmp_path) is None
    assert sorted(os.listdir(tmp_path)) == ["corpus.json", "corpus.tokens"]


def test_a_mapped_corpus_cannot_be_written_to(tmp_path):
    train, *_ = write(tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        train.ids[0] = 1


def test_a_missing_token_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match=r"expected corpus\.tokens and corpus\.json there"):
        stored_tokens(tmp_path)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("die", range(len(BLOCKS)))
def test_what_was_killed_goes_on_after_the_last_whole_shard(tmp_path, die):
    with pytest.raises(RuntimeError, match="killed"):
        write(tmp_path, die=die)
    assert stored_about(tmp_path) is None
    assert unfinished(tmp_path) == ABOUT
    with TokenFile(tmp_path, WIDE, ABOUT) as file:
        # [1 2 3] [400 7 8] [5 6] [9 11] are the shards
        assert file.place == (Place() if die == 0 else place({1: 1, 2: 1, 3: 3, 4: 4, 5: 4}[die]))
    assert_whole(write(tmp_path))


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("damage", ["torn journal", "torn tokens", "a flipped bit", "no tokens", "bytes behind"])
def test_what_is_damaged_is_made_again_and_what_is_before_is_kept(tmp_path, damage):
    with pytest.raises(RuntimeError, match="killed"):
        write(tmp_path, die=4)
    journal, tokens = tmp_path / "corpus.journal", tmp_path / "corpus.tokens"
    content = tokens.read_bytes()
    assert len(content) == 16
    if damage == "torn journal":
        journal.write_bytes(journal.read_bytes()[:-7])
    elif damage == "torn tokens":
        tokens.write_bytes(content[:-1])
    elif damage == "a flipped bit":
        tokens.write_bytes(content[:7] + bytes([content[7] ^ 1]) + content[8:])
    elif damage == "no tokens":
        tokens.unlink()
    else:
        tokens.write_bytes(content + b"xyz")
    with pytest.raises(RuntimeError, match="killed"):
        write(tmp_path, die=4)  # once more: what was repaired must hold
    with TokenFile(tmp_path, WIDE, ABOUT) as file:
        assert file.place == place(4)
    assert_whole(write(tmp_path))


@pytest.mark.usefixtures("small_shards")
def test_only_what_is_damaged_is_done_again(tmp_path):
    with pytest.raises(RuntimeError, match="killed"):
        write(tmp_path, die=4)
    content = (tmp_path / "corpus.tokens").read_bytes()
    (tmp_path / "corpus.tokens").write_bytes(content[:-1])
    with TokenFile(tmp_path, WIDE, ABOUT) as file:
        assert file.place == place(3)


@pytest.mark.usefixtures("small_shards")
def test_what_is_of_another_text_is_begun_anew(tmp_path):
    with pytest.raises(RuntimeError, match="killed"):
        write(tmp_path, die=4)
    with TokenFile(tmp_path, WIDE, {"what": "other"}) as file:
        assert file.place == Place()
    assert unfinished(tmp_path) == {"what": "other"}


def test_who_has_mapped_the_old_file_keeps_it(tmp_path):
    old, *_ = write(tmp_path)
    new, *_ = write(tmp_path, blocks=[(0, [9], True)], about={"what": "other"})
    assert old.ids.tolist() == [1, 2, 3, 400, 7, 8]
    assert new.ids.tolist() == [9]


@pytest.mark.usefixtures("small_shards")
def test_the_description_holds_the_checksum_of_each_shard(tmp_path):
    import zlib

    write(tmp_path)
    shards = json.loads((tmp_path / "corpus.json").read_text())["shards"]
    content = (tmp_path / "corpus.tokens").read_bytes()
    assert shards["ends"] == [6, 12, 16, 20, 20]
    assert shards["crc32"] == [
        zlib.crc32(content[begin:end]) for begin, end in zip([0, *shards["ends"]], shards["ends"], strict=False)
    ]


def test_a_full_disk_is_one_line_and_keeps_what_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(token_file, "SHARD_BYTES", 4)
    file = TokenFile(tmp_path, WIDE, ABOUT)
    with file:
        file.append(0, np.array([1, 2, 3]), True, place(1))
        file._file.close()
        file._file = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115
        with pytest.raises(DataError, match=r"cannot be written \(No space left on device\); make room") as caught:
            file.append(0, np.array([400]), True, place(2))
        assert "\n" not in str(caught.value)
    assert_whole(write(tmp_path))


def test_a_folder_that_cannot_be_written_is_a_data_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="token file cannot be written"):
        TokenFile(tmp_path / "file", WIDE, ABOUT)
