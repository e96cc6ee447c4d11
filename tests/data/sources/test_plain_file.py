import os
import socket

import pytest

from ostinato.data.sources.plain_file import open_plain, read_plain


def test_a_plain_file_is_read_also_through_a_link(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert read_plain(tmp_path / "link", 3) == b"abc"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="expected a plain file, got a pipe"):
        open_plain(tmp_path / "pipe")


def test_a_device_is_not_read(tmp_path):
    (tmp_path / "zeros").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="expected a plain file, got a device"):
        read_plain(tmp_path / "zeros", 100)


def test_folders_and_sockets_are_no_files(tmp_path):
    with pytest.raises(OSError, match="got a folder"):
        open_plain(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(OSError, match=r"No such device or address|got something else"):
            open_plain(tmp_path / "s")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**42)
    with pytest.raises(OSError, match=r"expected at most 1,000 bytes, got 4,398"):
        read_plain(tmp_path / "sparse", 1000)
