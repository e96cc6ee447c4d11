"""`ostinato train TASK`."""

from __future__ import annotations

import importlib
import os
import shlex
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ostinato.errors import ConfigError
from ostinato.recipes.registry import Entry, find, task_of, tasks
from ostinato.training.loop.budget import LIMITS

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser
    from ostinato.training.distributed.plan import Plan

ALL = "--help-all"
# The settings that most people change, shown for tasks that have them.
OFTEN = (
    "--data",
    "--run",
    "--resume",
    "--model.cell",
    "--model.hidden_size",
    "--model.num_layers",
    "--model.dropout",
    "--training.max_time_s",
    "--training.batch_size",
    "--training.learning_rate",
)


def main(words: Sequence[str]) -> int:
    """Trains. Returns 0, or 130 after an interrupt, from which the run can be resumed."""
    if not words or words[0] in ("-h", "--help"):
        known = tasks()
        width = max(map(len, known))
        print("usage: ostinato train TASK ...\n")
        for name, entry in known.items():
            print(
                textwrap.fill(
                    entry.summary, 79, initial_indent=f"  {name:{width}}  ", subsequent_indent=" " * (width + 4)
                )
            )
        print("\nWithout data of yours, a task trains on its built-in data: `ostinato train lm`.")
        print("`ostinato train lm --help` shows examples and the settings that matter most.")
        return 0
    name, *words = words
    entry = find(name)
    if "-h" in words or "--help" in words:
        print(_short_help(name, entry))
        return 0
    words = ["--help" if word == ALL else word for word in words]
    settings = _settings(name, entry, words)

    from ostinato.training.distributed.launch import is_launched, stop_with_the_watcher

    if (settings.elastic is not None or settings.devices * settings.nodes > 1) and not is_launched():
        return _launch(["train", name, *words], settings)
    stop_with_the_watcher()

    # Imported only now, so that a wrong flag is reported before torch is loaded.
    from ostinato.recipes.task_training import train

    result = train(entry.make(), settings)
    return _told(settings, result, importlib.import_module(entry.report))


def _launch(words: list[str], settings: Any) -> int:
    """Starts the processes of this machine, each with the same arguments."""
    from ostinato.training.distributed.plan import plan

    # torch reads it when it is loaded; without it, it prints twenty lines for every connection that closes.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    planned = plan(settings.devices, settings.nodes, settings.elastic, settings.max_restarts)
    if planned.is_elastic:
        return _launch_elastic(words, settings, planned)
    from ostinato.training.distributed.agent import launch

    return launch(words, planned)


def _launch_elastic(words: list[str], settings: Any, planned: Plan) -> int:
    planned.check_rows(settings.training.batch_size)
    if settings.run is None and planned.place is not None:
        raise ConfigError("elastic: expected --run FOLDER, which all machines see and a later process finds again")

    from ostinato.cli.main import INTERRUPTED
    from ostinato.recipes.runs import new_run
    from ostinato.training.distributed.agent import launch
    from ostinato.training.run.run_folder import RunFolder

    run = RunFolder(settings.run or new_run(settings.task))

    def kept() -> str:
        steps = run.checkpoints.steps()
        return f"step {steps[-1]}" if steps else "the beginning"

    status = launch([*words, "--run", str(run)], planned, kept=kept)
    if status == INTERRUPTED:  # the processes themselves do not know whether others go on
        again = ["ostinato", "train", words[1], "--run", str(run), "--resume", *_processes(settings)]
        print(f"interrupted at {kept()}; go on with: {shlex.join(again)}")
    return status


def _processes(settings: Any) -> list[str]:
    """The flags that say which processes train, if not at their defaults; they are not stored with a run."""
    names = {"devices": 1, "nodes": 1, "elastic": None, "max_restarts": 3}
    given = {name: getattr(settings, name) for name in names if getattr(settings, name) != names[name]}
    return [word for name, value in given.items() for word in (f"--{name}", str(value))]


