import bz2
import gzip
import io
import lzma
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.data import find_text
from ostinato.data.sources import far_errors, opening
from ostinato.data.sources.opening import SteadyFile
from ostinato.errors import DataError
from tests.data.servers import Site, serve

# Some megabytes: of a short answer that breaks off, the client may not have read anything yet.
TEXT = "".join(random.Random(0).choices("abcdefgh \né日", k=200_000)) * 12
CONTENT = TEXT.encode()
COMPRESS = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}


@pytest.fixture(autouse=True)
def patient_only_in_name(monkeypatch):
    monkeypatch.setattr(opening, "FIRST_WAIT_S", 0.0)


def read(data, **where):
    return "".join(piece.text for piece in find_text(str(data)).pieces(70_001, **where))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_document_is_read_over_http(ranges):
    with serve(Site({"/a.txt": CONTENT}, ranges)) as site:
        assert find_text(f"{site.url}/a.txt").size == len(CONTENT)
        assert read(f"{site.url}/a.txt") == TEXT
        assert site.asked == [0]  # one answer, not many


@pytest.mark.parametrize("ranges", [True, False])
def test_reading_begins_in_the_middle(ranges):
    half = len(TEXT) // 2
    offset = len(TEXT[:half].encode())
    with serve(Site({"/a.txt": CONTENT}, ranges)) as site:
        assert read(f"{site.url}/a.txt", offset=offset) == TEXT[half:]
        assert site.asked == [offset]


@pytest.mark.parametrize("ranges", [True, False])
def test_an_answer_that_breaks_off_is_asked_for_again(ranges):
    with serve(Site({"/a.txt": CONTENT}, ranges, fail_at=2_345_678, failures=1)) as site:
        assert read(f"{site.url}/a.txt") == TEXT
        assert len(site.asked) == 2
        assert 0 < site.asked[1] <= 2_345_678


def test_a_server_that_stays_broken_is_one_line(monkeypatch):
    monkeypatch.setattr(opening, "TRIES", 3)
    with (
        serve(Site({"/a.txt": CONTENT}, ranges=False, fail_at=2_345_678)) as site,
        pytest.raises(DataError, match="3 times in a row; run the same again later") as caught,
    ):
        read(f"{site.url}/a.txt")
    assert str(caught.value).startswith(f"{site.url}/a.txt: reading stopped at byte ")
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_not_asked_for_again():
    with serve(Site({})) as site, pytest.raises(DataError, match="not found"):
        read(f"{site.url}/a.txt")
    assert site.asked == []


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, r"the server refuses it \(401 Unauthorized\); check the name, and give it credentials"),
        (403, r"the server refuses it \(403 Forbidden\)"),
        (404, r"not found \(404 Not Found\); check the name"),
        (410, r"not found \(410 Gone\)"),
        (418, r"cannot be read \(418"),
    ],
)
def test_what_a_server_refuses_is_told_as_it_says_and_not_asked_for_again(status, message):
    with serve(Site({"/a.txt": CONTENT}, status=status)) as site, pytest.raises(DataError, match=message):
        read(f"{site.url}/a.txt")
    assert site.requests == 2  # once for the head, once for the body


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_that_is_overloaded_is_asked_again(status, monkeypatch):
    monkeypatch.setattr(far_errors, "FIRST_WAIT_S", 0.001)
    with serve(Site({"/a.txt": CONTENT}, status=status, refusals=4)) as site:
        assert read(f"{site.url}/a.txt") == TEXT
    with (
        serve(Site({"/a.txt": CONTENT}, status=status)) as site,
        pytest.raises(
            DataError, match=rf"a\.txt: the server does not answer as it should \({status} .*run the same again"
        ),
    ):
        read(f"{site.url}/a.txt")


def test_a_server_that_is_overloaded_once_it_has_been_found_is_asked_again(monkeypatch):
    monkeypatch.setattr(opening, "FIRST_WAIT_S", 0.001)
    with serve(Site({"/a.txt": CONTENT})) as site:
        document = find_text(f"{site.url}/a.txt").documents[0]
        site.status, site.refusals = 503, 2
        with document.open() as file:
            assert file.read() == CONTENT
        site.status, site.refusals, site.requests = 403, None, 0
        with pytest.raises(DataError, match="403 Forbidden"):
            read(f"{site.url}/a.txt")


