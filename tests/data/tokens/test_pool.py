import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.data import BPEVocabulary, ByteVocabulary, CharVocabulary, WordVocabulary
from ostinato.data.tokens.pool import WorkerPool, cores
from ostinato.data.tokens.worker import count_words, counted_words, encoded, receive, send
from ostinato.errors import DataError

LINES = [f"line {number}: the weaver é {'word ' * (number % 7)}\n" for number in range(50)]
TEXT = "".join(LINES)
VOCABULARIES = [
    CharVocabulary.build([TEXT], 0),
    ByteVocabulary(),
    WordVocabulary.build([TEXT], 20),
    BPEVocabulary.build([TEXT], 300),
]


@pytest.mark.parametrize("vocabulary", VOCABULARIES, ids=lambda each: each.kind)
@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_and_are_those_of_the_vocabulary(vocabulary, workers):
    with WorkerPool(vocabulary, workers) as pool:
        results = list(pool.map(enumerate(LINES)))
    assert [number for number, _ in results] == list(range(50))
    for number, result in results:
        words, ids = encoded(result, vocabulary)
        assert words == len(LINES[number].split())
        np.testing.assert_array_equal(ids, vocabulary.encode(LINES[number]))
        assert ids.dtype == vocabulary.dtype


@pytest.mark.parametrize("workers", [1, 2])
def test_words_are_counted(workers):
    with WorkerPool(None, workers) as pool:
        counts = [counted_words(result) for _, result in pool.map(enumerate(LINES))]
    assert counts[6] == {"line": 1, "6:": 1, "the": 1, "weaver": 1, "é": 1, "word": 6}
    assert WordVocabulary.from_counts(counts, 20).words == WordVocabulary.build(LINES, 20).words


@given(st.text())
def test_counts_survive_the_pipe(text):
    counts = counted_words(count_words(text))
    words = text.split()
    assert counts == {word: words.count(word) for word in words}
    assert list(counts) == list(dict.fromkeys(words))


@given(st.lists(st.lists(st.binary(max_size=9), max_size=3), max_size=4), st.integers(0, 40))
def test_messages_are_read_as_they_were_sent(messages, torn):
    pipe = io.BytesIO()
    for parts in messages:
        send(pipe, *parts)
    pipe.seek(0)
    assert [receive(pipe) for _ in messages] == [b"".join(parts) for parts in messages]
    assert receive(pipe) is None
    cut = io.BytesIO(pipe.getvalue()[:torn])
    got = list(iter(lambda: receive(cut), None))
    assert got == [b"".join(parts) for parts in messages][: len(got)]


def test_more_processes_than_blocks_and_no_blocks_at_all():
    with WorkerPool(ByteVocabulary(), 3) as pool:
        assert list(pool.map([])) == []
        assert [label for label, _ in pool.map([("one", "a")])] == ["one"]


def test_as_many_blocks_are_under_way_as_there_are_processes():
    given = []

    def blocks():
        for number in range(10):
            given.append(number)
            yield number, "x"

    with WorkerPool(ByteVocabulary(), 2) as pool:
        results = pool.map(blocks())
        assert next(results)[0] == 0
        assert given == [0, 1, 2]  # two under way, and the next in hand


def test_blocks_larger_than_a_pipe_do_not_lock_up():
    large = "x" * 3_000_000
    with WorkerPool(ByteVocabulary(), 2) as pool:
        assert [len(result) for _, result in pool.map((number, large) for number in range(5))] == [3_000_008] * 5


def test_a_process_that_dies_is_one_line():
    with WorkerPool(ByteVocabulary(), 2) as pool:
        pool._processes[1].kill()
        with pytest.raises(DataError, match=r"ended with status -9 .*fewer workers, and it goes on") as caught:
            list(pool.map(enumerate(LINES)))
    assert "\n" not in str(caught.value)


def test_nothing_runs_on_after_the_pool():
    with WorkerPool(ByteVocabulary(), 2) as pool:
        processes = pool._processes
    assert [process.returncode for process in processes] == [-signal.SIGKILL] * 2


PARENT = """
import sys
from ostinato.data import ByteVocabulary
from ostinato.data.tokens.pool import WorkerPool
pool = WorkerPool(ByteVocabulary(), 2)
list(pool.map([(0, "a"), (1, "b")]))
print(*(process.pid for process in pool._processes), flush=True)
sys.stdin.read()
"""


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_no_process_outlives_a_parent_that_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdin is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert all(map(running, pids))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while any(map(running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(running, pids))
    parent.stdin.close()
    parent.stdout.close()


def test_the_processes_load_no_torch():
    code = "import sys, ostinato.data.tokens.worker; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_script_without_a_guard_may_use_them(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from ostinato.data import ByteVocabulary\nfrom ostinato.data.tokens.pool import WorkerPool\n"
        "with WorkerPool(ByteVocabulary(), 2) as pool:\n    print(len(list(pool.map(enumerate('abc')))))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_there_is_a_core():
    assert 1 <= cores() <= (os.cpu_count() or 1)
