"""The report of a run: what it learnt, how, and what is wrong with it, in one file that opens without a network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ostinato.data.corpus import open_corpus
from ostinato.errors import OstinatoError, RunError
from ostinato.insight.html import document
from ostinato.insight.html_reading import reading_script
from ostinato.recipes import inspection_sections as sections
from ostinato.recipes.figures import own_corpus
from ostinato.recipes.inspected import Inspected, read_lines, read_report
from ostinato.recipes.inspection_curves import curves
from ostinato.recipes.runs import load_model, read_settings
from ostinato.training.files import write_text
from ostinato.training.run_folder import RunFolder

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
    make: Callable[[Inspected], str]


SECTIONS: Sequence[Section] = (
    Section("findings", "Findings", sections.findings),
    Section("curves", "Curves", curves),
    Section("samples", "Samples", sections.samples),
    Section("units", "Units", sections.units),
    Section("gradient", "Gradient flow", sections.gradient),
    Section("saturation", "Saturation", sections.saturated),
    Section("spectrum", "Spectrum", sections.spectrum),
    Section("parameters", "Parameters", sections.parameter_counts),
    Section("settings", "Settings", sections.settings_of_the_run),
)


def inspect_run(
    path: str | os.PathLike[str],
    text: str | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    chosen: Sequence[Section] = SECTIONS,
    on_section: Callable[[str], None] = lambda title: None,
) -> Path:
    """Writes the report of a run of the language model.

    Args:
        path: the folder of the run.
        text: a file, a folder, a glob or a URL for the units to read; None for the run's own validation text.
        output: the file; None for `inspection.html` in the folder of the run.
        chosen: what goes into it, in this order.
        on_section: told the title of each section before it is made.

    Returns:
        The file.

    Raises:
        OstinatoError: the run or the text cannot be read, or the file cannot be written.
    """
    file = Path(output) if output is not None else Path(path) / REPORT
    run = RunFolder(path)
    with tempfile.TemporaryDirectory() as folder:
        settings, model = read_settings(run), load_model(path)
        if text is None:
            corpus = own_corpus(path, settings, model)
            name, tokens = corpus.name, corpus.validation
        else:
            corpus = open_corpus(text, validation_share=0.0, vocabulary=model.vocabulary, folder=Path(folder))
            name, tokens = corpus.name, corpus.train
        inspected = Inspected(run, settings, model, name, tokens, read_lines(run), read_report(run))
        page = _page(inspected, chosen, on_section)
    try:
        write_text(file, page)
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
