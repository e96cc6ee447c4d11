"""The benchmark of large texts, without a large text."""

import sys

import numpy as np
from benchmarks.data import watch, write_text

from ostinato.data.tokens.token_file import Place, TokenFile

CHILD = """
import subprocess, sys, time
data = open(sys.argv[1])
held = b"x" * 50_000_000
subprocess.run([sys.executable, "-c", "import time; held = b'x' * 50_000_000; time.sleep(0.5)"])
"""


def test_the_text_has_about_the_size_that_was_asked_for(tmp_path):
    write_text(tmp_path / "text.txt", 30_000_000)
    assert 30_000_000 <= (tmp_path / "text.txt").stat().st_size < 60_000_000


def test_memory_is_that_of_all_processes(tmp_path):
    with TokenFile(tmp_path, np.dtype(np.uint8), {}) as file:
        file.append(0, np.zeros(3, np.uint8), True, Place())
        file.finish((3, 0, 0))
    (tmp_path / "text.txt").write_text("text")
    command = [sys.executable, "-c", CHILD, str(tmp_path / "text.txt")]
    measured = watch(command, tmp_path / "text.txt", tmp_path)
    assert 100_000_000 < measured.peak_bytes < 300_000_000
    assert 0 < measured.peak_tokenising_bytes <= measured.peak_bytes
    assert 0 <= measured.tokenised_s < measured.total_s
