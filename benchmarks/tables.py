"""How long a table of millions of rows takes to read, to train on and to forecast, and in how much memory.

    python -m benchmarks.tables make sales.parquet                          # 30,490 series of 1,941 days: 59 million rows
    python -m benchmarks.tables train sales.parquet runs/sales --seconds 60
    python -m benchmarks.tables more sales.parquet runs/more                # memory of training, beside that of ten series
    python -m benchmarks.tables forecast runs/sales sales.parquet ahead.parquet

The table is like that of the M5 competition: shops sell goods, few of most, none on most days, more at weekends. It is made by
formulas of the numbers of series and day, so that it is the same everywhere, whatever the order of its rows and the size of a
chunk. Memory is that of all processes together, as in `benchmarks.data`; of it `anonymous` is what the system cannot take back by
letting go of pages of files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars

from benchmarks.data import family, memory_of

SERIES, DAYS = 30_490, 1941
FIRST_DAY = np.datetime64("2011-01-29")
_CHUNK_ROWS = 1_000_000
_STORES = tuple(
    f"{state}_{number}" for state, count in (("CA", 4), ("TX", 3), ("WI", 3)) for number in range(1, count + 1)
)
_DEPARTMENTS = ("FOODS_1", "FOODS_2", "FOODS_3", "HOBBIES_1", "HOBBIES_2", "HOUSEHOLD_1", "HOUSEHOLD_2")
_WEEK = np.array([0.8, 1.0, 1.4, 1.4, 0.9, 0.8, 0.8])  # from Thursday, on which 1970 began
_POLL_S = 0.1
_OSTINATO = (sys.executable, "-m", "ostinato")
SCHEMA = {
    "id": polars.String,
    "date": polars.Date,
    "sold": polars.Int32,
    "price": polars.Float64,
    "store": polars.String,
    "department": polars.String,
}


def rows_of(series: np.ndarray, day: np.ndarray) -> polars.DataFrame:
    """Rows of the table.

    Args:
        series: (N,) int64, from 0.
        day: (N,) int64, from 0.
    """
    store, item = series % len(_STORES), series // len(_STORES)
    department = item % len(_DEPARTMENTS)
    mean = np.exp(2.0 * drawn(series, 1) - 1.0) * (1.0 + 3.0 * (drawn(series, 2) > 0.9))
    dates = FIRST_DAY + day
    mean = mean * _WEEK[dates.astype(np.int64) % 7] * (1.0 + 0.2 * np.sin(2.0 * np.pi * day / 365.25))
    some = drawn(series * 4001 + day, 3) < 0.15 + 0.7 * drawn(series, 4)
    sold = np.where(some, np.ceil(-mean * np.log(drawn(series * 4001 + day, 5))), 0.0)
    season = day // 91
    price = np.round(1.0 + 9.0 * drawn(item, 6) * (1.0 + 0.1 * drawn(item * 101 + season, 7)), 2)
    names = np.array([f"{_DEPARTMENTS[at % len(_DEPARTMENTS)]}_{at:04}" for at in range(int(item.max()) + 1)])
    return polars.DataFrame(
        {
            "id": polars.Series(names)[item] + "_" + polars.Series(_STORES)[store],
            "date": dates,
            "sold": sold.astype(np.int32),
            "price": price,
            "store": polars.Series(_STORES)[store],
            "department": polars.Series(_DEPARTMENTS)[department],
        },
        schema=SCHEMA,
    )


def drawn(number: np.ndarray, which: int) -> np.ndarray:
    """Above 0 and below 1, as if at random, of whole numbers (Steele, Lea & Flood 2014, SplitMix)."""
    z = (number.astype(np.uint64) + np.uint64(which << 48)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2**53 * (1 - 2**-50) + 2**-54


def chunks(series: int, days: int, order: str) -> Iterator[polars.DataFrame]:
    """The table in pieces.

    Args:
        series: how many.
        days: of each.
        order: "days" has all series of a day together, as the files of the competition would; "series" all days of a series.
    """
    rows = series * days
    for begin in range(0, rows, _CHUNK_ROWS):
        number = np.arange(begin, min(begin + _CHUNK_ROWS, rows))
        day, of_day = np.divmod(number, series)
        if order == "series":
            of_day, day = np.divmod(number, days)
        yield rows_of(of_day, day)


def make(path: Path, series: int, days: int, order: str) -> None:
    """Writes the table: .csv, .tsv, .jsonl or .parquet; a folder gets a Parquet for each shop, `store=CA_1/part.parquet`."""
    if path.suffix in (".csv", ".tsv", ".jsonl"):
        with path.open("wb") as file:
            for at, chunk in enumerate(chunks(series, days, order)):
                if path.suffix == ".jsonl":
                    chunk.with_columns(polars.col("date").cast(polars.String)).write_ndjson(file)
                else:
                    chunk.write_csv(file, include_header=at == 0, separator="\t" if path.suffix == ".tsv" else ",")
        return

    def source(
        columns: list[str] | None, predicate: polars.Expr | None, most: int | None, size: int | None
    ) -> Iterator[polars.DataFrame]:
        for chunk in chunks(series, days, order):
            some = chunk if predicate is None else chunk.filter(predicate)
            yield some if columns is None else some.select(columns)

    from polars.io.plugins import register_io_source

    table = register_io_source(source, schema=SCHEMA)
    if path.suffix == ".parquet":
        table.sink_parquet(path)
        return
    for store in _STORES:
        (path / f"store={store}").mkdir(parents=True, exist_ok=True)
        some = table.filter(polars.col("store") == store).drop("store")
        some.sink_parquet(path / f"store={store}" / "part.parquet")


@dataclass
class Watched:
    """What watching a command found.

    Args:
        seconds: of the whole.
        peak_bytes: of all its processes together.
        until_s: seconds until a file was there; 0 where none was waited for, or came.
        until_bytes: the most memory up to then.
        after_bytes: the most memory from then on; of the whole where no file was waited for, or came.
        after_anonymous_bytes: the most of it that are no pages of files.
    """

    seconds: float = 0.0
    peak_bytes: int = 0
    until_s: float = 0.0
    until_bytes: int = 0
    after_bytes: int = 0
    after_anonymous_bytes: int = 0


def watch(command: list[str], waited_for: Path | None = None) -> Watched:
    """Runs a command to its end.

    Args:
        command: with its arguments.
        waited_for: a folder in which a folder appears when something is done.
    """
    found, began = Watched(), time.monotonic()
    process = subprocess.Popen(command)
    while process.poll() is None:
        processes = family(process.pid)
        now = sum(map(memory_of, processes))
        found.peak_bytes = max(found.peak_bytes, now)
        anonymous = sum(memory_of(each, "Pss_Anon") for each in processes)
        found.after_bytes = max(found.after_bytes, now)
        found.after_anonymous_bytes = max(found.after_anonymous_bytes, anonymous)
        if waited_for is not None and not found.until_s and any(waited_for.glob("[!.]*")):
            found.until_s, found.until_bytes = time.monotonic() - began, found.peak_bytes
            found.after_bytes = found.after_anonymous_bytes = 0
        time.sleep(_POLL_S)
    found.seconds = time.monotonic() - began
    if process.returncode:
        raise SystemExit(process.returncode)
    return found


def train(data: str, run: Path, more: dict[str, object]) -> Watched:
    """Trains a GRU of 64 units: reads the table where that is not done yet; `more` are other options."""
    options = {"reading.id": "id", "reading.time": "date", "reading.values": "[sold]", "reading.horizon": 28}
    options |= {"reading.static": "[store, department]", "model.cell": "gru", "model.hidden_size": 64}
    options |= {"model.head": "negative-binomial", **more}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return watch([*_OSTINATO, "train", "forecast", "--data", data, "--run", str(run), *words], run / "tables")


def more_than_ten(data: str, runs: Path, steps: int) -> dict[str, dict[str, float]]:
    """Trains so many steps on a table, and on ten of its series; what the first takes more is the difference."""
    runs.mkdir(parents=True, exist_ok=True)
    files = polars.scan_parquet(data) if data.endswith(".parquet") else polars.scan_csv(data)
    ids = files.select("id").head(SERIES).unique(maintain_order=True).head(10).collect()["id"]
    ten = runs / "ten.parquet"
    files.filter(polars.col("id").is_in(ids.to_list())).collect(engine="streaming").write_parquet(ten)
    options: dict[str, object] = {"training.max_steps": steps, "training.evaluate_every": steps}
    found = {name: train(str(each), runs / name, options) for name, each in (("ten", ten), ("all", data))}
    first, second = found["ten"], found["all"]
    difference = {
        name: getattr(second, name) - getattr(first, name) for name in ("after_bytes", "after_anonymous_bytes")
    }
    return {**{name: asdict(each) for name, each in found.items()}, "more": difference}


def main() -> None:
    """Makes a table, trains on one or forecasts one, and prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("path", type=Path)
    making.add_argument("--series", type=int, default=SERIES)
    making.add_argument("--days", type=int, default=DAYS)
    making.add_argument("--order", choices=("days", "series"), default="days")
    training = commands.add_parser("train")
    training.add_argument("data")
    training.add_argument("run", type=Path)
    training.add_argument("--seconds", type=float, default=60.0)
    comparing = commands.add_parser("more")
    comparing.add_argument("data")
    comparing.add_argument("runs", type=Path)
    comparing.add_argument("--steps", type=int, default=200)
    forecasting = commands.add_parser("forecast")
    forecasting.add_argument("run", type=Path)
    forecasting.add_argument("data")
    forecasting.add_argument("output")
    forecasting.add_argument("--samples", type=int, default=100)
    given = parser.parse_args()
    if given.command == "make":
        make(given.path, given.series, given.days, given.order)
        return
    if given.command == "more":
        print(json.dumps(more_than_ten(given.data, given.runs, given.steps), indent=2))
        return
    if given.command == "train":
        found = train(given.data, given.run, {"training.max_time_s": given.seconds})
    else:
        options = ["--output", given.output, "--options", f"{{samples: {given.samples}}}"]
        found = watch([*_OSTINATO, "predict", str(given.run), given.data, *options])
    print(json.dumps(asdict(found), indent=2))


if __name__ == "__main__":
    main()
