"""Opens the built site in Chromium and asks its search: `python -m tests.pages.look_at_site [FOLDER] [search]`.

FOLDER is what `make docs` wrote, `site` by default. Every page is opened at a desk and, dark, on a phone; it fails where the
console says something, where anything is fetched from elsewhere, and where a page is wider than its window. Then the questions of
`questions.tsv` are typed into the search: a question a line, and behind a tab the pages of which one must be the first answer,
with "|" between them; with `search`, nothing else is done. Not part of the test suite, as it needs a browser: Debian's
`chromium`, driven by Playwright.
"""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

QUESTIONS = Path(__file__).parent / "questions.tsv"
VIEWS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}
# The search lives in a shadow tree.
ANSWERS = """() => {
  const found = [];
  const seek = (root) => root.querySelectorAll("*").forEach((each) => {
    if (each.shadowRoot) seek(each.shadowRoot);
    if (root instanceof ShadowRoot && each.tagName === "A" && each.closest("ol, li")) found.push(each.href);
  });
  seek(document);
  return found;
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def main(words: list[str]) -> int:
    only_search = words[-1:] == ["search"]
    words = words[: len(words) - only_search]
    folder = Path(words[0] if words else "site")
    if len(words) > 1 or not (folder / "search.json").is_file():
        print(f"expected a built site, got {folder}; `make docs` builds it", file=sys.stderr)
        return 2
    browser_file = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser_file is None:
        print("expected a Chromium on the PATH, got none; install Debian's package chromium", file=sys.stderr)
        return 2
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_file, args=["--no-sandbox"])
        complaints = [] if only_search else pages(browser, base, folder)
        complaints += search(browser, base)
        browser.close()
    server.shutdown()
    print("\n".join(complaints) or "nothing to complain about")
    return 1 if complaints else 0


def pages(browser: Browser, base: str, folder: Path) -> list[str]:
    """What is wrong with any page in any view."""
    found: list[str] = []
    files = sorted(folder.rglob("index.html"))
    for name, view in VIEWS.items():
        context = browser.new_context(**view)
        for file in files:
            path = file.parent.relative_to(folder).as_posix().removeprefix(".")
            page = context.new_page()
            listen(page, base, f"/{path} ({name})", found)
            page.goto(f"{base}{path}")
            page.wait_for_timeout(200)
            width = page.evaluate("document.documentElement.scrollWidth")
            if width > view["viewport"]["width"]:
                found.append(f"/{path} ({name}): {width} pixels wide")
            page.close()
        context.close()
    print(f"{len(files)} pages, {len(VIEWS)} views")
    return found


def listen(page: Page, base: str, where: str, found: list[str]) -> None:
    page.on("console", lambda message: found.append(f"{where}: the console says {message.text}"))
    page.on("pageerror", lambda error: found.append(f"{where}: {error}"))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith((base, "data:", "blob:")) else found.append(f"{where}: asks {request.url}")
        ),
    )


def search(browser: Browser, base: str) -> list[str]:
    """The questions whose first answer is another page."""
    found: list[str] = []
    questions = [line.split("\t") for line in QUESTIONS.read_text(encoding="utf-8").splitlines() if line]
    page = browser.new_page(**VIEWS["desk"])
    listen(page, base, "search", found)
    page.goto(base)
    page.wait_for_timeout(800)
    page.locator(".md-search__button").click()
    page.wait_for_timeout(1500)  # the index is read
    for question, wanted in questions:
        page.keyboard.press("Control+A")
        page.keyboard.press("Delete")
        page.wait_for_timeout(100)
        page.keyboard.insert_text(question)
        page.wait_for_timeout(600)
        answers = [re.sub(r"\?h=[^#]*", "", each).removeprefix(base) for each in page.evaluate(ANSWERS)]
        if not answers or answers[0].split("#")[0].rstrip("/") not in wanted.split("|"):
            found.append(f"{question!r}: expected {wanted} first, got {answers[:3]}")
    print(f"{len(questions)} questions")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
