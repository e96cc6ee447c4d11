"""What trained models show: forecasts, attention, coloured source, a report. Trains what it needs, some minutes in all."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from ostinato.cli.main import main as ostinato
from pictures import paper

PLACE = Path(tempfile.gettempdir()) / "ostinato_pictures"  # runs are kept there for the next time
RUNS = {
    "forecast": ("forecast",),
    "translate": ("translate", "--training.max_time_s", "150"),
    "tag": ("tag", "--training.max_time_s", "60"),
    "lm": ("lm", "--training.max_time_s", "90"),
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


def attention() -> list[Path]:
    """Where the decoder looks while it writes a date."""
    drawn = sorted((run("translate") / "pictures").glob("attention_*.svg"))
    return paper.save(drawn[0].read_text(encoding="utf-8"), "attention")


def colours() -> list[Path]:
    """Source code as the tagger of the built-in data sees it."""
    from rich.console import Console
    from rich.terminal_theme import DIMMED_MONOKAI, TerminalTheme
    from rich.text import Text

    file = PLACE / "half_life.py"
    file.write_text(CODE, encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()) as said:
        _must("predict", str(run("tag")), str(file), "--show")
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
        console.print(Text.from_ansi(said.getvalue().rstrip()))
        files.append(paper.FOLDER / f"colours{suffix}.svg")
        content = console.export_svg(
            title="ostinato predict RUN half_life.py --show", theme=theme, unique_id="ostinato"
        )
        files[-1].write_text(content, encoding="utf-8")
    return files


def report() -> list[Path]:
    """The top of a report, in Chromium."""
    from playwright.sync_api import sync_playwright

    page_file = PLACE / "report.html"
    if not page_file.exists():
        _must("inspect", str(run("lm")), "--output", str(page_file))
    browser_file = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_file is None:
        raise SystemExit("expected Chromium on the PATH, got none; install Debian's package chromium")
    files = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_file, args=["--no-sandbox"])
        schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
        for scheme in schemes:
            page = browser.new_page(viewport={"width": 1100, "height": 1000}, color_scheme=scheme)
            page.goto(page_file.as_uri())
            page.wait_for_timeout(500)
            files.append(paper.save_photo(page.screenshot(), "report_dark" if scheme == "dark" else "report"))
        browser.close()
    return files


def _must(*words: str) -> None:
    if ostinato(list(words)):
        raise SystemExit(f"ostinato {' '.join(words)} failed")
