"""The page and its picture, made of the results alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from benchmarks.catalogue.results import Results
from benchmarks.catalogue.tasks import BITS, SQUARED, WRONG
from ostinato.insight import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = 3
COMMAND = "python -m benchmarks.catalogue"
CANNOT = "cannot run"
KINDS = ("training", "streaming")
_FORMS = {
    SQUARED: lambda error: f"{error:.4f}",
    WRONG: lambda error: f"{error:.1%}"[:-1],
    BITS: lambda error: f"{error:.2f}",
}

_PAGE = """# All cells compared

Every cell that has a name, on the same five small tasks, and what it costs. {when}

```text
{command}
```

measures it again, in less than an hour on two quiet cores, and writes this page from `benchmarks/results/catalogue.json`. A call
that was interrupted goes on where it was, and a cell that is new is measured alone. `--help` tells how to have a part of it.

{missing}![Skill and cost of each cell]({picture})

## Scores and costs

{scores}

- **skill** is the mean over the tasks of 1 - error / error of guessing: 1 is without error, 0 no better than the best answer that
  does not look at the input. Of several seeds the median counts. A training that diverged, and a task that a cell cannot run, is 0.
- The column of a task has the median of the seeds, in brackets the lowest and the highest. Lower is better; the best are bold.
- **H** is the hidden size in the tasks.
- **training step** is forward and backward, T x B x I x H = {cost}; **streaming step** is one of `ostinato.Stream`, I = H = 128.
  Both are the median, on one thread, divided by that of an LSTM of the same sizes, which takes turns with the cell.
{failures}
## The tasks

{tasks}

- One layer, as it comes: a linear map to {width} features, the cell with its default arguments and initialisation, a linear map to
  the answer.{extras}
- Equal parameters: H is chosen so that the cell and the map behind it have as near as can be as many numbers as with an LSTM of
  {like_hidden} units, those that are not learned too.
- One learning rate for all, {rate:g}: Adam, down to 0 as a cosine, gradients clipped to norm {norm:g}. Nothing is chosen for a
  cell, neither rate nor number of updates nor initialisation. One that wants smaller steps, more of them, or gates that begin open
  (`init="chrono(200)"`) does better elsewhere: the table has how far each comes with little, not how far it can come.
- A training of more than {limit_s:g} s of one core ends there, and the table says after how many updates: a cell that is not
  compiled takes an hour for all of them.
- Seeds 0 to {seeds}, of the weights and the batches. Judged are the last weights, on data that no training has seen.

## The cells

