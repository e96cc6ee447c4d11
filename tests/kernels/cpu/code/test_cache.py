"""What is stored comes back, and nothing else does; and nothing that is wrong with a disk reaches the user."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ostinato.kernels.cpu.code import cache

CODE = bytes(range(256)) * 20
# The module alone: the package around it would load torch.
IMPORT = f"""import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("cache", {cache.__file__!r})
cache = module_from_spec(spec)
spec.loader.exec_module(cache)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "some" / "cache"
    monkeypatch.setenv("OSTINATO_CACHE_DIR", str(folder))
    monkeypatch.setattr(cache, "_warned", True)
    return folder


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_what_was_stored_comes_back(place: Path) -> None:
    assert cache.load("a") is None
    cache.store("a", CODE)
    cache.store("b/../c", b"")
    assert cache.load("a") == CODE
    assert cache.load("b/../c") == b""
    assert cache.load("b") is None
    cache.store("a", b"newer")
    assert cache.load("a") == b"newer"
    assert len(list(place.iterdir())) == 2


@pytest.mark.parametrize("at", [0, 5, len(cache.MARK), len(cache.MARK) + 31, len(cache.MARK) + 32, -1])
def test_one_wrong_bit_is_noticed_and_mended(place: Path, at: int) -> None:
    cache.store("a", CODE)
    content = bytearray(only_file(place).read_bytes())
    content[at] ^= 4
    only_file(place).write_bytes(content)
    assert cache.load("a") is None
    cache.store("a", CODE)
    assert cache.load("a") == CODE


@pytest.mark.parametrize("size", [0, 1, len(cache.MARK), len(cache.MARK) + 20, len(cache.MARK) + 32, -1])
def test_a_file_cut_short_is_noticed(place: Path, size: int) -> None:
    cache.store("a", CODE)
    file = only_file(place)
    file.write_bytes(file.read_bytes()[:size])
    assert cache.load("a") is None


def test_what_follows_the_end_is_noticed(place: Path) -> None:
    cache.store("a", CODE)
    with only_file(place).open("ab") as file:
        file.write(b"\0")
    assert cache.load("a") is None


def test_an_entry_under_the_name_of_another_is_noticed(place: Path) -> None:
    cache.store("a", CODE)
    theirs = only_file(place).read_bytes()
    only_file(place).unlink()
    cache.store("b", b"other")
    only_file(place).write_bytes(theirs)
    assert cache.load("b") is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_run_and_is_replaced(place: Path, mode: int) -> None:
    cache.store("a", CODE)
    assert only_file(place).stat().st_mode & 0o077 == 0
    only_file(place).chmod(mode)
    assert cache.load("a") is None
    cache.store("a", CODE)
    assert cache.load("a") == CODE


@pytest.mark.parametrize("mode", [0o770, 0o703, 0o777])
def test_a_folder_that_others_can_write_is_left_alone(place: Path, mode: int) -> None:
    cache.store("a", CODE)
    assert place.stat().st_mode & 0o077 == 0
    place.chmod(mode)
    assert cache.load("a") is None
    cache.store("b", CODE)
    assert len(list(place.iterdir())) == 1


def test_what_belongs_to_somebody_else_is_left_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store("a", CODE)
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    assert cache.load("a") is None
    cache.store("b", CODE)
    assert len(list(place.iterdir())) == 1


def test_links_pipes_and_folders_in_place_of_a_file_are_no_entries(place: Path, tmp_path: Path) -> None:
    cache.store("a", CODE)
    file = only_file(place)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert cache.load("a") is None
    file.unlink()
    os.mkfifo(file, 0o600)
    assert cache.load("a") is None
    file.unlink()
    file.mkdir(0o700)
    assert cache.load("a") is None
    cache.store("a", CODE)
    assert list(place.iterdir()) == [file]


