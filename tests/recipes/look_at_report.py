"""Opens a report in Chromium, as readers do, and takes pictures of it: `python -m tests.recipes.look_at_report FILE [FOLDER]`.

It fails where the console says something, where anything is fetched, where the page is wider than its window, or where the
reading page does not follow the keyboard. Pictures of each section go to FOLDER, at a desk, in the dark and on a phone, and the
pages as printed. Not part of the test suite, as it needs a browser: Debian's `chromium`, driven by Playwright.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

VIEWS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 900}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
}


def main(words: list[str]) -> int:
    if not 1 <= len(words) <= 2:
        print("usage: python -m tests.recipes.look_at_report FILE [FOLDER]", file=sys.stderr)
        return 2
    browser_file = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser_file is None:
        print("expected a Chromium on the PATH, got none; install Debian's package chromium", file=sys.stderr)
        return 2
    file = Path(words[0]).resolve()
    folder = Path(words[1]) if len(words) > 1 else None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_file, args=["--no-sandbox"])
        complaints = [each for name, view in VIEWS.items() for each in look(browser, file, name, view, folder)]
        browser.close()
    print("\n".join(complaints) or f"{file.name}: nothing to complain about, {file.stat().st_size / 1e6:.2f} MB")
    return 1 if complaints else 0


def look(browser: Browser, file: Path, name: str, view: dict[str, Any], folder: Path | None) -> list[str]:
    """What is wrong in one window."""
    found: list[str] = []
    page = browser.new_page(**view)
    page.on("console", lambda message: found.append(f"{name}: the console says {message.text}"))
    page.on("pageerror", lambda error: found.append(f"{name}: {error}"))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:")) else found.append(f"{name}: asks {request.url}")
        ),
    )
    page.goto(file.as_uri())
    width = page.evaluate("document.documentElement.scrollWidth")
    if width > view["viewport"]["width"]:
        found.append(f"{name}: {width} pixels wide in a window of {view['viewport']['width']}")
    if page.locator(".reading").count():
        found += [f"{name}: {each}" for each in read_with_the_keyboard(page)]
    if folder is not None:
        page.reload()
        parts = page.locator("header, section")
        for number in range(parts.count()):
            parts.nth(number).screenshot(path=folder / f"{name}-{number}.png")
        if name == "desk":
            page.pdf(path=folder / "print.pdf", format="A4", prefer_css_page_size=True)
    page.close()
    return found


def read_with_the_keyboard(page: Page) -> list[str]:
    """Choosing units and going through the text, without a mouse."""
    found = []

    def state() -> tuple[str, str]:
        shown = page.locator(".showing").inner_text()
        first = "document.querySelector('.text span').style.getPropertyValue('--v')"
        return shown, str(page.evaluate(first))

    before = state()
    radios = page.locator("[type=radio]")
    if radios.count() > 1:
        radios.first.focus()
        page.keyboard.press("ArrowDown")
        if state() == before:
            found.append("the arrow key does not choose the next unit")
    number = page.locator("[name=number]")
    before = state()
    number.focus()
    page.keyboard.press("ArrowDown" if number.input_value() != number.get_attribute("min") else "ArrowUp")
    if state() == before:
        found.append("the arrow key does not change the number of the unit")
    page.locator(".text").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    if "step 2" not in page.locator(".readout").inner_text():
        found.append(f"the text does not follow the arrow keys: {page.locator('.readout').inner_text()}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
