import subprocess

import pytest

from ostinato.cli.completion import _whole
from ostinato.cli.main import COMMANDS


def completed(script, *words):
    """What bash offers behind these words."""
    line = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}"
    code = f'{script}\n{line}\n_shtab_ostinato\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    return subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture(scope="module")
def script():
    import shtab

    return shtab.complete(_whole(), "bash")


def test_bash_completes_commands_tasks_flags_and_choices(script):
    assert set(completed(script, "ostinato", "''")) >= set(COMMANDS)
    assert completed(script, "ostinato", "train", "tra") == ["transcribe", "translate"]
    assert completed(script, "ostinato", "train", "lm", "--training.learning") == ["--training.learning_rate"]
    assert completed(script, "ostinato", "lab", "r") == ["run"]
    assert completed(script, "ostinato", "evaluate", "--max") == ["--max_tokens"]
    assert completed(script, "ostinato", "train", "lm", "--model.cell", "jan") == ["janet"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_every_shell_gets_a_script(ostinato, shell):
    status, out, error = ostinato("completion", shell)
    assert (status, error) == (0, "")
    assert "ostinato" in out


def test_an_unknown_shell_is_told_with_those_there_are(ostinato):
    assert ostinato("completion", "fish")[2].startswith("ostinato: shell: expected one of bash, zsh, tcsh")