def _short_help(name: str, entry: Entry) -> str:
    """The short help: three examples, and the settings that matter most."""
    from ostinato.cli.parser import names_cells

    parsing, command = parser(name), f"ostinato train {name}"
    said = [f"usage: {command} [SETTING VALUE ...]", "", *textwrap.wrap(str(parsing.description), 79), ""]
    said += ["On the built-in data, on your own, and for longer:", "", f"  {command}"]
    said += [
        f"  {command} --data {entry.example_data} --run runs/a",
        f"  {command} --run runs/a --resume --training.max_epochs 20",
    ]
    said += ["", "The settings that matter most:", ""]
    for action in parsing.settings():
        flag = next((flag for flag in action.option_strings if flag in OFTEN), None)
        if flag is not None:
            words = str(action.help).partition(". ")[0].removesuffix(".")
            if names_cells(action):
                words = f"{words.partition(':')[0]}: lstm, gru, rnn, another of the catalogue, or your own, module:cell"
            default = "" if action.default in (None, False) else f" [{action.default}]"
            said += textwrap.wrap(words + default, 79, initial_indent=f"  {flag:25} ", subsequent_indent=" " * 28)
    said += [
        "",
        f"`{command} {ALL}` lists all {len(parsing.settings())} settings.",
        "`--print_config` prints them as a file, which `--config FILE` reads.",
    ]
    return "\n".join(said)


def _told(settings: Any, result: Any, report: Any) -> int:
    """Reports how a run ended; `report` has `resume_command(result)` and `show(result)`."""
    from ostinato.cli.main import INTERRUPTED
    from ostinato.training.distributed.launch import is_watched, rank

    if rank() > 0:
        return INTERRUPTED if result.outcome.ending == "interrupted" else 0
    if result.outcome.ending == "interrupted":
        if settings.elastic is not None and is_watched():
            return INTERRUPTED
        again = " ".join([report.resume_command(result), *_processes(settings)])
        print(f"interrupted at step {result.outcome.counters.step}; go on with: {again}")
        return INTERRUPTED
    if settings.quiet:
        print(result.run)
    else:
        report.show(result)
    return 0


def parser(name: str) -> Parser:
    """The parser of the arguments of `ostinato train` for a task."""
    from ostinato.cli.parser import Parser

    entry = find(name)
    kind = entry.settings_class()
    what = (kind.__doc__ or "").partition("\n")[0].removesuffix(".")
    found = Parser(f"ostinato train {name}", f"{what}; with no argument, on its built-in data.")
    recipe = "" if entry.example_config is None else f", or a paper's recipe such as {entry.example_config}"
    found.add_argument(
        "--config",
        action="config",
        help=f"a YAML file{recipe}; flags after it win",
    )
    found.add_class_arguments(kind)
    return found


def _settings(name: str, entry: Entry, words: Sequence[str]) -> Any:
    """The settings of the arguments, put over those of a resumed run, or those for the built-in data."""
    kind, parsing = entry.settings_class(), parser(name)
    words = _with_recipes(words)
    # --print_config prints and exits; it should print the settings below the arguments too.
    asked = [word for word in words if not word.startswith("--print_config")]
    given, before = parsing.read(asked), []
    if given.resume:
        if given.run is None:
            raise ConfigError("--resume needs --run FOLDER, the run to go on with")
        before = _settings_of(given.run, name)
    elif given.data is None and entry.built_in_file is not None:
        before = ["--config", str(entry.built_in_file)]
    if before and any(given.training[limit] is not None for limit in LIMITS):
        # A limit that is asked for now replaces those of the resumed run or of the built-in data.
        before += [word for limit in LIMITS for word in (f"--training.{limit}", "null")]
    if before or asked != words:
        given = parsing.read([*before, *words])
    values = given.as_dict()
    del values["config"]
    return kind.from_dict(values)


def _with_recipes(words: Sequence[str]) -> list[str]:
    """The arguments, with the file of each configuration that `--config` names."""
    from ostinato.recipes.papers import resolve

    found: list[str] = []
    for word in words:
        if found and found[-1] == "--config":
            word = resolve(word)
        elif word.startswith("--config="):
            word = f"--config={resolve(word.removeprefix('--config='))}"
        found.append(word)
    return found


def _settings_of(run: str, task: str) -> list[str]:
    """The settings of a run of this task, as arguments to put before those given."""
    from ostinato.training.run.run_folder import RunFolder

    folder = RunFolder(run)
    folder.check(resume=True)
    other = task_of(run)  # reads the file, and reports a damaged one as such
    if find(other).task != find(task).task:
        again = shlex.join(["ostinato", "train", other, "--run", run, "--resume"])
        raise ConfigError(f"{run} is a run of the task {other}, not {task}; go on with it by `{again}`")
    return ["--config", str(folder.config_file)]
