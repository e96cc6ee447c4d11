"""Parsers that answer a mistake with one line that says what is allowed."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import textwrap
from collections.abc import Sequence
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Any

from ostinato.cell_names import CellName, expected, names_a_cell, unknown
from ostinato.errors import ConfigError
from ostinato.extras import needed

with needed():
    from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace
    from jsonargparse.typing import register_type

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


def _cell_name(text: str) -> str:
    if not names_a_cell(text):
        raise ValueError(unknown(text))
    return text


register_type(CellName, str, _cell_name)  # pyright: ignore[reportArgumentType] - which sees a Literal


def names_cells(action: argparse.Action) -> bool:
    """Whether the values of a flag are names of cells."""
    return getattr(action, "_typehint", None) is CellName


class _Help(DefaultHelpFormatter):
    """Formats the help of settings: what each does, and its default if it has one, without names of Python's types."""

    def _get_help_string(self, action: argparse.Action) -> str:
        words = str(action.help)
        if words == "Path to a configuration file.":
            return "a YAML file with the settings of this group"
        if words.startswith("Print the configuration"):
            return "print all settings as YAML, which --config reads, and end"
        has_default = action.default not in (None, "", argparse.SUPPRESS, {}, []) and action.default is not False
        return words.removesuffix(".") + (" [%(default)s]" if has_default and action.option_strings else "")

    def start_section(self, heading: str | None) -> None:
        super().start_section(None if heading is None else textwrap.fill(heading, self._width))

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        kind = str(self._get_type_str(action)).partition(" ")[0]
        return {"int": "N", "float": "X"}.get(kind) or super()._get_default_metavar_for_optional(action)


