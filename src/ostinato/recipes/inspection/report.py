"""The report of a run: what it learnt, how, and what is wrong with it, in one file that needs no network."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from ostinato.errors import OstinatoError, RunError
from ostinato.insight.html.pages import document
from ostinato.insight.html.reading import reading_script
from ostinato.recipes.inspection import sections
from ostinato.recipes.inspection.inspected import Inspected
from ostinato.recipes.inspection.section import Section
from ostinato.recipes.registry import find, task_of
from ostinato.training.run.files import write_text

REPORT = "inspection.html"


def inspect_run(
    path: str | os.PathLike[str],
    data: str | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    chosen: Sequence[Section] | None = None,
    on_section: Callable[[str], None] = lambda title: None,
) -> Path:
    """Writes the report of a run of any task.

    Args:
        path: the folder of the run.
        data: what to look at the model on: for a language model a text (a file, a folder, a glob or a URL), for another task
            labelled data as it reads them; None for the run's own validation data.
        output: the file; None for `inspection.html` in the folder of the run.
        chosen: the sections, in this order; None for all sections of the task.
        on_section: called with the title of each section before it is made.

    Returns:
        The file.

    Raises:
        OstinatoError: the run or the data cannot be read, or the file cannot be written.
    """
    file = Path(output) if output is not None else Path(path) / REPORT
    if output is not None and not file.parent.is_dir():  # reported before the work
        raise RunError(f"cannot write the report {file}: there is no folder {file.parent}; name another with --output")
    with tempfile.TemporaryDirectory() as folder:
        looking = importlib.import_module(find(task_of(path)).inspection)
        inspected = looking.inspected(path, data, Path(folder))
        page = _page(inspected, looking.SECTIONS if chosen is None else chosen, on_section)
    try:
        # A pipe or a device is written to, not replaced by a file.
        if file.exists() and not file.is_file():
            file.write_text(page, encoding="utf-8")
        else:
            write_text(file.resolve(), page)
    except OSError as error:
        raise RunError(
            f"cannot write the report {file}: {error.strerror or error}; name another with --output"
        ) from error
    return file


def _page(inspected: Inspected, chosen: Sequence[Section], on_section: Callable[[str], None]) -> str:
    parts = []
    for section in chosen:
        on_section(section.title)
        parts.append(
            f'<section id="{section.name}" aria-labelledby="{section.name}-title">'
            f'<h2 id="{section.name}-title">{escape(section.title)}</h2>\n{_made(section, inspected)}\n</section>'
        )
    links = "".join(f'<a href="#{section.name}">{escape(section.title)}</a>' for section in chosen)
    nav = f'<nav aria-label="Sections">{links}</nav>'
    title = f"Inspection of {inspected.run.path.resolve().name}"
    head = f"<header><h1>{escape(title)}</h1>{sections.overview(inspected)}</header>"
    return document(title, "\n".join([head, nav, "<main>", *parts, "</main>"]), scripts=[reading_script()])


def _made(section: Section, inspected: Inspected) -> str:
    """Makes the HTML of a section; if that fails, the reason stands in its place, and other sections are made."""
    try:
        return section.make(inspected)
    except OstinatoError as error:
        reason = str(error)
    except Exception as error:  # any error at all belongs in the report
        reason = f"{type(error).__name__}: {error}"
    return f'<p class="failed">This could not be made: {escape(" ".join(reason.split()))}</p>'
