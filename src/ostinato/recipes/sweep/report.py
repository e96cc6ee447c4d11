"""The results of a sweep: a table, a CSV file and a plot."""

from __future__ import annotations

import csv
import io
import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ostinato.extras import needed
from ostinato.recipes.sweep.measure import Measure, measure_of
from ostinato.recipes.sweep.slots import REASON, trial_number
from ostinato.recipes.sweep.space import Searched, Space
from ostinato.recipes.sweep.storage import Shared, open_study
from ostinato.recipes.sweep.trials import LOSS
from ostinato.training.loop.console import standard_output
from ostinato.training.run.files import write_bytes, write_text

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

_SHOWN = 10
_COLOURS = {"complete": "#3949ab", "pruned": "#b0b4c8", "best": "#d1495b"}


def report(space: Space, folder: Path, console: Console | None = None, *, shared: Shared | None = None) -> None:
    """Prints the best trials; writes `results.csv`, `sweep.png` and `sweep.svg` into the folder of the sweep."""
    console = console or standard_output()
    study = open_study(space, folder, shared)
    trials, measure = ended(study), measure_of(space)
    write_text(folder / "results.csv", _csv(space, trials, measure))
    best = sorted(_complete(trials), key=lambda trial: (_value(trial), trial.user_attrs.get(LOSS, math.inf)))
    if not best:
        console.print("no trial has come to its end")
        return
    importance = importances(study, space)
    _plot(space, folder, trials, importance, measure)
    table = Table(title=f"the best of {len(trials)} trials", title_justify="left")
    for name in ("trial", measure.label, *(_label(searched.name) for searched in space.space)):
        table.add_column(name, justify="right", overflow="fold")
    for place, trial in enumerate(best[:_SHOWN]):
        values = (_cell(trial, each.name) for each in space.space)
        cells = [str(trial_number(trial)), measure.number(_value(trial)), *values]
        table.add_row(*cells, style="bold green" if place == 0 else None)
    console.print(table)
    if importance:
        parts = [f"{_label(name)} {share:.0%}" for name, share in sorted(importance.items(), key=lambda item: -item[1])]
        console.print(f"what mattered    {', '.join(parts)}", soft_wrap=True)
    run = folder / f"trial-{trial_number(best[0]):03d}"
    console.print(f"best run         {run}", soft_wrap=True)
    console.print(f"all trials       {folder / 'results.csv'}", soft_wrap=True)
    console.print(f"plot             {folder / 'sweep.png'}", soft_wrap=True)
    console.print(f"look inside      ostinato inspect {shlex.quote(str(run))}", soft_wrap=True)
    console.print(f"score data       ostinato evaluate {shlex.quote(str(run))}", soft_wrap=True)


def ended(study: Study) -> list[FrozenTrial]:
    """The trials that came to an end, in order; not those that were killed and run again."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in ("COMPLETE", "PRUNED") or REASON in trial.user_attrs
    ]


def importances(study: Study, space: Space) -> dict[str, float]:
    """The share of each searched setting in what makes trials good (PED-ANOVA, Watanabe et al. 2023); shares sum to 1.

    Empty if it cannot be computed: with fewer than eight complete trials, or if all have the same value.
    """
    with needed():
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    values = [_value(trial) for trial in _complete(study.get_trials(deepcopy=False))]
    if len(space.space) < 2 or len(values) < 8 or min(values) == max(values):
        return {}
    found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    return {name: share for name, share in found.items() if math.isfinite(share)}


def _complete(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state.name == "COMPLETE"]


def _value(trial: FrozenTrial) -> float:
    """The best value of what is minimised; NaN for a trial that diverged before its first evaluation."""
    if trial.value is not None and trial.state.name == "COMPLETE":
        return trial.value
    return min(trial.intermediate_values.values(), default=math.nan)


def _csv(space: Space, trials: list[FrozenTrial], measure: Measure) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", measure.column, "evaluations", *(each.name for each in space.space)])
    for trial in trials:
        state = "diverged" if trial.state.name == "FAIL" else trial.state.name.lower()
        values = [trial.params.get(each.name) for each in space.space]
        value = measure.value(_value(trial))
        writer.writerow([trial_number(trial), state, value, len(trial.intermediate_values), *values])
    return text.getvalue()


def _label(name: str) -> str:
    """The names of settings without their groups."""
    return ", ".join(part.rpartition(".")[2] for part in name.split(","))


def _cell(trial: FrozenTrial, name: str) -> str:
    value = trial.params.get(name)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _plot(
    space: Space, folder: Path, trials: list[FrozenTrial], importance: dict[str, float], measure: Measure
) -> None:
    # Imported late, as only a sweep draws; without pyplot, which would choose a window system.
    with needed():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    trials = [trial for trial in trials if math.isfinite(_value(trial))]
    count = 1 + len(space.space)
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(4.6 * columns, 3.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes: list[Any] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[count:]:
        unused.remove()
    _draw_history(axes[0], trials, measure)
    for axis, searched in zip(axes[1:], space.space, strict=False):
        _draw_slice(axis, trials, searched, measure)
        share = importance.get(searched.name)
        axis.set_title("" if share is None else f"importance {share:.0%}", fontsize=10)
    for axis in axes[:count]:
        axis.set_ylabel(f"validation {measure.label}")
        axis.spines[["top", "right"]].set_visible(False)
    for kind in ("png", "svg"):
        content = io.BytesIO()
        figure.savefig(content, format=kind, dpi=150)
        write_bytes(folder / f"sweep.{kind}", content.getvalue())


def _draw_history(axis: Any, trials: list[FrozenTrial], measure: Measure) -> None:
    with needed():
        from matplotlib.ticker import MaxNLocator

    _scatter(axis, trials, [trial_number(trial) for trial in trials], measure)
    lowest, best = math.inf, []
    for trial in trials:
        lowest = min(lowest, _value(trial) if trial.state.name == "COMPLETE" else math.inf)
        best.append(measure.value(lowest))
    axis.step(
        [trial_number(trial) for trial in trials], best, where="post", color=_COLOURS["best"], label="best so far"
    )
    axis.set_xlabel("trial")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(frameon=False, fontsize=8)


def _draw_slice(axis: Any, trials: list[FrozenTrial], searched: Searched, measure: Measure) -> None:
    with needed():
        from matplotlib.ticker import MaxNLocator

    values = {trial.number: trial.params[searched.name] for trial in trials if searched.name in trial.params}
    trials = [trial for trial in trials if trial.number in values]
    if searched.kind == "choice":
        choices = [str(choice) for choice in searched.values]
        _scatter(axis, trials, [choices.index(str(value)) for value in values.values()], measure)
        axis.set_xticks(range(len(choices)), choices)
        axis.set_xlim(-0.5, len(choices) - 0.5)
    else:
        _scatter(axis, trials, list(values.values()), measure)
        if searched.kind == "log":
            axis.set_xscale("log")
        elif searched.is_whole:
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel(_label(searched.name))


def _scatter(axis: Any, trials: list[FrozenTrial], places: list[Any], measure: Measure) -> None:
    for state in ("pruned", "complete"):
        chosen = [
            (place, measure.value(_value(trial)))
            for place, trial in zip(places, trials, strict=True)
            if (trial.state.name == "COMPLETE") == (state == "complete")
        ]
        if chosen:
            axis.scatter(*zip(*chosen, strict=True), s=22, color=_COLOURS[state], label=state, zorder=2)
