"""What a person sees in a browser: the report of a run, and the served page of a language model. Needs Chromium."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from ostinato.recipes.inspection.report import inspect_run
from pictures import paper
from pictures.runs import PLACE, run

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH = 1100
_BEGINNING = 'def greet(names):\n    """Says hello'


def report() -> list[Path]:
    """The part of the report on the built-in text that shows units which mean something."""
    file = PLACE / "report.html"
    inspect_run(run("lm"), output=file)
    files = []
    with browsers(WIDTH, 760) as pages:
        for suffix, page in pages:
            page.goto(file.as_uri())
            page.get_by_text("position in the line", exact=True).first.click()
            page.locator(".reading").evaluate("(box) => scrollTo(0, box.getBoundingClientRect().top + scrollY - 60)")
            files.append(_kept(page, f"report{suffix}"))
    return files


def served() -> list[Path]:
    """The page, after it has written, in the colours of a unit that means something."""
    words = [sys.executable, "-m", "ostinato", "serve", f"python={run('lm')}", "--port", "0", "--log", "errors"]
    files = []
    with subprocess.Popen([*words, "--sessions", "memory"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split(" is the page")[0]
        try:
            with browsers(WIDTH, 820) as pages:
                for suffix, page in pages:
                    page.goto(url)
                    page.get_by_label("Words of your own").fill(_BEGINNING)
                    page.get_by_role("button", name="Write").click()
                    page.get_by_role("button", name="Write").wait_for()
                    page.locator(".paper span").nth(300).wait_for()
                    page.wait_for_timeout(3000)  # the list of units follows the text
                    page.locator(".unit").nth(1).click()  # the first is no colours
                    page.locator(".paper span[style*='--v']").nth(300).wait_for()
                    page.wait_for_timeout(500)
                    files.append(_kept(page, f"served{suffix}"))
        finally:
            server.terminate()
    return files


@contextmanager
def browsers(width: int, height: int) -> Iterator[Iterator[tuple[str, Page]]]:
    """A page in light and one in dark, with what goes behind the name of a picture."""
    from playwright.sync_api import sync_playwright

    file = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if file is None:
        raise SystemExit("expected a Chromium on the PATH, got none; install Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=file, args=["--no-sandbox"])
        yield (
            (
                "_dark" if is_dark else "",
                browser.new_page(
                    viewport={"width": width, "height": height},
                    color_scheme="dark" if is_dark else "light",
                    reduced_motion="reduce",
                ),
            )
            for is_dark in (False, True)
        )
        browser.close()


def _kept(page: Page, name: str) -> Path:
    """What is in the window, as WebP."""
    file = paper.FOLDER / f"{name}.webp"
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(file, "WEBP", quality=82, method=6)
    return file
