import signal
import subprocess
import sys

import pytest

from ostinato import __version__
from ostinato.cli.main import COMMANDS

from .conftest import start


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--version"], []])
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
    if words == ["--version"]:
        assert done.stdout == f"ostinato {__version__}\n"
    else:
        assert all(command in done.stdout for command in ("train", "generate", "evaluate"))


def test_an_unknown_command_is_answered_with_the_closest(ostinato):
    status, out, error = ostinato("trian")
    assert (status, out) == (2, "")
    assert error == f"ostinato: trian is no command; did you mean train? Expected one of {', '.join(COMMANDS)}\n"


@pytest.mark.parametrize("command", ["train lm", "generate", "evaluate"])
def test_every_command_has_help(ostinato, capsys, command):
    with pytest.raises(SystemExit) as ending:
        ostinato(*command.split(), "--help")
    assert ending.value.code == 0
    assert f"usage: ostinato {command} " in capsys.readouterr().out


def test_an_output_that_is_closed_ends_it_quietly(run):
    with start("generate", run, "--length", "20000") as process:
        assert process.stdout.read(5)
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 0


def test_ctrl_c_while_writing_ends_it_without_a_traceback(run):
    with start("generate", run, "--length", "1000000") as process:
        assert process.stdout.read(5)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.strip() == "ostinato: interrupted"
