"""`ostinato predict RUN INPUT`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from ostinato.cli.engine import add_flags, check_flags, team_on_ray
from ostinato.errors import ConfigError
from ostinato.recipes.engines.answer_files import FORMS, answers_into, check_suffix, write_form

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser


def parser() -> Parser:
    """The parser of the command's arguments."""
    from ostinato.cli.parser import Parser

    found = Parser("ostinato predict", "Answer for data with the model of a run: a line of JSON for each example.")
    found.add_argument("run", type=str, help="folder of the run")
    found.add_argument(
        "input",
        type=str,
        help="data of the kind that the run learnt from, without labels; - reads lines from standard input",
    )
    found.add_argument(
        "--output",
        type=str | None,
        default=None,
        help="the file to write: .jsonl, .csv, .tsv, .parquet or .txt, of a tagger also .conllu, .conll or .bio; without it, "
        "answers go to standard output",
    )
    found.add_argument(
        "--options",
        type=dict[str, Any],
        default={},
        help="how the model answers, where the task has a choice, such as {beam: 5}",
    )
    found.add_argument(
        "--show",
        type=bool,
        default=False,
        help="print for people in place of JSON, where the task can; in colours on a terminal, unless NO_COLOR is set",
    )
    found.add_argument(
        "--why",
        type=bool,
        default=False,
        help="show why the model answers so: the same as `ostinato explain`, whose flags it takes",
    )
    found.add_argument("--device", type=str, default="auto", help="where to compute: auto, cpu, cuda, cuda:N or mps")
    add_flags(found, "who answers: ray, with many workers, into a folder of partitions that --output names")
    found.add_argument(
        "--part_rows",
        type=int | None,
        default=None,
        help="with --engine, examples of a partition; without it, as suits the task",
    )
    found.add_argument(
        "--ordered", type=bool, default=False, help="with --engine, write one file, in the order of the data"
    )
    return found


def main(words: Sequence[str]) -> int:
    """Writes the model's answers to all examples; an interrupt leaves complete lines.

    Returns:
        The exit status: 1 if some files could not be read while the others have answers; else 0.
    """
    if (others := _without_why(words)) is not None:
        from ostinato.cli import explain

        return explain.main(others)
    given = parser().read(words)
    if given.show and given.output is not None:
        raise ConfigError(
            "--show and --output: expected one of them; a file whose name ends in .txt gets what --show prints"
        )
    if given.output is not None:
        check_suffix(given.output)
    check_flags(given, needs=("part_rows", "ordered"))
    if given.engine is not None:
        return _in_parts(given)

    from ostinato.recipes import open_run

    trained = open_run(given.run).to(given.device).answer_with(given.options)

    if given.show:
        answers = trained.stream(data=given.input)
        _tell(trained.notes)
        return _show(trained.task, answers) or int(bool(trained.unread))

    from ostinato.cli.waiting import waiting

    out = sys.stdout  # saved before a progress bar replaces it
    with ExitStack() as stack:
        on_batch = None
        if given.output is not None or not out.isatty():  # otherwise the answers themselves show the progress
            on_batch = stack.enter_context(waiting("predicting"))
        answers = trained.stream(data=given.input, on_batch=on_batch)
        _tell(trained.notes)
        if given.output is not None and given.output.lower().endswith(FORMS):
            write_form(given.output, trained, given.input, answers)
            return _written(given, trained)
        if given.output is not None:
            write = stack.enter_context(
                answers_into(given.output, trained.task, partial(trained.task.table_rows, trained))
            )
            for answer in answers:
                write(answer)
            return _written(given, trained)
        # If the output's encoding lacks characters, JSON escapes them.
        ascii_only = (out.encoding or "utf-8").lower().replace("-", "") != "utf8"
        for answer in answers:
            out.write(json.dumps(answer, ensure_ascii=ascii_only) + "\n")
    return int(bool(trained.unread))


def _in_parts(given: Any) -> int:
    """Predicts by many workers, into partitions."""
    if given.show or given.output is None:
        raise ConfigError("--engine: expected --output FOLDER for its partitions, and no --show")
    if given.input == "-":
        raise ConfigError(
            "--engine: expected data in files, which every worker can open; standard input is read by one"
        )

    from ostinato.cli.waiting import waiting
    from ostinato.recipes import open_run
    from ostinato.recipes.engines.folder import PartFolder, suffix_for
    from ostinato.recipes.engines.predicting import check_output, predict_in_parts
    from ostinato.recipes.engines.work import Work, output_of

    suffix, target = suffix_for(given.output), output_of(given.output)
    check_output(given.output, ordered=given.ordered)
    folder = target.with_name(f"{target.name}.parts") if given.ordered else target
    trained = open_run(given.run).answer_with(given.options)  # fails before workers are started
    work = Work(given.run, given.input, given.options, given.device, output=str(folder), suffix=suffix)
    with team_on_ray(given) as team, waiting("predicting") as on_part:
        found = predict_in_parts(work, team, trained, rows=given.part_rows, on_part=on_part)
    _tell([*found.notes, *found.unread])
    if len(PartFolder(folder, suffix).parts()) < found.parts:
        print(
            f"ostinato: partitions are missing in {folder}; the same command writes them, as long as the data stay as they are; "
            "where you mend these, choose another --output, or remove the folder",
            file=sys.stderr,
        )
        return 1
    if given.ordered:
        PartFolder(folder, suffix).join(target)
    return _written(given, found)


def _without_why(words: Sequence[str]) -> list[str] | None:
    """The words for `ostinato explain`, without `--why`; None if `--why` is not among them."""
    for at, word in enumerate(words):
        flag, _, value = word.partition("=")
        if flag != "--why":
            continue
        following = words[at + 1].lower() if at + 1 < len(words) and not value else value.lower()
        is_told = not value and following in ("true", "false", "yes", "no")
        if following in ("false", "no"):
            return None
        return [*words[:at], *words[at + 1 + is_told :]]
    return None


def _written(given: Any, trained: Any) -> int:
    from ostinato.cli.closing import tell_next

    data = ["DATA"] if given.input == "-" else [given.input]
    tell_next({"why these answers": ["ostinato", "explain", given.run, *data]})
    return int(bool(trained.unread))


def _tell(notes: Iterable[str]) -> None:
    """Prints notes about the data on standard error, as another program may read the answers."""
    for note in notes:
        print(f"ostinato: {note}", file=sys.stderr)


def _show(task: Any, answers: Iterable[dict[str, Any]]) -> int:
    from ostinato.training.loop.console import standard_output

    console = standard_output()
    for answer in answers:
        text = task.shown(answer)
        if text is None:
            raise ConfigError(f"--show: answers of {task.name} are JSON only; leave it out")
        console.print(text, soft_wrap=True)
    return 0
