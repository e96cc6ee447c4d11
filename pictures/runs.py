"""What trained models show: forecasts, colours, attention, sensors. Trains what it needs, at most two minutes a run."""

from __future__ import annotations

import io
import shutil
import tempfile
from itertools import groupby
from pathlib import Path

from ostinato import load
from ostinato.cli.main import main as ostinato
from ostinato.insight import plot_attention, plots
from pictures import paper

PLACE = Path(tempfile.gettempdir()) / "ostinato_pictures"  # runs are kept there for the next time
RUNS = {
    "forecast": ("forecast",),
    "tag": ("tag", "--training.max_time_s", "60"),
    "translate": ("translate",),
    "sensors": (
        "tag",
        "--data",
        "gestures",
        "--model.hidden_size",
        "48",
        "--training.batch_size",
        "8",
        "--training.max_epochs",
        "15",
    ),
    "lm": ("lm", "--training.max_time_s", "90"),
}
CODE = '''def half_life(gain: list[float]) -> int | None:
    """Steps until half of "gain" is left, or None."""
    for distance, value in enumerate(gain, start=1):  # from the last step back
        if value <= 0.5 * gain[0]:
            return distance
    return None
'''
DATE = "Donnerstag, 15. November 2001"


def run(name: str) -> Path:
    """The folder of a run, trained if it is not there."""
    folder = PLACE / name
    if not (folder / "report.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        task, *flags = RUNS[name]
        _must("train", task, "--run", str(folder), "--quiet", *flags)
    return folder


def forecast() -> list[Path]:
    """Forecasts of the test part, with their intervals."""
    return paper.save((run("forecast") / "pictures" / "forecasts_test.svg").read_text(encoding="utf-8"), "forecast")


def attention() -> list[Path]:
    """Where the translator of dates looks, for each character that it writes."""
    import torch

    trained = load(run("translate"), "translate")
    known, model = trained.known, trained.model.eval()
    said = trained.predict(DATE).translation
    read, written = (torch.from_numpy(side.encode(text)) for side, text in ((known.source, DATE), (known.target, said)))
    with torch.no_grad():
        weights = model(read[:, None], written[:, None]).weights[:, 0]
    return paper.save(plot_attention(weights, list(DATE), [*said, "end"]), "attention")


def sensors() -> list[Path]:
    """A recording of the test with what was done at each step, and what the tagger says."""
    from ostinato.data import gestures_in_a_row

    recording = next(each for each in gestures_in_a_row().test.items if len(set(each.labels or ())) > 4)
    trained, channels = load(run("sensors"), "tag"), gestures_in_a_row().test.channels
    units = dict(zip(channels, ("g", "g", "°/s", "Pa"), strict=True))
    rows = {"truth": recording.labels, "model": trained.predict(recording).tags}
    names = dict.fromkeys(label for row in rows.values() for label in row if label != "rest")
    colours = {name: plots.COLOURS[at] for at, name in enumerate(names)} | {"rest": "#cccccc"}
    made, axes = plots.figure(8.4, 5.2, rows=len(channels) + 1, share_x=True)
    for each, name, values in zip(axes, channels, recording.values.T, strict=False):
        each.plot(values, color="#262626", linewidth=0.9)
        each.ticklabel_format(useOffset=False)
        plots.name_axes(each, "", f"{name.replace('_', chr(10))} ({units[name]})")
    for at, row in enumerate(reversed(rows.values())):
        step = 0
        for label, same in groupby(row):
            width = len(list(same))
            axes[-1].barh(at, width, left=step, height=0.7, align="center", color=colours[label])
            if label != "rest" and width > 15:
                axes[-1].text(step + width / 2, at, label, ha="center", va="center", fontsize=8, color=paper.PAPER)
            step += width
    axes[-1].set_yticks(range(len(rows)), list(reversed(rows)))
    axes[-1].grid(False)
    plots.name_axes(axes[-1], "step", "")
    return paper.save(made, "sensors")


def colours() -> list[Path]:
    """Source code as the tagger of the built-in data sees it."""
    from rich.console import Console
    from rich.terminal_theme import DIMMED_MONOKAI, TerminalTheme

    trained, file = load(run("tag")), PLACE / "half_life.py"
    file.write_text(CODE, encoding="utf-8")
    shown = trained.task.shown(trained.predict(file)[0])
    light = TerminalTheme(
        (255, 255, 255),
        (0, 0, 0),
        [
            (0, 0, 0),
            (178, 24, 43),
            (0, 110, 80),
            (150, 90, 0),
            (0, 90, 160),
            (130, 50, 120),
            (0, 110, 130),
            (90, 90, 90),
        ],
    )
    files = []
    for suffix, theme in (("", light), ("_dark", DIMMED_MONOKAI)):
        console = Console(record=True, width=84, file=io.StringIO(), force_terminal=True)
        console.print(shown)
        files.append(paper.FOLDER / f"colours{suffix}.svg")
        content = console.export_svg(
            title="ostinato predict RUN half_life.py --show", theme=theme, unique_id="ostinato"
        )
        files[-1].write_text(content, encoding="utf-8")
    return files


def _must(*words: str) -> None:
    if ostinato(list(words)):
        raise SystemExit(f"ostinato {' '.join(words)} failed")
