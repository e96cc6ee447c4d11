import os
import subprocess
import sys

import pytest

from ostinato.cli.main import main

TEXT = "the quick brown fox jumps over the lazy dog\n" * 60
SMALL = [
    *("--model.embedding_size", "8", "--model.hidden_size", "16", "--device", "cpu", "--precision", "32-true"),
    *("--training.batch_size", "4", "--training.chunk_length", "16", "--training.learning_rate", "0.02"),
    *("--baselines.markov_orders", "1", "--baselines.window", "2", "--baselines.window_time_s", "0.1"),
]


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "fox.txt"
    path.write_text(TEXT)
    return str(path)


@pytest.fixture(scope="session")
def run(tmp_path_factory, text):
    """A finished run."""
    folder = str(tmp_path_factory.mktemp("cli") / "run")
    assert main(["train", "lm", "--data", text, "--run", folder, "--quiet", *SMALL, "--training.max_steps", "20"]) == 0
    return folder


@pytest.fixture
def ostinato(capsys):
    """Calls the command in this process; gives its status, output and error."""

    def call(*words):
        capsys.readouterr()
        status = main(words)
        return (status, *capsys.readouterr())

    return call


def start(*words, **options):
    """The command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "ostinato.cli.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        **options,
    )
