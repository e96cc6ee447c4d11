import sysconfig
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data import find_text, standard_library
from ostinato.errors import DataError


def read(data, block_bytes=2**20):
    return "".join(piece.text for piece in find_text(str(data)).pieces(block_bytes))


def write(folder: Path, files: dict[str, str | bytes]):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def test_the_built_in_text_is_the_library_without_its_tests():
    text = standard_library()
    names = [Path(document.name) for document in text.documents]
    root = Path(sysconfig.get_path("stdlib"))
    assert root / "asyncio" / "events.py" in names
    assert len(names) == len(set(names)) > 400
    for forbidden in ("test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"):
        assert not [name for name in names if forbidden in name.relative_to(root).parts]
    assert text == find_text(None) == standard_library()
    assert str(len(names)) in text.name


def test_the_built_in_order_scatters_packages():
    names = [
        Path(document.name).relative_to(sysconfig.get_path("stdlib")).parts[0] for document in find_text().documents
    ]
    positions = [index for index, name in enumerate(names) if name == "encodings"]
    assert len(positions) > 50
    # Uniform positions have a mean of half the length, with a deviation of L / sqrt(12 n).
    assert abs(sum(positions) / len(positions) / len(names) - 0.5) < 5 / (12 * len(positions)) ** 0.5


def test_a_file_is_read_as_it_is(tmp_path):
    write(tmp_path, {"a.txt": "one\r\ntwo\rthree\n\0é日😀"})
    assert read(tmp_path / "a.txt") == "one\r\ntwo\rthree\n\0é日😀"
    assert find_text(str(tmp_path / "a.txt")).name == "a.txt"


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40), st.integers(1, 7), st.booleans())
def test_blocks_join_to_the_text_wherever_they_cut(tmp_path_factory, text, block_bytes, mark):
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" * mark + text.encode())
    pieces = list(find_text(str(path)).pieces(block_bytes))
    expected = text if mark else text.removeprefix("\ufeff")
    assert "".join(piece.text for piece in pieces) == expected
    assert [piece.begins_document for piece in pieces] == [index == 0 for index in range(len(pieces))]
    assert all(piece.text for piece in pieces)


def test_only_the_first_byte_order_mark_is_left_out(tmp_path):
    write(tmp_path, {"a": b"\xef\xbb\xbf\xef\xbb\xbfx"})
    for block_bytes in (1, 2, 3, 4, 100):
        assert read(tmp_path / "a", block_bytes) == "\ufeffx"


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    ("content", "offset"),
    [
        (b"\xff", 0),
        ("aé".encode() + b"\xe9t\xe9", 3),
        (b"\xef\xbb\xbfab\x80", 5),
        (b"abcdef\xf0\x9f\x98", 6),  # ends in the middle of a character
        ("日本".encode("utf-16"), 0),
    ],
)
def test_bytes_that_are_not_utf_8_are_named_with_their_offset(tmp_path, content, offset, block_bytes):
    write(tmp_path, {"bad.txt": content})
    with pytest.raises(DataError) as caught:
        read(tmp_path / "bad.txt", block_bytes)
    message = str(caught.value)
    assert f"{tmp_path / 'bad.txt'}: expected UTF-8, but byte 0x{content[offset]:02x} at offset {offset} " in message
    assert "convert" in message
    assert "\n" not in message


def test_a_folder_is_its_visible_text_files_in_order(tmp_path):
    write(tmp_path, {"b.txt": "B", "a/z.md": "A", "a.xyz": "C", "empty": ""})
    write(tmp_path, {".hidden": "no", ".git/config": "no", "sub/__pycache__/x.py": "no", "picture": b"\x89PNG\0"})
    text = find_text(str(tmp_path))
    found = [Path(document.name).relative_to(tmp_path).as_posix() for document in text.documents]
    assert found == ["a.xyz", "a/z.md", "b.txt", "empty"]
    assert text.name == f"{tmp_path.name}/, 4 files"
    assert text.size == 3


def test_a_glob_takes_every_file_it_matches(tmp_path):
    write(tmp_path, {"b.txt": "B", "a/z.txt": "Z", "a/deep/y.txt": "Y", "c.md": "C"})
    assert read(tmp_path / "*.txt") == "B"
    assert read(tmp_path / "**" / "*.txt") == "YZB"
    write(tmp_path, {"odd[1]": "literal"})
    assert read(tmp_path / "odd[1]") == "literal"


def test_urls_of_files_folders_and_globs():
    import fsspec

    files = fsspec.filesystem("memory")
    for name, content in {"a.txt": "A", "sub/b.txt": "B", ".hidden/c.txt": "C", "d.bin": "\0", "e.md": "E"}.items():
        files.pipe(f"/urls/{name}", content.encode())
    assert read("memory://urls/a.txt") == "A"
    assert read("memory://urls") == "AEB"
    assert read("memory://urls/*.txt") == "A"
    assert read("memory://urls/sub/**") == "B"
    assert find_text("memory://urls/a.txt").size == 1
    for missing in ("memory://urls/none.txt", "memory://urls/*.none", "nonsense://a/b"):
        with pytest.raises(DataError, match=missing.replace("*", r"\*")):
            find_text(missing)


def test_a_file_url_equals_the_file(tmp_path):
    write(tmp_path, {"a.txt": "A"})
    assert read(f"file://{tmp_path}/a.txt") == "A"


def test_the_fingerprint_changes_with_the_files(tmp_path):
    write(tmp_path, {"a": "one", "b": "two"})
    first = find_text(str(tmp_path)).fingerprint()
    assert find_text(str(tmp_path)).fingerprint() == first
    write(tmp_path, {"b": "three"})
    assert find_text(str(tmp_path)).fingerprint() != first


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("none.txt", "no such file or folder; give"),
        ("none*.txt", "no text files there"),
        ("hollow", "no text files there"),
        (" ", "data is empty"),
    ],
)
def test_nothing_there_is_one_line_that_says_what_to_do(tmp_path, monkeypatch, data, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hollow").mkdir()
    with pytest.raises(DataError, match=says) as caught:
        find_text(data)
    assert "\n" not in str(caught.value)


def test_a_file_that_goes_away_is_a_data_error(tmp_path):
    write(tmp_path, {"a": "one"})
    text = find_text(str(tmp_path / "a"))
    (tmp_path / "a").unlink()
    with pytest.raises(DataError, match="not found"):
        list(text.pieces())


def test_utf_16_is_known_by_its_mark(tmp_path):
    (tmp_path / "a.txt").write_bytes("text".encode("utf-16"))
    with pytest.raises(DataError, match=r"byte 0xff at offset 0 .*\(iconv -f utf-16 -t utf-8\)"):
        list(find_text(str(tmp_path / "a.txt")).pieces())
