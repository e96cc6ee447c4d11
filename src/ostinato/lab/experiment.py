"""The parts of an experiment: a claim, code that measures, and code that decides whether the numbers support the claim.

The measurement gives a table and nothing else; the figure, the sentences and the verdict are made from the table alone.
So a verdict can be tested without a run, on a table from which the effect has been removed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """The measurements, one a row.

    Attributes:
        columns: names, with units.
        rows: each has one value for each column.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def __post_init__(self) -> None:
        if wrong := [row for row in self.rows if len(row) != len(self.columns)]:
            raise ValueError(f"expected rows of {len(self.columns)} values ({', '.join(self.columns)}), got {wrong[0]}")

    def where(self, **values: Any) -> Table:
        """The rows with these values; each argument is the name of a column."""
        at = {self.columns.index(name): value for name, value in values.items()}
        return Table(self.columns, tuple(row for row in self.rows if all(row[n] == v for n, v in at.items())))

    def column(self, name: str) -> list[Any]:
        """One column, from the first row to the last."""
        at = self.columns.index(name)
        return [row[at] for row in self.rows]

    def one(self, name: str, **values: Any) -> Any:
        """The value in column `name` of the only row with these values."""
        (value,) = self.where(**values).column(name)
        return value

    def kinds(self, name: str) -> list[Any]:
        """The different values of a column, in the order of their first appearance."""
        return list(dict.fromkeys(self.column(name)))

    def replaced(self, name: str, change: Callable[[Any], Any]) -> Table:
        """The same table with `change` applied to every value of a column."""
        at = self.columns.index(name)
        return Table(self.columns, tuple((*row[:at], change(row[at]), *row[at + 1 :]) for row in self.rows))

    def csv(self) -> str:
        """As a CSV file with a header, numbers to six digits."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in self.rows)
        return text.getvalue()


def table(columns: str, rows: Iterable[Sequence[Any]]) -> Table:
    """A table; `columns` are names with spaces between them."""
    return Table(tuple(columns.split()), tuple(tuple(row) for row in rows))


@dataclass(frozen=True)
class Verdict:
    """What the numbers of a table show.

    Attributes:
        first: a sentence with numbers of the table.
        second: another such sentence.
        reproduced: whether the numbers support the claim.
    """

    first: str
    second: str
    reproduced: bool


@dataclass(frozen=True)
class ExperimentResult:
    """The result of running an experiment.

    Attributes:
        table: the measurements.
        figure: the picture of the table.
        sentences: two, about what the table shows.
        reproduced: whether the numbers support the claim.
    """

    table: Table
    figure: Figure
    sentences: tuple[str, str]
    reproduced: bool


@dataclass(frozen=True)
class Experiment:
    """A claim of a paper, with the code that tests it.

    Attributes:
        name: as on the command line; also the name of its module.
        claim: one sentence.
        source: where the claim comes from.
        measure: `(seed, quick) -> Table`; a quick run takes a second or two and may be too small to show the claim.
        judge: makes the verdict from the table.
        draw: makes the picture from the table.
    """

    name: str
    claim: str
    source: str
    measure: Callable[[int, bool], Table]
    judge: Callable[[Table], Verdict]
    draw: Callable[[Table], Figure]

    def run(self, seed: int = 0, quick: bool = False) -> ExperimentResult:
        """Measures, judges and draws. The same seed gives the same table; torch's random state is as before afterwards.

        Args:
            seed: for all random numbers, at least 0.
            quick: a run of a second or two, to see that the code works; it may be too small to show the claim.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            measured = self.measure(seed, quick)
        verdict = self.judge(measured)
        return ExperimentResult(measured, self.draw(measured), (verdict.first, verdict.second), verdict.reproduced)
