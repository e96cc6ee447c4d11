"""Does in Chromium what people do with the page of `ostinato serve`: `python -m tests.serving.look_at_page [FOLDER] [ADDRESS]`.

Without ADDRESS it looks at a server with canned answers, and checks what the page makes of each of them; with one, at a server that
runs, such as http://127.0.0.1:8000/, of whose models it knows only the task. It fails where the console says something, where
anything is fetched from elsewhere, where the page is wider than its window, where a control has no name or text has too little
contrast, and where a view does not do what it should. Pictures go to FOLDER, at a desk, in the dark and on a phone. Not part of the
test suite, as it needs a browser: Debian's `chromium`, driven by Playwright.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.serving.page.checks import CANNED, TASKS, Found
from tests.serving.page.stub import Stub

SEEN = (Path(__file__).parent / "page" / "seen.js").read_text(encoding="utf-8")
WIDE = """[...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
  .slice(0, 3).map((e) => e.outerHTML.slice(0, 90))"""

VIEWS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 900}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2},
    "still": {"viewport": {"width": 820, "height": 1100}, "color_scheme": "dark", "reduced_motion": "reduce"},
}  # fmt: skip


def main(words: list[str]) -> int:
    if len(words) > 2:
        print("usage: python -m tests.serving.look_at_page [FOLDER] [ADDRESS]", file=sys.stderr)
        return 2
    browser_file = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser_file is None:
        print("expected a Chromium on the PATH, got none; install Debian's package chromium", file=sys.stderr)
        return 2
    folder = Path(words[0]) if words else None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=8_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_file, args=["--no-sandbox"])
        found: Found = []
        if len(words) == 2:
            for name, view in VIEWS.items():
                found += look(browser, words[1], name, view, folder)
        else:
            for name, view in VIEWS.items():
                with serving(Stub()) as (stub, address):
                    found += look(browser, address, name, view, folder, stub)
            for check in CANNED:
                try:
                    found += [f"{check.__name__}: {each}" for each in check(browser, serving)]
                except (Error, AssertionError) as error:
                    found.append(f"{check.__name__}: {error}")
        browser.close()
    print("\n".join(found) or "nothing to complain about")
    return 1 if found else 0


@contextmanager
def serving(stub: Stub) -> Iterator[tuple[Stub, str]]:
    """A server on a port that is free."""
    server = uvicorn.Server(uvicorn.Config(stub.app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield stub, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


def look(
    browser: Browser, address: str, name: str, view: dict[str, Any], folder: Path | None, stub: Stub | None = None
) -> Found:
    """What is wrong in one window."""
    found: Found = []
    page = opened(browser, address, view, found)
    models = page.evaluate("fetch('v1/models').then((answer) => answer.json())")["data"]
    for model in models:
        info = model["ostinato"]
        page.goto(f"{address}#{model['id']}")
        page.get_by_role("heading", level=1, name=model["id"], exact=True).wait_for()
        try:
            found += [f"{model['id']}: {each}" for each in TASKS[info["task"]](page, info, stub is not None)]
        except (Error, AssertionError) as error:  # what was waited for did not come
            found.append(f"{model['id']}: {error}")
        page.mouse.move(2, 2)
        found += [f"{model['id']}: {each}" for each in seen(page, view)]
        if folder is not None:
            page.wait_for_timeout(250)
            page.screenshot(path=folder / f"{name}-{model['id']}.png", full_page=True)
    page.get_by_text("How to call this").click()
    expect(page.locator(".called pre")).to_contain_text("curl")
    page.close()
    return [f"{name}: {each}" for each in found]


def opened(browser: Browser, address: str, view: dict[str, Any], found: Found) -> Page:
    """The page, and whoever writes down what goes wrong in it."""
    page = browser.new_page(**view)
    page.set_default_timeout(10_000)
    page.on("console", lambda message: found.append(f"the console says {message.text}"))
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((address, "data:", "blob:")) else found.append(f"asks {asked.url}"),
    )
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()
    return page


def seen(page: Page, view: dict[str, Any]) -> Found:
    """What everybody can see of one view, and what only some cannot."""
    found = []
    width = page.evaluate("document.documentElement.scrollWidth")
    if width > view["viewport"]["width"]:
        wide = page.evaluate(WIDE)
        found.append(f"{width} pixels wide in a window of {view['viewport']['width']}: {wide}")
    page.set_viewport_size({"width": 320, "height": 640})  # the least that WCAG's reflow asks for
    if (width := page.evaluate("document.documentElement.scrollWidth")) > 320:
        found.append(f"{width} pixels wide in a window of 320: {page.evaluate(WIDE)}")
    page.set_viewport_size(view["viewport"])
    found += page.evaluate(SEEN)
    if page.title().startswith("1"):
        found.append("what a model wrote has run")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
