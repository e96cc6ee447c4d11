import contextlib
import os
import re
import signal
import subprocess
import sys

import pytest

from ostinato import __version__
from ostinato.cli.main import COMMANDS

from .conftest import start


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--version"], ["-V"], []])
def test_help_and_version_do_not_wait_for_torch(words):
    code = f"""
import sys
from ostinato.cli.main import main
status = main({words})
print([name for name in ("torch", "numpy", "jsonargparse", "rich") if name in sys.modules], file=sys.stderr)
sys.exit(status)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    if words in (["--version"], ["-V"]):
        assert done.stdout == f"ostinato {__version__}\n"
    else:
        assert all(command in done.stdout for command in ("train", "generate", "evaluate"))


def test_judging_and_writing_load_nothing_that_they_do_not_use(run):
    code = f"""
import sys
from ostinato.cli.main import main
assert main(["evaluate", {run!r}]) == main(["generate", {run!r}, "--length", "1"]) == 0
heavy = ("torch._dynamo", "sympy", "lightning_fabric", "matplotlib", "scipy", "sklearn", "torchmetrics")
print([name for name in heavy if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "[]\n"


def test_an_unknown_command_is_answered_with_the_closest(ostinato):
    status, out, error = ostinato("trian")
    assert (status, out) == (2, "")
    assert error == f"ostinato: unknown command trian; did you mean train? Expected one of {', '.join(COMMANDS)}\n"


@pytest.mark.parametrize("command", ["train lm --help-all", "generate --help", "evaluate --help"])
def test_every_command_has_help(ostinato, capsys, command):
    with pytest.raises(SystemExit) as ending:
        ostinato(*command.split())
    assert ending.value.code == 0
    assert f"usage: ostinato {command.partition(' --')[0]} " in capsys.readouterr().out


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "train"] + ["lab run", "train lm"])
def test_the_help_of_every_command_fits_80_columns_and_speaks_to_people(ostinato, capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    shown = ""
    with contextlib.suppress(SystemExit):
        _, shown, _ = ostinato(*command.split(), "--help-all" if command == "train lm" else "--help")
    shown += capsys.readouterr().out
    assert shown.startswith(f"usage: ostinato {command}")
    assert max(map(len, shown.splitlines())) <= 80
    assert not re.search(r"\(type: |Optional\[|default: ", shown)


def test_what_there_is_to_call_fits_80_columns(ostinato):
    for words in ([], ["train"], ["train", "classify", "--help"]):
        _, out, _ = ostinato(*words)
        assert max(map(len, out.splitlines())) <= 80


def test_an_output_that_is_closed_ends_it_quietly(run):
    with start("generate", run, "--length", "20000") as process:
        assert process.stdout.read(5)
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    "words", [["-h"], ["train", "-h"], ["train", "lm", "-h"], ["lab", "list"], ["completion", "bash"]]
)
def test_a_help_whose_reader_has_gone_ends_quietly(words):
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as reader:
        pipe = os.dup(reader.stdin.fileno())
        reader.kill()
        reader.wait()
    done = subprocess.run([sys.executable, "-m", "ostinato", *words], stdout=pipe, stderr=subprocess.PIPE, text=True)
    os.close(pipe)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_output_on_a_full_disk_is_said_in_one_line(run):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ostinato.cli.main", "evaluate", run],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert done.stderr == "ostinato: the output cannot be written (No space left on device); send it elsewhere\n"


def test_a_help_on_a_full_disk_is_said_in_one_line():
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "ostinato", "train", "lm", "--help"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_standard_streams_that_are_closed_are_no_error(run):
    words = [sys.executable, "-m", "ostinato.cli.main", "evaluate", run]
    done = subprocess.run(["sh", "-c", '"$@" <&- >&-', "sh", *words], stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_of_another_encoding_is_no_error(run, encoding):
    """The characters of a prompt come back, those that the terminal lacks as numbers."""
    done = subprocess.run(
        [sys.executable, "-m", "ostinato.cli.main", "generate", run, "--prompt", "the 素", "--length", "3"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"the \\u7d20")


@pytest.mark.parametrize(
    "message", ["[enforce fail at alloc_cpu.cpp] can't allocate memory: you tried", "CUDA out of memory."]
)
def test_too_little_memory_is_said_in_one_line(ostinato, monkeypatch, message):
    def fail(words):
        raise RuntimeError(message)

    monkeypatch.setattr("ostinato.cli.evaluate.main", fail)
    status, _, error = ostinato("evaluate", "run")
    assert status == 2
    assert error.startswith("ostinato: there is not enough memory")
    assert len(error.splitlines()) == 1


def test_other_errors_of_torch_are_bugs_and_keep_their_traceback(ostinato, monkeypatch):
    def fail(words):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("ostinato.cli.evaluate.main", fail)
    with pytest.raises(RuntimeError, match="mat1"):
        ostinato("evaluate", "run")


def test_a_file_that_the_system_refuses_is_named_in_one_line(ostinato, monkeypatch):
    def fail(words):
        raise PermissionError(13, "Permission denied", "secret.csv")

    monkeypatch.setattr("ostinato.cli.evaluate.main", fail)
    assert ostinato("evaluate", "run")[::2] == (
        2,
        "ostinato: secret.csv: Permission denied; check the name, the rights and the space\n",
    )


def test_ctrl_c_while_writing_ends_it_without_a_traceback(run):
    with start("generate", run, "--length", "1000000") as process:
        assert process.stdout.read(5)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.strip() == "ostinato: interrupted"
