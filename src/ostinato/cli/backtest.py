"""`ostinato backtest RUN [DATA]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ostinato.errors import ConfigError

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser


def parser() -> Parser:
    """The parser of the command's arguments."""
    from ostinato.cli.parser import Parser

    found = Parser("ostinato backtest", "Measure how good forecasts are that begin at several times of the test data.")
    found.add_argument("run", type=str, help="folder of a run of the task forecast")
    found.add_argument(
        "on", metavar="data", nargs="?", type=str | None, default=None, help="a table; without it, the run's own data"
    )
    found.add_argument("--origins", type=int, default=8, help="how many times forecasts begin at, evenly spread")
    found.add_argument(
        "--refit",
        type=bool,
        default=False,
        help="also train a model anew on what lies before each of them; the same command goes on after an interrupt",
    )
    found.add_argument(
        "--output",
        type=str | None,
        default=None,
        help="the file to write all rows into: .csv, .tsv, .parquet or .jsonl",
    )
    found.add_argument(
        "--options",
        type=dict[str, Any],
        default={},
        help="how the model forecasts, such as {samples: 500, conformal: none}",
    )
    found.add_argument("--device", type=str, default="auto", help="where to compute: auto, cpu, cuda, cuda:N or mps")
    return found


def main(words: Sequence[str]) -> int:
    """Prints figures by origin and by step ahead, and writes all rows; an interrupt loses no finished origin."""
    given = parser().read(words)
    from ostinato.recipes.engines.answer_files import JSON_LINES, TABLES, answers_into, check_suffix

    if given.output is not None:
        check_suffix(given.output)
        if not given.output.lower().endswith((*TABLES, *JSON_LINES[:-1])):
            raise ConfigError(f"--output {given.output}: expected .csv, .tsv, .parquet or .jsonl")

    from ostinato.cli.closing import tell_next
    from ostinato.cli.waiting import waiting
    from ostinato.recipes import open_run
    from ostinato.recipes.forecast.backtest import backtest, summed_up
    from ostinato.training.loop.console import standard_output

    trained = open_run(given.run).to(given.device).answer_with(given.options)
    rows: list[dict[str, Any]] = []
    for refit in (False, True) if given.refit else (False,):
        with waiting("training anew and forecasting" if refit else "forecasting") as on_origin:
            rows += backtest(trained, given.on, origins=given.origins, refit=refit, on_origin=on_origin)
    if given.output is not None:
        with answers_into(given.output, trained.task, lambda row: [dict(row)]) as write:
            for row in rows:
                write(row)
    console = standard_output()
    for by in ("origin", "step"):
        console.print(_table(by, summed_up(rows, by), given.refit))
    tell_next({"forecast": ["ostinato", "predict", given.run, given.on or "TABLE"]})
    return 0


def _table(by: str, rows: Sequence[Mapping[str, Any]], refit: bool) -> Any:
    from rich.table import Table

    table = Table(by, *(["trained anew"] if refit else []), "mae", "mase", "crps", "in 80 %", "in 90 %")
    for row in rows:
        cells = ["" if row[name] is None else f"{row[name]:.4g}" for name in ("mae", "mase", "crps")]
        cells += ["" if row[name] is None else f"{row[name]:.1%}" for name in ("coverage_80", "coverage_90")]
        table.add_row(str(row[by]), *(["yes" if row["refit"] else "no"] if refit else []), *cells)
    return table