@pytest.mark.parametrize("inside", [".", "below/it"])
def test_a_file_in_place_of_the_folder_means_no_cache(
    inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("OSTINATO_CACHE_DIR", str(tmp_path / "file" / inside))
    cache.store("a", CODE)
    assert cache.load("a") is None
    assert (tmp_path / "file").read_text() == "not a folder"


@pytest.mark.parametrize("function", ["replace", "scandir", "stat", "mkdir"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_disk_that_refuses_means_no_cache(
    place: Path, function: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(os, function, refuse)
        cache.store("a", CODE)
        assert cache.load("a") in (None, CODE)
    left = list(place.iterdir()) if place.exists() else []
    assert [f for f in left if f.suffix != ".code"] == []


def test_a_full_disk_leaves_nothing_half_written(place: Path) -> None:
    # Writing fails in the middle, as on a full disk: the process may write files of 4 KB only.
    program = f"""{IMPORT}
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
cache.store("a", bytes(100_000))
cache.store("b", bytes(100))
print(cache.load("a"), len(cache.load("b") or ""))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "100"]
    assert done.stderr.count("RuntimeWarning: compiled code is not kept") == 1
    assert len(list(place.iterdir())) == 1


def test_an_empty_setting_switches_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_CACHE_DIR", "")
    monkeypatch.chdir(tmp_path)
    assert cache.folder() is None
    cache.store("a", CODE)
    assert cache.load("a") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"HOME": "/home/ada"}, "/home/ada/.cache/ostinato/kernels"),
        ("linux", {"HOME": "/home/ada", "XDG_CACHE_HOME": "/caches"}, "/caches/ostinato/kernels"),
        ("linux", {"HOME": "/home/ada", "XDG_CACHE_HOME": "relative"}, "/home/ada/.cache/ostinato/kernels"),
        ("linux", {"HOME": "/home/ada", "OSTINATO_CACHE_DIR": "/mine"}, "/mine"),
        ("darwin", {"HOME": "/Users/ada"}, "/Users/ada/Library/Caches/ostinato/kernels"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/ostinato/kernels"),
        ("linux", {"HOME": ""}, None),
        ("linux", {"HOME": "relative"}, None),
    ],
)
def test_where_it_is(
    platform: str, environment: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OSTINATO_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache.folder() == (None if expected is None else Path(expected))


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("OSTINATO_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache.folder() is None
    cache.store("a", CODE)
    assert cache.load("a") is None


def test_the_least_recently_used_go_when_there_is_too_much(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT_BYTES", 3 * (len(CODE) + 100))
    ages: dict[Path, int] = {}
    for age, key in ((400, "a"), (300, "b"), (200, "c")):
        before = set(place.iterdir()) if place.exists() else set()
        cache.store(key, CODE)
        (new,) = set(place.iterdir()) - before
        ages[new] = age
    for file, age in ages.items():
        os.utime(file, (time.time() - age, time.time() - age))
    assert cache.load("a") == CODE  # now it is the one that was used last
    cache.store("d", CODE)
    assert [key for key in "abcd" if cache.load(key)] == ["a", "c", "d"]


def test_an_entry_above_the_limit_is_not_kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT_BYTES", 10)
    cache.store("a", bytes(11))
    assert not place.exists()


def test_what_was_left_unfinished_goes_after_an_hour_and_other_files_stay(place: Path) -> None:
    place.mkdir(parents=True, mode=0o700)
    for name in ("old.unfinished", "new.unfinished", "notes.txt"):
        (place / name).write_text("x")
    for name in ("old.unfinished", "notes.txt"):
        os.utime(place / name, (time.time() - 4000, time.time() - 4000))
    cache.store("a", CODE)
    assert {f.name for f in place.iterdir() if f.suffix != ".code"} == {"new.unfinished", "notes.txt"}


HAMMER = f"""{IMPORT}
cache.LIMIT_BYTES = 60_000  # trimmed all the time
for i in range(150):
    key = str((i * 7 + int(sys.argv[1])) % 9)
    found = cache.load(key)
    assert found is None or found == key.encode() * 10_000, "an entry of another or half of one"
    cache.store(key, key.encode() * 10_000)
"""


def test_several_processes_at_once(place: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", HAMMER, str(i)], stderr=subprocess.PIPE, text=True) for i in range(3)
    ]
    assert [process.communicate()[1] for process in running] == [""] * 3
    assert {f.suffix for f in place.iterdir()} == {".code"}


def test_several_threads_at_once() -> None:
    def one(i: int) -> bool:
        key = str(i % 5)
        cache.store(key, key.encode() * 10_000)
        return cache.load(key) == key.encode() * 10_000

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(200)))


def test_what_goes_wrong_is_logged_for_whoever_asks(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.store("a", CODE)
    only_file(place).write_bytes(b"damaged")
    with caplog.at_level("DEBUG", logger=cache.__name__):
        assert cache.load("a") is None
    assert "damaged" in caplog.text
    assert all(record.levelname == "DEBUG" for record in caplog.records)


def _open_to_the_group(place: Path) -> None:
    place.mkdir(parents=True)
    place.chmod(0o775)


def _a_file(place: Path) -> None:
    place.parent.mkdir()
    place.write_text("not a folder")


UNUSABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "open to the group": (_open_to_the_group, r"some/cache: others can write to it \(`chmod go-w` ends that\)"),
    "a file": (_a_file, "some/cache: .*File exists"),
    "in a file": (lambda place: place.parent.write_text(""), "some/cache: .*Not a directory"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_folder_that_cannot_be_used_is_told_once(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, why = UNUSABLE[name]
    make(place)
    monkeypatch.setattr(cache, "_warned", False)
    with pytest.warns(
        RuntimeWarning, match=f"every process compiles its cells anew.*{why}.*OSTINATO_CACHE_DIR"
    ) as told:
        cache.store("a", CODE)
    cache.store("b", CODE)  # would raise here
    assert [cache.load(key) for key in "ab"] == [None, None]
    assert len(told) == 1


@pytest.mark.parametrize(
    ("module", "function", "number", "why"),
    [
        (os, "mkdir", errno.EROFS, "Read-only file system"),
        (tempfile, "mkstemp", errno.EACCES, "Permission denied"),
        (os, "replace", errno.ENOSPC, "No space left on device"),
    ],
)
def test_a_disk_that_refuses_is_told(
    module: Any, function: str, number: int, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, function, refuse)
    monkeypatch.setattr(cache, "_warned", False)
    with pytest.warns(RuntimeWarning, match=why):
        cache.store("a", CODE)


def test_a_folder_of_another_user_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store("a", CODE)
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    monkeypatch.setattr(cache, "_warned", False)
    with pytest.warns(RuntimeWarning, match="it belongs to another user"):
        cache.store("a", CODE)


def test_a_user_without_a_home_is_told_and_who_switches_it_off_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_warned", False)
    monkeypatch.setenv("OSTINATO_CACHE_DIR", "")
    cache.store("a", CODE)
    for name in ("OSTINATO_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/")
    with pytest.warns(RuntimeWarning, match="there is no home folder to keep it in"):
        cache.store("a", CODE)


def test_a_folder_that_can_be_used_is_not_talked_of(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_warned", False)
    cache.store("a", CODE)
    only_file(place).write_bytes(b"damaged")
    assert cache.load("a") is None
    place.chmod(0o500)
    only_file(place).chmod(0o400)
    assert cache.load("a") is None