In the order of [the catalogue](catalogue.md#all-cells), with their default arguments.

{cells}
"""
_EXTRAS = " Some cells read more than that ({}): 1 at every step, and as `t` the number of the step."


@dataclass(frozen=True)
class Line:
    """One cell of the table.

    Attributes:
        cell: its name.
        skills: by task, the median over the seeds of 1 - error / guessing, from 0 to 1; None where no training has ended.
        texts: by task, as the table has the score.
        hidden: every hidden size.
        costs: by kind, relative to the LSTM; None where it is not known.
        is_whole: whether all trainings and costs are there.
    """

    cell: str
    skills: dict[str, float | None]
    texts: dict[str, str]
    hidden: tuple[int, ...]
    costs: dict[str, float | None]
    is_whole: bool

    @property
    def skill(self) -> float | None:
        """The mean over the tasks; a task that the cell cannot run counts 0. None where a task is still to come."""
        every = list(self.skills.values())
        return None if None in every else mean(each for each in every if each is not None)


def lines(results: Results) -> list[Line]:
    """Those of which something is known, the best first."""
    found = [_line(results, cell) for cell in results.cells if cell in results.scores or cell in results.costs]
    return sorted(found, key=lambda line: -1.0 if line.skill is None else line.skill, reverse=True)


def _line(results: Results, cell: str) -> Line:
    scores, cost, tasks = results.scores.get(cell, {}), results.costs.get(cell, {}), results.settings["tasks"]
    every = {name: list(scores.get(name, {}).values()) for name in tasks}
    return Line(
        cell,
        {name: _skill(every[name], told["guessing"]) for name, told in tasks.items()},
        {name: _score(every[name], told) for name, told in tasks.items()},
        tuple(sorted({seed["hidden"] for of in every.values() for seed in of if "hidden" in seed})),
        {kind: cost.get(kind, {}).get("relative") for kind in KINDS},
        bool(cost) and all(len(of) >= SEEDS for of in every.values()),
    )


def _skill(of: Sequence[dict[str, Any]], guessing: float) -> float | None:
    if not of:
        return None
    return median(min(1.0, max(0.0, 1 - seed.get("error", guessing) / guessing)) for seed in of)


def _score(of: Sequence[dict[str, Any]], told: dict[str, Any]) -> str:
    """The median, with the lowest and the highest where they differ as written."""
    if not of:
        return ""
    if any("failed" in seed for seed in of):
        return CANNOT
    form, errors = _FORMS[told["score"]], [seed["error"] for seed in of if "error" in seed]
    if len(errors) < len(of):
        return f"diverged, {len(of) - len(errors)} of {len(of)}"
    low, middle, high = (form(each(errors)) for each in (min, median, max))
    text = middle if low == middle == high else f"{middle} ({low} to {high})"
    if stopped := [seed["stopped"] for seed in of if "stopped" in seed]:
        text += f", {min(stopped)} updates"
    return text


def page(results: Results, picture: str) -> str:
    """The text of the page.

    Args:
        results: of which all of it is made.
        picture: the name of the picture's file, beside the page.
    """
    found = lines(results)
    told = results.settings
    extras = sorted({name for cell in results.cells.values() for name in cell["extras"]})
    return _PAGE.format(
        command=COMMAND,
        when=_when(results),
        missing=_missing(results, found),
        picture=picture,
        scores=_table(_score_rows(results, found)),
        failures="".join(_failures(results)),
        tasks=_table(_task_rows(results)),
        extras=_EXTRAS.format(_names(extras)) if extras else "",
        seeds=SEEDS - 1,
        cells=_table(_cell_rows(results)),
        **{key: told[key] for key in ("width", "like_hidden", "rate", "norm", "limit_s", "cost")},
    )


def _when(results: Results) -> str:
    if not results.machines:
        return "Nothing is measured yet."
    days = " to ".join(dict.fromkeys(results.days))
    places = []
    for place in results.machines:
        versions = ", ".join(
            f"{name} {place['versions'][name]}" for name in ("python", "ostinato", "torch", "llvmlite", "numpy")
        )
        places.append(f"{place['processor']}, {place['cores']} cores, {versions}")
    return f"Measured on {days}: {'; and '.join(places)}."


def _missing(results: Results, found: Sequence[Line]) -> str:
    """Which cells are still to come, wholly or in part; a paragraph, or nothing."""
    told = ["Two updates each: these scores mean nothing."] if results.settings["quick"] else []
    if part := [line.cell for line in found if not line.is_whole]:
        fewest = min((len(of) for cell in part for of in results.scores.get(cell, {}).values()), default=0)
        told.append(f"**Measured in part** (of some tasks {fewest} of {SEEDS} seeds): {_names(part)}.")
    some = {line.cell for line in found}
    if none := [cell for cell in results.cells if cell not in some]:
        told.append(f"**Still to come**: {_names(none)}.")
    return "".join(f"{each}\n\n" for each in told)


def _names(cells: Iterable[str]) -> str:
    return ", ".join(f"`{cell}`" for cell in cells)


def _score_rows(results: Results, found: Sequence[Line]) -> list[list[str]]:
    tasks = results.settings["tasks"]
    heads = ["cell", "skill", *(f"{name}, {told['score']}" for name, told in tasks.items()), "H"]
    rows = [[*heads, "training step / LSTM", "streaming step / LSTM"], ["---", *["---:"] * (len(tasks) + 4)]]
    guessing = {name: _FORMS[told["score"]](told["guessing"]) for name, told in tasks.items()}
    best = {name: max((s for line in found if (s := line.skills[name]) is not None), default=None) for name in tasks}
    for line in found:
        texts = []
        for name, text in line.texts.items():
            is_best = line.skills[name] is not None and line.skills[name] == best[name]
            texts.append(f"**{text}**" if is_best and best[name] else text)
        sizes = " to ".join(str(size) for size in dict.fromkeys((*line.hidden[:1], *line.hidden[-1:])))
        costs = [_cost(results, line, kind) for kind in KINDS]
        rows.append([f"`{line.cell}`", "" if line.skill is None else f"{line.skill:.2f}", *texts, sizes, *costs])
    rows.append(["*guessing*", "0.00", *guessing.values(), "", "", ""])
    return rows


def _cost(results: Results, line: Line, kind: str) -> str:
    if (relative := line.costs[kind]) is not None:
        return f"{relative:.2f}"
    return CANNOT if line.cell in results.costs else ""


def _failures(results: Results) -> list[str]:
    """Why a cell cannot run something, each reason once."""
    reasons: dict[str, list[str]] = {}
    for cell, scores in results.scores.items():
        for name, seeds in scores.items():
            for found in seeds.values():
                if "failed" in found:
                    reasons.setdefault(f"`{cell}`: {_plain(found['failed'])}", []).append(name)
    for cell, kinds in results.costs.items():
        for kind, found in kinds.items():
            if "failed" in found:
                reasons.setdefault(f"`{cell}`: {_plain(found['failed'])}", []).append(f"{kind} step")
    return [f"- **{CANNOT}**, {', '.join(dict.fromkeys(where))}: {reason}\n" for reason, where in reasons.items()]


def _task_rows(results: Results) -> list[list[str]]:
    rows = [["task", "what is learned", "steps", "rows", "updates"], ["---", "---", "---:", "---:", "---:"]]
    for name, told in results.settings["tasks"].items():
        rows.append([name, told["what"], *(str(told[key]) for key in ("length", "rows", "updates"))])
    return rows


def _cell_rows(results: Results) -> list[list[str]]:
    rows = [
        ["cell", "what it computes", "states", "parameters at I = H = 128", "source"],
        ["---", "---", "---", "---", "---"],
    ]
    for name, told in results.cells.items():
        count = f"{told['formula']} = {told['parameters']:,}"
        rows.append(
            [f"`{name}`", _plain(told["equations"]), f"`{told['states']}`", _plain(count), _plain(told["source"])]
        )
    return rows


def _plain(text: str) -> str:
    """Text that Markdown and its tables leave as it is, but for code in backticks."""
    for sign, written in (("\\", "\\\\"), ("|", "\\|"), ("*", "\\*"), ("<", "&lt;")):
        text = text.replace(sign, written)
    return text


def _table(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def figure(results: Results) -> Figure:
    """Left: the skill of each cell at each task. Right: what its steps cost."""
    found, tasks = lines(results), list(results.settings["tasks"])
    made, (left, right) = plots.figure(9.0, 1.6 + 0.24 * len(found), columns=2)
    nothing = float("nan")
    # White is what is not known, or cannot be run.
    shown = [{n: skill for n, skill in line.skills.items() if line.texts[n] != CANNOT} for line in found]
    skills = [[nothing if (skill := line.get(name)) is None else skill for name in tasks] for line in shown]
    plots.heat_map(
        left,
        skills or [[nothing] * len(tasks)],
        unit="skill",
        rows=[line.cell for line in found],
    )
    left.images[0].set_clim(0.0, 1.0)
    left.set_xticks(range(len(tasks)), tasks, fontsize=9)
    left.set_title("Skill at equal parameters", fontsize=11, loc="left")
    places = range(len(found))
    for kind, colour in zip(KINDS, plots.COLOURS, strict=False):
        costs = [line.costs[kind] or nothing for line in found]
        right.plot(costs, places, "o", color=colour, markersize=5, label=f"{kind} step")
    right.axvline(1.0, color=plots.GREY, linewidth=1, zorder=1)
    right.set_xscale("log")  # what is not compiled costs a hundred times as much
    low, high = right.get_xlim()
    right.set_xlim(min(low, 0.1), max(high, 10.0))
    right.xaxis.set_major_formatter("{x:g}")
    right.xaxis.set_minor_formatter("")
    right.set_yticks(places, [line.cell for line in found], fontsize=9)
    right.set_ylim(max(len(found), 1) - 0.5, -0.5)
    plots.name_axes(right, "time / that of an LSTM of the same H", "", "Cost at I = H = 128")
    right.legend(fontsize=9, loc="lower left", bbox_to_anchor=(0.55, 1.0), frameon=False)
    return made


def write_page(results: Results, path: Path) -> None:
    """Write the page, and the picture beside it."""
    picture = path.with_suffix(".svg")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(results, picture.name), encoding="utf-8")
    picture.write_text(plots.svg(figure(results)), encoding="utf-8")
