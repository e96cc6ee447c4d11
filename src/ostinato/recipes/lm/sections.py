"""The sections of the page that only a language model has: what it writes, and units that follow its text."""

from __future__ import annotations

from html import escape

from ostinato.errors import RunError
from ostinato.insight.html.pages import MINUS, table
from ostinato.insight.html.reading import reading
from ostinato.recipes.inspection.section import BEGIN, END, Section
from ostinato.recipes.lm.inspected import InspectedText, inspected_text

_STRONG = 0.6  # |r| from which the page says that a unit follows a label
_WEAK = 0.3  # |r| from which a unit is listed


def samples(run: InspectedText) -> str:
    """What the model wrote at each evaluation, and at the end."""
    parts = []
    for line in run.lines:
        if "sample" in line:
            bits = line.get("validation_bits_per_character")
            about = f"step {line['step']:,}" + (f", {bits:.3f} bits a character" if bits is not None else "")
            parts.append(
                f'<div class="sample"><span class="soft">{about}</span><pre>{_written(line["sample"])}</pre></div>'
            )
    if last := run.report.get("sample"):
        parts.append(
            f'<div class="sample"><span class="soft">the best weights, {len(last):,} characters</span>'
            f"<pre>{_written(last)}</pre></div>"
        )
    if not parts:
        raise RunError("the run has written nothing yet; train until its first evaluation")
    return "<p>What the model wrote by itself as it learnt, from the same random numbers each time.</p>" + "".join(
        parts
    )


def _written(text: str) -> str:
    """Makes HTML of a text, with control characters replaced."""
    return escape("".join(c if c.isprintable() or c in "\n\t" else "�" for c in text))


def units(run: InspectedText) -> str:
    """The units that follow a label, and the text with their values."""
    found = [unit for unit in run.units if abs(unit.r) >= _WEAK]
    strong = [unit for unit in found if abs(unit.r) >= _STRONG]
    chosen_on = len(run.read) // 2
    words = (
        f"For each label, the unit was chosen on the first {chosen_on:,} steps of {run.data_name}, and measured on the "
        f"{len(run.read) - chosen_on:,} steps after them. "
        f"{_count(len(strong), 'unit follows its label', 'units follow their labels')} there with |r| of {_STRONG} or more."
    )
    parts = [f"<p>{escape(words)}</p>"]
    if strong:
        parts.append(
            "<ul>"
            + "".join(f"<li>{escape(_capital(unit.sentence).replace('= -', f'= {MINUS}'))}</li>" for unit in strong)
            + "</ul>"
        )
    start, shown = run.excerpt
    places = run.read.last_characters[start : start + len(shown)]
    truths = {unit.label.name: unit.label.values[places] for unit in found if unit.label.is_binary}
    parts.append(reading(shown, found, truths=truths))
    rows = [(unit.label.name, unit.name, unit.r, unit.r_chosen) for unit in run.units]
    parts.append(
        "<details><summary>All labels</summary>"
        + table(
            [("label", ""), ("unit", ""), ("r, other half", "no unit"), ("r, half that chose", "no unit")],
            rows,
            caption="The unit that follows each label best",
        )
        + "</details>"
    )
    return "".join(parts)


def _count(number: int, one: str, many: str) -> str:
    return f"{number or 'No'} {one if number == 1 else many}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


inspected = inspected_text
SECTIONS = (*BEGIN, Section("samples", "Samples", samples), Section("units", "Units", units), *END)
