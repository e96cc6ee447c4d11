"""The sections that every task's report has before and after its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ostinato.recipes.inspection import sections
from ostinato.recipes.inspection.curves import curves
from ostinato.recipes.inspection.why import why


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes:
        name: the name of its anchor in the page, letters only.
        title: the heading.
        make: makes HTML from an `Inspected`. The message of an error that it raises is shown in its place.
    """

    name: str
    title: str
    make: Callable[[Any], str]


BEGIN = (Section("findings", "Findings", sections.findings), Section("curves", "Curves", curves))
END = (
    Section("why", "Why", why),
    Section("gradient", "Gradient flow", sections.gradient),
    Section("saturation", "Saturation", sections.saturated),
    Section("training", "Over training", sections.over_training),
    Section("spectrum", "Spectrum", sections.spectrum),
    Section("parameters", "Parameters", sections.parameter_counts),
    Section("settings", "Settings", sections.settings_of_the_run),
)
