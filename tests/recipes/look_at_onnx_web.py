"""Runs an exported language model in headless Chromium: `python -m tests.recipes.look_at_onnx_web [RUN]`.

The page is one file, opened as a file: no server takes part. What it writes is compared with what the run's model writes. Without
RUN, a run of characters (a small one is trained). It needs npm, for onnxruntime-web, and Debian's `chromium`, driven by Playwright;
so it is not part of the test suite.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from ostinato.cli.main import main as ostinato
from ostinato.recipes import open_run, train
from tests.recipes.conftest import TEXT, small

PAGE = Path(__file__).parents[2] / "examples" / "onnx" / "browser.html"
BUNDLE, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
PROMPTS = ("the quick ", "", "dog\nzebra?")
LENGTH = 120


def main(words: list[str]) -> int:
    if len(words) > 1:
        print("usage: python -m tests.recipes.look_at_onnx_web [RUN]", file=sys.stderr)
        return 2
    browser_file = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    for needed, found in (("a Chromium", browser_file), ("npm", shutil.which("npm"))):
        if found is None:
            print(f"expected {needed} on the PATH, got none; install Debian's package of it", file=sys.stderr)
            return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = Path(words[0]) if words else trained(folder)
        if ostinato(["export", str(run), "--output", str(folder / "out")]):
            return 1
        page = built(folder / "out", onnxruntime_web(folder), folder / "page.html")
        model = open_run(run).model
        wanted = [prompt + model.generate(prompt, LENGTH, temperature=0) for prompt in PROMPTS]
        complaints, seen = look(str(browser_file), page)
    complaints += [f"expected {a!r}, got {b!r}" for a, b in zip(wanted, seen, strict=True) if a != b]
    print("\n".join(complaints) or f"{len(seen)} texts of {LENGTH} characters, the same in Chromium as in torch")
    return 1 if complaints else 0


def trained(folder: Path) -> Path:
    """A small run of characters."""
    (folder / "fox.txt").write_text(TEXT)
    train(small(folder / "run", folder / "fox.txt"))
    return folder / "run"


def onnxruntime_web(folder: Path) -> Path:
    """Its files, as npm has them."""
    subprocess.run(["npm", "pack", "onnxruntime-web", "--silent"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (package,) = folder.glob("onnxruntime-web-*.tgz")
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package" / "dist"


def built(export: Path, dist: Path, page: Path) -> Path:
    """The page, with all that it needs inside."""
    files = {name: json.loads((export / f"{name}.json").read_text(encoding="utf-8")) for name in ("card", "constants")}
    files["step"] = base64.b64encode((export / "step.onnx").read_bytes()).decode()
    # A script of a file may import no other file: what the bundle exports is put where the page's own script finds it.
    bundle = (dist / BUNDLE).read_text(encoding="utf-8")
    code, _, names = bundle.rpartition("export{")
    exported = dict(
        each.split(" as ")[::-1] if " as " in each else (each, each) for each in names.partition("}")[0].split(",")
    )
    bundle = code + "globalThis.ort={" + ",".join(f"{json.dumps(name)}:{of}" for name, of in exported.items()) + "};"
    filled = {
        "{{FILES}}": json.dumps(files).replace("<", "\\u003c"),
        "{{WASM}}": base64.b64encode((dist / WASM).read_bytes()).decode(),
        "{{BUNDLE}}": bundle.replace("</script", "<\\/script"),
    }
    text = PAGE.read_text(encoding="utf-8")
    for place, content in filled.items():
        text = text.replace(place, content)
    page.write_text(text, encoding="utf-8")
    return page


def look(browser_file: str, page_file: Path) -> tuple[list[str], list[str]]:
    """What is wrong, and what the page writes."""
    found: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_file, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: found.append(f"the console says {message.text}"))
        page.on("pageerror", lambda error: found.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith(("file:", "data:", "blob:")) else found.append(f"asks {request.url}")
            ),
        )
        page.goto(page_file.as_uri())
        page.wait_for_function("window.write !== undefined && !document.getElementById('go').disabled", timeout=60_000)
        seen = [
            str(page.evaluate("([prompt, length]) => window.write(prompt, length)", [prompt, LENGTH]))
            for prompt in PROMPTS
        ]
        browser.close()
    return found, seen


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
