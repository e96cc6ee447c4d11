"""States as bytes: they go on in another process to the last bit, and whatever is wrong with them is told."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from ostinato import GRU, LSTM, Recurrent, Stream, catalogue
from ostinato.errors import StateError
from ostinato.nn import StateFile
from ostinato.serving.stores.sqlite import SqliteStore

LAYERS: dict[str, Callable[[], Recurrent]] = {
    "lstm": lambda: LSTM(3, 5, 2),
    "widths": lambda: LSTM(3, [7, 5]),
    "projected": lambda: LSTM(3, 7, proj_size=2),
    "float64": lambda: GRU(3, 5, dtype=torch.float64),
    "no code": lambda: catalogue.make("mlstm", 3, 8, num_heads=2),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_a_state_goes_on_where_it_was(make: Callable[[], Recurrent]) -> None:
    layer = make().eval()
    x = torch.randn(4, 3, dtype=layer.all_weights[0][0].dtype)
    stream, other, rows = Stream(layer), Stream(layer), Stream(layer, rows=4)
    stream(x[0]), stream(x[1])
    data = stream.state_bytes()
    want = stream(x[2])
    other.from_bytes(data)
    rows.from_bytes(data, 3)
    assert rows.state_bytes(3) == data
    assert torch.equal(other(x[2]), want)
    torch.testing.assert_close(rows(x[2], 3), want, rtol=1e-6, atol=1e-6)
    assert rows.state_bytes(2) == Stream(layer).state_bytes()


def test_another_process_reads_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = LSTM(3, 5).eval()
    stream = Stream(layer)
    stream(torch.ones(3))
    (tmp_path / "state").write_bytes(stream.state_bytes())
    torch.save(layer.state_dict(), tmp_path / "weights.pt")
    script = (
        "import sys, torch, ostinato\n"
        "layer = ostinato.LSTM(3, 5).eval()\n"
        "layer.load_state_dict(torch.load('weights.pt'))\n"
        "stream = ostinato.Stream(layer)\n"
        "stream.from_bytes(open('state', 'rb').read())\n"
        "print(stream(torch.ones(3)).tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(stream(torch.ones(3)).tolist())


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DATA = Stream(LSTM(3, 5).eval()).state_bytes()
WRONG: dict[str, tuple[object, str]] = {
    "text": ("state", "data expected the bytes of a state, from state_bytes\\(\\), got str"),
    "nothing": (b"", "got 0 bytes of something else"),
    "something else": (b"PK" * 100, "got 200 bytes of something else"),
    "another format": (changed(DATA, 7), "expected the format 1 of states, got b'0'; read them with the version"),
    "the checksum": (changed(DATA, 12), "the checksum is another"),
    "the header": (changed(DATA, 40), "the checksum is another"),
    "a number": (changed(DATA, len(DATA) - 3), "the checksum is another"),
    "cut off": (DATA[:-1], "the checksum is another"),
    "longer": (DATA + b"\0", "the checksum is another"),
    "other widths": (
        Stream(LSTM(3, 6).eval()).state_bytes(),
        r"state of lstm 3 to \[5\], .*; got one of lstm 3 to \[6\], .* written by",
    ),
    "other layers": (
        Stream(LSTM(3, 5, 2).eval()).state_bytes(),
        r"state of lstm 3 to \[5\], .*; got one of lstm 3 to \[5, 5\]",
    ),
    "another cell": (Stream(GRU(3, 5).eval()).state_bytes(), r"state of lstm 3 to \[5\], .*; got one of gru"),
    "other inputs": (Stream(LSTM(4, 5).eval()).state_bytes(), r"state of lstm 3 to \[5\], .*; got one of lstm 4 to"),
    "another dtype": (Stream(LSTM(3, 5).double().eval()).state_bytes(), "float32.*float64"),
}


@pytest.mark.parametrize("rows", [None, 2])
@pytest.mark.parametrize(("data", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_and_changes_nothing(data: bytes, message: str, rows: int | None) -> None:
    stream = Stream(LSTM(3, 5).eval(), rows=rows)
    stream(torch.randn(3) if rows is None else torch.randn(2, 3))
    before = stream.state_bytes()
    with pytest.raises(StateError, match=message):
        stream.from_bytes(data)
    assert stream.state_bytes() == before


# many in a file


def test_a_hundred_thousand_states_in_a_file(tmp_path: Path) -> None:
    layer = GRU(2, 3).eval()
    stream = Stream(layer)
    states: dict[str, bytes] = {}
    for n in range(20):
        stream(torch.full((2,), float(n)))
        states[str(n)] = stream.state_bytes()
    with StateFile(tmp_path / "sessions") as file:
        file.update({f"session {n}": states[str(n % 20)] for n in range(100_000)})
    file = StateFile(tmp_path / "sessions")
    assert len(file) == 100_000
    assert file["session 77777"] == states["17"]
    stream.from_bytes(file["session 99999"])
    assert stream.state_bytes() == states["19"]
    assert next(iter(file)) == "session 0"
    file.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[StateFile]:
    with contextlib.closing(StateFile(tmp_path / "sessions")) as made:
        yield made


def test_a_file_is_a_mapping(file: StateFile) -> None:
    file["ada"] = b"1"
    file["ada"] = b"2"
    file.update({"grace": b"3"})
    assert dict(file) == {"ada": b"2", "grace": b"3"}
    assert "alan" not in file
    with pytest.raises(KeyError):
        file["alan"]
    with pytest.raises(KeyError):
        del file["alan"]
    del file["ada"]
    assert list(file) == ["grace"]


def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    with StateFile(tmp_path / "sessions") as file:
        file["ada"] = b"1"

    def fails() -> None:
        with StateFile(tmp_path / "sessions") as file:
            file["ada"] = b"2"
            file.update({"grace": b"3"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    with StateFile(tmp_path / "sessions") as file:
        assert dict(file) == {"ada": b"1"}


def test_a_file_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to have a header " * 10)
    with pytest.raises(StateError, match=r"notes.txt: expected a file of states, or a place for one: "):
        StateFile(tmp_path / "notes.txt")
    with pytest.raises(StateError, match="expected a file of states, or a place for one"):
        StateFile(tmp_path / "missing" / "sessions")


@pytest.mark.parametrize("kind", [StateFile, SqliteStore])
def test_another_database_is_left_alone_and_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Any]
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE states (something TEXT)")
    opened, connect = [], sqlite3.connect

    def watched(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        opened.append(connect(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", watched)
    with pytest.raises(StateError, match="got another database"):
        kind(tmp_path / "other.db")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


@pytest.mark.parametrize(
    ("name", "state"), [(5, b""), (b"a", b""), ("\ud800", b""), ("a", "text"), ("a", None), ("a", 5)]
)
def test_what_is_no_name_or_no_state(file: StateFile, name: Any, state: Any) -> None:
    with pytest.raises(StateError, match=r"expected a text|expected bytes"):
        file[name] = state
    with pytest.raises(StateError):
        file.update([("good", b"1"), (name, state)])
    assert len(file) == 0


def test_states_that_changed_in_the_file_are_told(tmp_path: Path) -> None:
    with StateFile(tmp_path / "sessions") as file:
        file["bob"] = b"1" * 50
    with contextlib.closing(sqlite3.connect(tmp_path / "sessions")) as raw:
        raw.execute("UPDATE states SET name = 'cob'")
        raw.commit()
    expected = "the state of 'cob' as it was written, got one that has changed"
    with pytest.raises(StateError, match=expected), StateFile(tmp_path / "sessions") as file:
        file["cob"]


def test_a_file_that_is_closed_or_of_another_thread(file: StateFile) -> None:
    with ThreadPoolExecutor() as pool, pytest.raises(StateError, match="thread"):
        pool.submit(file.__getitem__, "a").result()
    with file, pytest.raises(StateError, match="one `with` block at a time"):
        file.__enter__()
    with pytest.raises(StateError, match="closed"):
        file["a"]


def test_a_dict_of_states(file: StateFile) -> None:
    file.update({"a": b"1"}, b=b"2")
    file.update([("c", b"3")])
    assert dict(file) == {"a": b"1", "b": b"2", "c": b"3"}