class Parser(ArgumentParser):
    """jsonargparse's parser; on errors it raises `ConfigError` instead of printing the usage and exiting.

    A flag for a boolean may stand alone: `--quiet` is `--quiet true`.

    Args:
        prog: the name of the command.
        description: what the command does.
    """

    def __init__(self, prog: str, description: str):
        super().__init__(
            prog=prog, description=description, exit_on_error=False, allow_abbrev=False, formatter_class=_Help
        )

    def format_help(self, *args: Any, **options: Any) -> str:
        """Formats the help with a usage of one line, as the flags are described below it."""
        forms = {None: "{}", "?": "[{}]", "*": "[{} ...]"}
        places = [action for action in self._actions if not action.option_strings]
        words = [forms[action.nargs].format(action.metavar or action.dest) for action in places]
        flags = ["[--FLAG VALUE ...]"] * (len(places) + 1 < len(self._actions))  # --help alone is not counted
        self.usage = " ".join([self.prog, *words, *flags])
        return super().format_help(*args, **options)

    def read(self, words: Sequence[str]) -> Namespace:
        """Parses the words after the command.

        Raises:
            ConfigError: a flag is unknown, or a value does not fit; the message has one line.
        """
        try:
            return self.parse_args(self._with_values(words))
        except (argparse.ArgumentError, TypeError, ValueError, KeyError) as error:
            raise ConfigError(self._explain(str(error), words)) from error

    def add_class_arguments(self, *args: Any, **options: Any) -> list[str]:
        """Adds arguments as jsonargparse does; the help of a cell then lists the names of cells."""
        added = super().add_class_arguments(*args, **options)
        for action in self._actions:
            if names_cells(action):
                action.help = f"{str(action.help).removesuffix('.')}: {expected()}"
        return added

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        (file or sys.stderr).write(message)  # argparse's own method hides errors of writing

    def settings(self) -> list[argparse.Action]:
        """The flags of settings that have a value, in order."""
        return [
            action for action in self._actions if action.option_strings and hasattr(action, "_typehint") and action.help
        ]

    def _flags(self) -> list[str]:
        return [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]

    def _with_values(self, words: Sequence[str]) -> list[str]:
        switches = {
            flag
            for action in self._actions
            if action.metavar == "{true,false}"
            or getattr(action, "_typehint", None) in (bool, bool | None)
            or action.type is bool
            for flag in action.option_strings
        }
        flags, given = set(self._flags()), []
        for word, following in zip_longest(words, words[1:]):
            name, equals, value = word.partition("=")
            if name.startswith("--") and name not in flags and "--" + name[2:].replace("-", "_") in flags:
                word = f"--{name[2:].replace('-', '_')}{equals}{value}"  # --max-restarts means --max_restarts
            given.append(word)
            if word in switches and str(following).lower() not in ("true", "false", "yes", "no"):
                given.append("true")
        return given

    def _explain(self, message: str, words: Sequence[str]) -> str:
        line = " ".join(message.split())
        if line.startswith(("Problems parsing config", "Unexpected config")):
            where = next((after for word, after in pairwise(words) if word == "--config"), "--config")
            reason = line.partition(": ")[2].replace('in "<unicode string>", ', "at ")
            return f"{where}: expected settings by name in YAML; cannot read: {reason}"
        if found := re.fullmatch(r"unrecognized arguments: (\S+).*", line):
            flag = found[1].split("=")[0]
            hint = self._closest(flag, self._flags()) if flag.startswith("-") else f"; see {self.prog} --help"
            return f"unknown argument {found[1]}{hint}"
        if found := re.search(r"Group '(\S+)' does not accept option '(\S+)'", line):
            return self._unknown_key(found[1] + ".", found[2])
        if found := re.search(r"Option '(\S+)' is not accepted", line):
            return self._unknown_key("", found[1])
        if found := re.fullmatch(r'Parser key "(\S+)": (?:Not of type CellName: )?(.*)', line):
            return f"{found[1]}: {_plain(found[2])}"
        return _plain(line)

    def _unknown_key(self, group: str, name: str) -> str:
        names = [flag[2:].removeprefix(group) for flag in self._flags() if flag[2:].startswith(group)]
        names = sorted(
            {each for each in names if group or "." not in each} - {"help", "config", "print_config", "print_shtab"}
        )
        hint = self._closest(name, names)
        return f"unknown setting {group}{name}{hint or '.'} Expected one of {', '.join(names)}"

    def _closest(self, name: str, names: Sequence[str]) -> str:
        # The last part of a name finds --batch_size, whose full name is --training.batch_size.
        by_end = {each.rsplit(".", 1)[-1].lstrip("-"): each for each in names}
        ends = difflib.get_close_matches(name.rsplit(".", 1)[-1].lstrip("-"), by_end, 1)
        close = difflib.get_close_matches(name, names, 1, cutoff=0.75) or [by_end[end] for end in ends]
        if close:
            return f"; did you mean {close[0]}?"
        return f"; see {self.prog} --help" if names and names[0].startswith("-") else ""


def _plain(message: str) -> str:
    """Replaces Python's names for types in a message by words."""
    message = message.replace("<class 'NoneType'>", "NoneType")
    words = {
        "int": "an integer",
        "float": "a number",
        "str": "text",
        "bool": "true or false",
        "dict": "settings by name",
        "list": "a list such as [a, b]",
    }
    kinds = {**{f"<class '{name}'>": word for name, word in words.items()}, "list[int]": "a list of integers"}
    union = re.search(r"Union subtypes Subtypes: \[(.*)\] Errors: .* Given value: (.*)", message)
    if union and "NoneType" not in union[1]:
        either = " or ".join(kinds.get(kind, kind) for kind in union[1].split(", "))
        message = f"Expected {either}. Got value: {union[2]}"
    message = re.sub(r"a <class '(\w+)'>", lambda found: words.get(found[1], found[1]), message)
    message = re.sub(r"a typing\.Literal\[(.*?)\]", lambda found: f"one of {found[1]}", message)
    if found := re.search(r"Union subtypes .*?- Expected (.*?) - Expected a? ?NoneType.* Given value: (.*)", message):
        message = f"Expected {found[1]}, or null. Got value: {found[2]}"
    return message.replace("'", "").replace("Expected", "expected").replace(". Got value:", ", got")
