"""What trained models show: forecasts, and source code in colours. Trains what it needs, two minutes in all."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

from ostinato import load
from ostinato.cli.main import main as ostinato
from pictures import paper

PLACE = Path(tempfile.gettempdir()) / "ostinato_pictures"  # runs are kept there for the next time
RUNS = {
    "forecast": ("forecast",),
    "tag": ("tag", "--training.max_time_s", "60"),
}
CODE = '''def half_life(gain: list[float]) -> int | None:
    """Steps until half of "gain" is left, or None."""
    for distance, value in enumerate(gain, start=1):  # from the last step back
        if value <= 0.5 * gain[0]:
            return distance
    return None
'''


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
