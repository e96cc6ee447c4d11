"""`ostinato evaluate RUN [DATA]`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ostinato.cli.engine import add_flags, check_flags, team_on_ray
from ostinato.errors import ConfigError

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser
    from ostinato.recipes.lm.adaptation import CacheSettings, DynamicSettings


def parser() -> Parser:
    """The parser of the command's arguments."""
    from ostinato.cli.parser import Parser

    found = Parser("ostinato evaluate", "Measure how good the model of a run is on data.")
    found.add_argument(
        "run", nargs="?", type=str | None, default=None, help="folder of the run; without it, the latest in runs/"
    )
    found.add_argument(
        "on",
        metavar="data",
        nargs="?",
        type=str | None,
        default=None,
        help="what to evaluate on; without it, the run's own data",
    )
    found.add_argument("--data", type=str | None, default=None, help="the same as a flag")
    found.add_argument("--output", type=str | None, default=None, help="a JSON file to write all that was found into")
    found.add_argument(
        "--options",
        type=dict[str, Any],
        default={},
        help="how the model answers, where the task has a choice, such as {beam: 5}",
    )
    found.add_argument("--max_tokens", type=int | None, default=None, help="read about so many tokens, spread evenly")
    found.add_argument("--device", type=str, default="auto", help="where to compute: auto, cpu, cuda, cuda:N or mps")
    found.add_argument(
        "--cache", type=int | None, default=None, help="how many steps a continuous cache keeps (Grave et al. 2017)"
    )
    found.add_argument(
        "--theta", type=float | None, default=None, help="how much likeness counts in the cache; 1 by default"
    )
    found.add_argument(
        "--share", type=float | None, default=None, help="the share of the cache in the probability; 0.1 by default"
    )
    found.add_argument(
        "--dynamic",
        type=Literal["sgd", "rms"] | None,
        default=None,
        help="let the model learn from what it has read (Krause et al. 2018), by this rule",
    )
    found.add_argument(
        "--learning_rate",
        type=float | None,
        default=None,
        help="the learning rate of --dynamic; 5e-5 for rms and 0.1 for sgd by default",
    )
    found.add_argument(
        "--decay",
        type=float | None,
        default=None,
        help="how fast --dynamic goes back to the run's weights; 0.002 by default",
    )
    found.add_argument(
        "--segment",
        type=int | None,
        default=None,
        help="how many tokens --dynamic reads between two updates; 5 by default",
    )
    add_flags(found, "who sees the data: ray, with many workers")
    return found


def main(words: Sequence[str]) -> int:
    """Prints how good the model of a run is on data; for a language model, how well it predicts a text."""
    given = parser().read(words)
    if given.max_tokens is not None and given.max_tokens < 1:
        raise ConfigError(f"--max_tokens: expected an integer of at least 1, got {given.max_tokens}")
    adaptation = _adaptation(given)
    check_flags(given)
    if given.on is not None and given.data is not None:
        raise ConfigError("--data and the data after the run: expected one of them")
    data = given.data if given.on is None else given.on

    import importlib

    from ostinato.cli.closing import tell_next
    from ostinato.cli.waiting import waiting
    from ostinato.recipes.registry import find, task_of
    from ostinato.recipes.runs import latest_run
    from ostinato.recipes.task_report import write_scores
    from ostinato.recipes.trained import load

    run = latest_run() if given.run is None else given.run
    entry = find(name := task_of(run))
    task, asked = entry.make(), _set(max_tokens=given.max_tokens, adaptation=adaptation)
    known = [] if task.answering is None else [each.name for each in dataclasses.fields(task.answering)]
    if any(option not in known for option in asked):
        raise ConfigError(f"--max_tokens, --cache, --dynamic are for language models, but {run} is of task {name}")
    options = {**given.options, **asked}
    if given.engine is not None:
        scores = _by_many(given, load(task, run).answer_with(options), str(run), data, options)
    else:
        with waiting("evaluating") as on_batch:
            trained = load(task, run).to(given.device).answer_with(options)
            scores, _ = trained.evaluate(data, on_batch=on_batch)
    importlib.import_module(entry.report).show_scores(task, str(run), scores)
    if given.output is not None:
        write_scores(given.output, scores)
    tell_next({"look inside": ["ostinato", "inspect", str(run)]})
    return 0


def _by_many(given: Any, trained: Any, run: str, data: str | None, options: dict[str, Any]) -> Any:
    """Computes the scores by many workers."""
    from ostinato.cli.waiting import waiting
    from ostinato.recipes.engines.evaluating import JudgeWorker, evaluate_by
    from ostinato.recipes.engines.work import Work

    if data == "-":
        raise ConfigError(
            "--engine: expected data in files, which every worker can open; standard input is read by one"
        )
    with team_on_ray(given, JudgeWorker) as team, waiting("evaluating") as on_batch:
        return evaluate_by(Work(run, data, options, given.device), team, trained, on_batch)[0]


def _adaptation(given: Any) -> CacheSettings | DynamicSettings | None:
    """The adaptation that the flags describe; a flag that belongs to the other kind is an error."""
    flags = {"cache": ("theta", "share"), "dynamic": ("learning_rate", "decay", "segment")}
    for name, details in flags.items():
        if stray := [flag for flag in details if given[name] is None and given[flag] is not None]:
            raise ConfigError(f"--{stray[0]} belongs to --{name}; give both, or leave it out")
    if given.cache is not None and given.dynamic is not None:
        raise ConfigError("--cache and --dynamic: expected one of them; evaluate twice to compare")

    from ostinato.recipes.lm.adaptation import CacheSettings, DynamicSettings

    if given.cache is not None:
        return CacheSettings(given.cache, **_set(theta=given.theta, share=given.share))
    if given.dynamic is not None:
        values = _set(learning_rate=given.learning_rate, decay=given.decay, segment=given.segment)
        return DynamicSettings(given.dynamic, **values)
    return None


def _set(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
