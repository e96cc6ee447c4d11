"""Every Python and shell snippet of the README and the documentation runs, in order, page by page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
# The companion to the lecture notes is in two languages that share their code: tests/test_notes.py runs it once.
DOCS = [page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name not in ("notes", "ko")]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Shown with their meaning, not to be run: what a program printed, a picture in text, a settings file, a formula.
NOT_CODE = {"text", "yaml", "mermaid"}


class Snippet(NamedTuple):
    language: str
    line: int
    code: str


def snippets(page: Path) -> list[Snippet]:
    text = page.read_text(encoding="utf-8")
    return [Snippet(m[1], text[: m.start()].count("\n") + 2, m[2]) for m in FENCE.finditer(text)]


def shell_environment(folder: Path, commands: Path) -> dict[str, str]:
    places = [str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = dict(os.environ, PATH=os.pathsep.join(places), HOME=str(folder))
    # `make demo` takes two minutes: here a small network's training stops after a few steps. `make test` would run this test again:
    # only its recipe is read.
    environment["ARGS"] = (
        "--training.max_steps=3 --baselines.markov_orders=0 --baselines.window=0 --model.hidden_size=16 "
        f"--model.embedding_size=8 --run={folder / 'demo'}"
    )
    return environment


# torch's exporter says so of itself; torch 2.11's loading of an exported program too.
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec:FutureWarning")
@pytest.mark.filterwarnings("ignore:The given buffer is not writable:UserWarning")
@pytest.mark.parametrize("page", [p for p in PAGES if snippets(p)], ids=lambda p: p.name)
def test_every_snippet_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_command: Path
) -> None:
    """The commands of the README begin from nothing, as everybody's do; those of other pages do not wait for imports.

    What other pages say with `make` in the README's words is not done again.
    """
    monkeypatch.chdir(tmp_path)
    known = () if page.name == "README.md" else snippets(ROOT / "README.md")
    done = {each.code for each in known if each.code.startswith("make")}
    commands = Path(sys.executable).parent if page.name == "README.md" else warm_command
    namespace: dict[str, object] = {"__name__": f"page_{page.stem}"}
    for snippet in snippets(page):
        if snippet.language == "python":
            # Padded, so that a traceback shows the line of the page.
            source = "\n" * (snippet.line - 1) + snippet.code
            exec(compile(source, str(page), "exec"), namespace)
        elif snippet.language == "shell":
            if snippet.code not in done:
                run_shell(snippet, page, tmp_path, commands)
        else:
            assert snippet.language in NOT_CODE, (
                f"{page}:{snippet.line}: say python, shell or text, not {snippet.language!r}"
            )


def run_shell(snippet: Snippet, page: Path, folder: Path, commands: Path) -> None:
    is_make = snippet.code.lstrip().startswith("make")
    code = re.sub(r"^make (?!demo)", "make --dry-run ", snippet.code, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=ROOT if is_make else folder,
        env=shell_environment(folder, commands),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{page}:{snippet.line}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
