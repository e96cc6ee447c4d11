"""The companion to the lecture notes: two languages, one code, and what a page says is printed is printed."""

from __future__ import annotations

import ast
import contextlib
import io
import math
import re
from pathlib import Path

import pytest

from ostinato.lab import NAMES
from tests.test_documents import FENCE, ROOT, run_shell, snippets

ENGLISH, KOREAN = ROOT / "docs" / "notes", ROOT / "docs" / "ko"
PAGES = sorted(page.name for page in ENGLISH.glob("*.md"))
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.]*\w)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
EQUATION = re.compile(r"^\$\$\n(.*?)^\$\$$", re.MULTILINE | re.DOTALL)
HANGUL = re.compile("[가-힣]")


def words(page: Path) -> str:
    """A page without its code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def without_comments(language: str, code: str) -> str:
    """What runs: two snippets are one if they differ in comments alone."""
    if language == "python":
        return ast.dump(ast.parse(code))
    return re.sub(r"(^|\s)#.*$", "", code, flags=re.MULTILINE) if language == "shell" else code


def is_shown(shown: str, printed: str, tolerance: float = 0.05) -> bool:
    """Whether the same was printed: each word, and each number to within 5 %, as training differs between processors."""
    if NUMBER.sub("#", shown).split() != NUMBER.sub("#", printed).split():
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return all(
        math.isclose(float(one.replace(",", "")), float(other.replace(",", "")), rel_tol=tolerance, abs_tol=1e-9)
        for one, other in pairs
    )


def test_both_languages_have_the_same_pages() -> None:
    assert sorted(page.name for page in KOREAN.glob("*.md")) == PAGES
    assert len(PAGES) > 10


@pytest.mark.parametrize("name", PAGES)
def test_both_languages_have_the_same_code_pictures_and_shape(name: str) -> None:
    """So that the snippets of one language are run for both."""
    english, korean = ENGLISH / name, KOREAN / name
    code = [
        [(each.language, without_comments(each.language, each.code)) for each in snippets(page)]
        for page in (english, korean)
    ]
    assert code[0] == code[1]
    for pattern in (r"^(#+) ", r"^\$\$$", r"^!\[.*\]\((.*)\)$", r"^\| ---", r"^(?:- |\d\. )"):
        found = [re.findall(pattern, words(page), re.MULTILINE) for page in (english, korean)]
        assert found[0] == found[1], pattern
    assert f"[한국어](../ko/{name})" in words(english)
    assert f"[English](../notes/{name})" in words(korean)
    assert len(HANGUL.findall(words(korean))) > 100
    # The name of the language, and words that a page is about.
    assert len(HANGUL.findall(words(english))) < 10 or name == "glossary.md"


@pytest.mark.parametrize("name", [name for name in PAGES if snippets(ENGLISH / name)])
def test_every_snippet_runs_and_prints_what_the_page_shows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_command: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    page = ENGLISH / name
    namespace: dict[str, object] = {"__name__": f"page_{page.stem}"}
    printed = None
    for snippet in snippets(page):
        where = f"{page}:{snippet.line}"
        if snippet.language == "python":
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile("\n" * (snippet.line - 1) + snippet.code, str(page), "exec"), namespace)
            printed = said.getvalue()
        elif snippet.language == "shell":
            # `make` is for the README's test.
            if not snippet.code.startswith("make"):
                run_shell(snippet, page, tmp_path, warm_command)
        elif snippet.language == "text" and not snippet.code.startswith(("$ ", "pip ")):
            assert printed is not None, f"{where}: shown as printed, but no Python stands before it"
            assert is_shown(snippet.code, printed), (
                f"{where}: the page shows\n{snippet.code}\nbut printed was\n{printed}"
            )


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("loss 0.50\n", "loss 0.51\n", True),
        ("loss 0.50\n", "loss 0.60\n", False),
        ("loss 0.50\n", "cost 0.50\n", False),
        ("(2, 5) 1e-07", "(2, 6) 1e-07", False),
        ("1e-07", "2e-07", False),
        ("RNN: 73,216", "RNN: 73,216", True),
        ("RNN: 73,216", "RNN: 93,216", False),
        ("True 3", "False 3", False),
        ("3", "3 3", False),
    ],
)
def test_what_is_shown_is_compared_by_words_and_numbers(shown: str, printed: str, same: bool) -> None:
    assert is_shown(shown, printed) is same


@pytest.mark.parametrize("folder", [ENGLISH, KOREAN], ids=lambda folder: folder.name)
def test_equations_are_read_by_the_site_and_by_code_hosts(folder: Path) -> None:
    """Hosts read an escape before they read an equation, but for one at the end of a line; and no dollar beside a letter."""
    for page in folder.glob("*.md"):
        for equation in EQUATION.findall(words(page)):
            assert not re.search(r"\\[^\w\\]|\\\\(?!\n)", equation.replace("\\\\\n", "\n")), f"{page}: {equation}"
            # Of those for more than one line, these are known to MathML's converter, MathJax and KaTeX alike.
            assert set(re.findall(r"\\begin\{(\w+)", equation)) <= {"split", "bmatrix"}, f"{page}: {equation}"
        assert "$" not in EQUATION.sub("", words(page)), page


def test_every_claim_of_the_notes_has_its_place() -> None:
    """A page that there is, and an experiment that there is, a snippet or a command."""
    rows = [line.split("|") for line in words(ENGLISH / "claims.md").splitlines() if re.match(r"\| \d\.\d+ \|", line)]
    assert len({row[1] for row in rows}) == len(rows) > 100
    for row in rows:
        assert LINK.search(row[3]), row
        assert row[4].strip(), row
        assert row[5].strip() in ("✓", "~", "✗"), row
        assert set(re.findall(r"`lab run (\w+)`", row[4])) <= set(NAMES), row
    named = {name for row in rows for name in re.findall(r"`lab run (\w+)`", row[4])}
    later = {"state_tracking", "elapsed_time"}  # of newer papers, not of the notes
    assert named == set(NAMES) - later
