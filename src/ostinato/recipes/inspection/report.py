"""The report of a run: what it learnt, how, and what is wrong with it, in one file that opens without a network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from ostinato.errors import OstinatoError, RunError
from ostinato.insight.html import document
from ostinato.insight.html_reading import reading_script
from ostinato.recipes.inspection import sections as sections
from ostinato.recipes.inspection.curves import curves
from ostinato.recipes.inspection.inspected import Inspected
from ostinato.recipes.inspection.inspected_task import inspected_task
from ostinato.recipes.inspection.inspected_text import inspected_text
from ostinato.recipes.inspection.task import attention, figures, pictures
from ostinato.recipes.inspection.text import samples, units
from ostinato.recipes.registry import LANGUAGE_MODEL, task_of
from ostinato.training.files import write_text

REPORT = "inspection.html"


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        name: of its place in the page, letters only.
        title: over it.
        make: HTML from what is inspected. An error that it raises stands in its place.
    """

    name: str
    title: str
    make: Callable[[Any], str]


_BEGIN = (Section("findings", "Findings", sections.findings), Section("curves", "Curves", curves))
_END = (
    Section("gradient", "Gradient flow", sections.gradient),
    Section("saturation", "Saturation", sections.saturated),
    Section("training", "Over training", sections.over_training),
    Section("spectrum", "Spectrum", sections.spectrum),
    Section("parameters", "Parameters", sections.parameter_counts),
    Section("settings", "Settings", sections.settings_of_the_run),
)
TEXT_SECTIONS: Sequence[Section] = (
    *_BEGIN,
    Section("samples", "Samples", samples),
    Section("units", "Units", units),
    *_END,
)
TASK_SECTIONS: Sequence[Section] = (
    *_BEGIN,
    Section("figures", "Figures", figures),
    Section("pictures", "Pictures", pictures),
    Section("attention", "Attention", attention),
    *_END,
)


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
        chosen: what goes into it, in this order; None for all that there is for the task.
        on_section: told the title of each section before it is made.

    Returns:
        The file.

    Raises:
        OstinatoError: the run or the data cannot be read, or the file cannot be written.
    """
    file = Path(output) if output is not None else Path(path) / REPORT
    if output is not None and not file.parent.is_dir():  # told before the work
        raise RunError(f"cannot write the report {file}: there is no folder {file.parent}; name another with --output")
    with tempfile.TemporaryDirectory() as folder:
        is_text = task_of(path) == LANGUAGE_MODEL
        inspected = inspected_text(path, data, Path(folder)) if is_text else inspected_task(path, data)
        if chosen is None:
            chosen = TEXT_SECTIONS if is_text else TASK_SECTIONS
        page = _page(inspected, chosen, on_section)
    try:
        # A pipe or a device is written to; a file in its place would be another thing.
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
    """One section that fails does not take the others with it."""
    try:
        return section.make(inspected)
    except OstinatoError as error:
        reason = str(error)
    except Exception as error:  # whatever it is, it belongs into the report
        reason = f"{type(error).__name__}: {error}"
    return f'<p class="failed">This could not be made: {escape(" ".join(reason.split()))}</p>'
