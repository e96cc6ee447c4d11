"""What an experiment is: a claim, how it is measured, and code that says whether the numbers bear the claim out.

What is measured is a table and nothing else: the picture, the sentences and the verdict are made from the table alone. So a
verdict can be tested without a run, by taking the effect out of the table.
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
    """What was measured, one row a measurement.

    Attributes:
        columns: names, with units.
        rows: as many values each as there are columns.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def __post_init__(self) -> None:
        if wrong := [row for row in self.rows if len(row) != len(self.columns)]:
            raise ValueError(f"expected rows of {len(self.columns)} values ({', '.join(self.columns)}), got {wrong[0]}")

    def where(self, **values: Any) -> Table:
        """The rows that have these values in the columns of these names."""
        at = {self.columns.index(name): value for name, value in values.items()}
        return Table(self.columns, tuple(row for row in self.rows if all(row[n] == v for n, v in at.items())))

    def column(self, name: str) -> list[Any]:
        """One column, from the first row to the last."""
        at = self.columns.index(name)
        return [row[at] for row in self.rows]

    def one(self, name: str, **values: Any) -> Any:
        """What the only row with these values has in column `name`."""
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
    """What a table shows.

    Attributes:
        first: a sentence made from the numbers.
        second: another.
        reproduced: whether the numbers bear the claim out.
    """

    first: str
    second: str
    reproduced: bool


@dataclass(frozen=True)
class ExperimentResult:
    """What a run of an experiment gives.

    Attributes:
        table: what was measured.
        figure: the picture of it.
        sentences: two, of what it shows.
        reproduced: whether the claim was.
    """

    table: Table
    figure: Figure
    sentences: tuple[str, str]
    reproduced: bool


@dataclass(frozen=True)
class Experiment:
    """A claim of a paper, and how to show it.

    Attributes:
        name: how the command line calls it; the name of its module.
        claim: what is to be shown, one sentence.
        source: where the claim comes from.
        measure: `(seed, quick) -> Table`; quick is a second or two, at sizes that need not bear the claim out.
        judge: what the table shows.
        draw: the picture of the table.
    """

    name: str
    claim: str
    source: str
    measure: Callable[[int, bool], Table]
    judge: Callable[[Table], Verdict]
    draw: Callable[[Table], Figure]

    def run(self, seed: int = 0, quick: bool = False) -> ExperimentResult:
        """Measures, judges and draws. The same seed gives the same table; the caller's random numbers stay as they were.

        Args:
            seed: of all random numbers, at least 0.
            quick: a second or two, to see that it runs; the claim may need the full size.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            measured = self.measure(seed, quick)
        verdict = self.judge(measured)
        return ExperimentResult(measured, self.draw(measured), (verdict.first, verdict.second), verdict.reproduced)
