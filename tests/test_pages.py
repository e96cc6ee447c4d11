"""What the pages of the documentation must hold, whatever they say."""

from __future__ import annotations

import importlib
import pkgutil
import re
import runpy
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown.extensions.toc import slugify
from pictures import badges

import ostinato
from ostinato.errors import OstinatoError

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: *\{ *#([\w-]+) *\})?$", re.MULTILINE)


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    taken: dict[str, int] = {}
    found: set[str] = set()
    for text, given in _HEADING.findall(prose(page)):
        slug = given or slugify(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text.replace("`", "")), "-")
        count = taken.get(slug, 0)
        taken[slug] = count + 1
        found.add(f"{slug}_{count}" if count else slug)
    return found | set(re.findall(r'<a id="([\w-]+)"></a>', prose(page)))


def links(page: Path) -> Iterator[str]:
    for markdown, html in _LINK.findall(_CODE.sub("", prose(page))):
        target = markdown or html
        if not re.match(r"[a-z]+:", target):
            yield target


@pytest.mark.parametrize("page", [*TOP, *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in links(page):
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name}: {link}; {target.name} has {sorted(anchors(target))}"


def test_every_page_has_its_place_in_the_site() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    listed = set(re.findall(r"[\w/]+\.md", nav))
    assert listed == {str(page.relative_to(DOCS)) for page in PAGES}


def test_every_picture_is_small_and_there_for_light_and_dark_pages() -> None:
    pictures = sorted((DOCS / "pictures").rglob("*.*"))
    assert sum(picture.stat().st_size for picture in pictures) < 4_000_000
    for picture in pictures:
        assert picture.stat().st_size < 150_000, picture.name
        if not picture.stem.endswith("_dark") and not picture.stem.startswith("badge_"):
            assert picture.with_stem(f"{picture.stem}_dark").exists(), picture.name


def test_every_picture_is_shown() -> None:
    shown = "".join(page.read_text(encoding="utf-8") for page in [*TOP, *PAGES])
    assert [picture.name for picture in (DOCS / "pictures").rglob("*.*") if picture.name not in shown] == []


def test_no_diagram_is_drawn_with_letters() -> None:
    # A phone cuts them, and a screen reader spells them.
    drawn = {page.name for page in [*TOP, *PAGES] if re.search("[▲▼◀▶]", page.read_text(encoding="utf-8"))}
    assert drawn == set()


def test_the_page_of_errors_has_every_error() -> None:
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    for module in pkgutil.walk_packages(ostinato.__path__, "ostinato."):
        if module.name.rpartition(".")[2] in ("errors", "layers", "divergence"):
            importlib.import_module(module.name)
    kinds, names = [OstinatoError], set[str]()
    while kinds:
        kind = kinds.pop()
        kinds += (
            kind.__subclasses__() if kind.__name__ != "ServingError" else []
        )  # those are answers of HTTP, told by its status
        if kind.__module__.partition(".")[0] == "ostinato":  # benchmarks and other tests have errors of their own
            names.add(kind.__name__)
    public = {name for name in names if not name.startswith("_")} - {"OstinatoError"}
    assert {name for name in public if f"`{name}`" not in page} == set()


def test_the_readme_of_a_wheel_leads_nowhere_that_only_a_clone_has(monkeypatch: pytest.MonkeyPatch) -> None:
    interface = types.ModuleType("hatchling.metadata.plugin.interface")
    interface.__dict__["MetadataHookInterface"] = object  # the backend is not installed where tests run
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    hook = runpy.run_path(str(ROOT / "hatch_build.py"))["WheelReadme"]()
    hook.root, metadata = str(ROOT), {}
    hook.update(metadata)
    text = metadata["readme"]["text"]
    assert re.findall(r"\]\((?!https?:)[^)]*\)|srcset=|src=", text) == []
    assert text.count("```") == (ROOT / "README.md").read_text(encoding="utf-8").count("```")
    assert "Layers and options" in text


def test_the_badges_are_true() -> None:
    for name, (label, value) in badges.texts().items():
        assert f"<title>{label}: {value}</title>" in (DOCS / "pictures" / f"badge_{name}.svg").read_text(
            encoding="utf-8"
        )


def test_the_changelog_and_who_cites_know_this_version() -> None:
    assert f"version: {ostinato.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {ostinato.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
