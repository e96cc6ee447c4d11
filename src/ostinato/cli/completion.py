"""`ostinato completion SHELL`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from ostinato.cell_names import every
from ostinato.errors import ConfigError
from ostinato.extras import needed

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser

Shell: TypeAlias = Literal["bash", "zsh", "tcsh"]
_HELP = """Print a script with which a shell completes commands, tasks and flags:

  bash  eval "$(ostinato completion bash)"             in ~/.bashrc
  zsh   ostinato completion zsh > FOLDER/_ostinato     in a folder of $fpath
  tcsh  ostinato completion tcsh | source /dev/stdin   in ~/.tcshrc"""


def parser() -> Parser:
    """The parser of the command's arguments."""
    from ostinato.cli.parser import Parser

    found = Parser("ostinato completion", _HELP)
    found.formatter_class = argparse.RawDescriptionHelpFormatter
    found.add_argument("shell", type=Shell, help="bash, zsh or tcsh")
    return found


def main(words: Sequence[str]) -> int:
    """Prints the completion of a shell. Returns 0."""
    given = parser().read(words)

    with needed():
        import shtab

    print(shtab.complete(_whole(), given.shell))
    return 0


def _whole() -> argparse.ArgumentParser:
    """All commands in one parser, as shtab reads them."""
    from ostinato.cli.main import COMMANDS
    from ostinato.cli.train import parser as train_parser
    from ostinato.recipes import registry

    whole = argparse.ArgumentParser("ostinato")
    whole.add_argument("-V", "--version", action="store_true", help="which version this is")
    commands = whole.add_subparsers()
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=_plain(what))
        if name == "train":
            tasks = command.add_subparsers()
            for task, entry in registry.tasks().items():
                with contextlib.suppress(ConfigError):  # of another package's task that cannot be loaded
                    _copy(train_parser(task), tasks.add_parser(task, help=_plain(entry.summary)))
        elif name == "lab":
            _copy(importlib.import_module("ostinato.cli.lab").parser(), command.add_subparsers().add_parser("run"))
        else:
            _copy(importlib.import_module(f"ostinato.cli.{name}").parser(), command)
    return whole


def _copy(of: Parser, to: argparse.ArgumentParser) -> None:
    with needed():
        import shtab

    from ostinato.cli.parser import names_cells

    for action in of._actions:
        if not action.option_strings:
            to.add_argument(action.dest, nargs="?").complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]
        elif "--help" not in action.option_strings:
            choices = [each.key for each in every()] if names_cells(action) else action.choices
            copied = to.add_argument(*action.option_strings, choices=choices, help=_plain(str(action.help)))
            if choices is None:
                copied.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]


def _plain(text: str) -> str:
    return text.replace("%", "%%")