def test_nobody_at_a_url_is_not_told_as_a_name_that_is_wrong(monkeypatch):
    monkeypatch.setattr(far_errors, "FIRST_WAIT_S", 0.001)
    with serve(Site({})) as site:
        pass
    with pytest.raises(DataError, match=r"the server cannot be reached \(.*check the name and the network"):
        read(f"{site.url}/a.txt")


def test_a_redirection_to_files_of_this_machine_is_not_followed(tmp_path):
    (tmp_path / "a.txt").write_text("secret")
    with (
        serve(Site({}, status=302, location=f"file://{tmp_path}/a.txt")) as site,
        pytest.raises(DataError, match=r"cannot be read \(.*file://"),
    ):
        read(f"{site.url}/a.txt")


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_documents_are_read_and_begun_in_the_middle(tmp_path, suffix):
    content = COMPRESS[suffix](CONTENT)
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(content)
    assert find_text(str(path)).size is None
    assert read(path) == TEXT
    assert read(path, offset=len(TEXT[:1000].encode())) == TEXT[1000:]
    with serve(Site({f"/a.txt{suffix}": content}, fail_at=len(content) // 2, failures=1)) as site:
        assert read(f"{site.url}/a.txt{suffix}") == TEXT


def test_a_damaged_compressed_document_is_one_line(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(CONTENT)[:-1000])
    with pytest.raises(DataError, match=r"a\.gz: cannot be read \(Compressed file ended"):
        read(path)


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch):
    import fsspec.compression

    monkeypatch.delitem(fsspec.compression.compr, "zstd", raising=False)
    (tmp_path / "a.zst").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"a\.zst: files that end in \.zst need one more package: pip install zstandard"
    ):
        read(tmp_path / "a.zst")


def test_the_fingerprint_of_a_compressed_document_changes_with_it(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one"))
    first = find_text(str(path)).fingerprint()
    path.write_bytes(gzip.compress(b"three"))
    assert find_text(str(path)).fingerprint() != first


class Flaky(io.BytesIO):
    """Fails at every second read."""

    reads = 0

    def read(self, size=-1):
        Flaky.reads += 1
        if Flaky.reads % 2:
            raise OSError("no luck")
        return super().read(size)


@given(st.binary(max_size=50), st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=5))
def test_seeking_and_reading_is_that_of_the_file(content, moves):
    def open_at(offset):
        file = Flaky(content)
        file.seek(offset)
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "FIRST_WAIT_S", 0.0)
        steady, plain = SteadyFile(open_at, len(content)), io.BytesIO(content)
        for offset, size in moves:
            steady.seek(min(offset, len(content)))
            plain.seek(min(offset, len(content)))
            assert steady.read(size) == plain.read(size)
            assert steady.tell() == plain.tell()
            assert steady.seek(0, io.SEEK_CUR) == plain.tell()
        steady.close()


def test_the_waits_grow(monkeypatch):
    waits = []
    monkeypatch.setattr(opening, "FIRST_WAIT_S", 0.25)
    monkeypatch.setattr(opening.time, "sleep", waits.append)

    def refuse(offset):
        raise ConnectionError("refused")

    with pytest.raises(DataError, match=r"at byte 0 \(refused\), 6 times"):
        SteadyFile(refuse, None).read(1)
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0]


def test_a_decompressor_that_cannot_go_back_goes_forward():
    class Forward(io.RawIOBase):  # as that of zstandard
        left = io.BytesIO(b"0123456789")

        def readable(self):
            return True

        def tell(self):
            return self.left.tell()

        def readinto(self, buffer):
            return self.left.readinto(buffer)

    file = opening.Decompressed(Forward(), io.BytesIO(b"kept"))
    assert file.seek(3) == 3
    assert file.read(2) == b"34"
    assert file.seek(5) == 5
    assert file.read() == b"56789"
