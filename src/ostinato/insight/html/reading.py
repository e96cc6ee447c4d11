"""The reading page: a text in which a unit's value colours each character, blue if it is negative, red if it is positive."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from ostinato.insight.html.pages import MINUS, asset, document
from ostinato.insight.text_labels import labels
from ostinato.insight.unit_values import Activations
from ostinato.insight.units import MeaningfulUnit

_MOST_BYTES = 2_000_000  # the most bytes of values; in the page they take a third more, as base64
_LEVELS = 127


def reading_page(read: Activations, units: Sequence[MeaningfulUnit] = (), *, title: str = "What the units do") -> str:
    """Make a page in one file that shows any unit over a text.

    Args:
        read: the values of every unit over the text; some thousand steps can be read comfortably.
        units: the units to offer by name, from `meaningful_units` of this text or of a longer one.
        title: the title of the page, plain text.
    """
    truths = {label.name: label.values[read.last_characters] for label in labels(read.text) if label.is_binary}
    body = f"<h1>{escape(title)}</h1>\n<section>{reading(read, units, truths=truths)}</section>"
    return document(title, body, scripts=[reading_script()])


def reading_script() -> str:
    """The JavaScript that a page with one or more `reading`s needs once."""
    return asset("reading.js")


def reading(
    read: Activations, units: Sequence[MeaningfulUnit] = (), *, truths: Mapping[str, np.ndarray] | None = None
) -> str:
    """Make the reading view as a part of a page, which needs `reading_script` at its end.

    Args:
        read: as in `reading_page`.
        units: as in `reading_page`.
        truths: binary labels of this text by name, (T,) each; while a label's unit is shown, the text is underlined where it is
            true.
    """
    truths = truths or {}
    groups = _groups(read, units)
    place = {(group["layer"], group["state"]): number for number, group in enumerate(groups)}
    units = [unit for unit in units if unit.unit in groups[place[unit.layer, unit.state]]["units"]]
    data = {
        "series": [
            {"name": group["name"], "units": group["units"], "scales": group["scales"], "values": group["values"]}
            for group in groups
        ],
        "labels": [
            _packed(truths[unit.label.name].astype(np.int8)) if unit.label.name in truths else None for unit in units
        ],
    }
    first = units[0] if units else None
    start = groups[place[first.layer, first.state]] if first else groups[0]
    number = first.unit if first else start["units"][0]
    row = start["units"].index(number)
    options = "".join(f'<option value="{n}">{escape(group["name"])}</option>' for n, group in enumerate(groups))
    choices = "".join(_choice(unit, n, place[unit.layer, unit.state]) for n, unit in enumerate(units))
    listed = (
        f'<fieldset class="units"><legend>Units that mean something</legend><div class="list">{choices}</div></fieldset>'
        if units
        else ""
    )
    scale = start["scales"][row]
    return f"""<div class="reading">
<div>{listed}
<div class="pick"><label>Any unit of <select name="series">{options}</select></label>
<label>number <input name="number" type="number" step="1" value="{number}"></label></div></div>
<div><p class="showing">{escape(start["name"])} unit {number}</p>
<p class="scale"><span class="low">{_signed(-scale)}</span><i></i><span class="high">{scale:.2f}</span>
<span>value of the unit (no unit), blue negative, red positive</span>
<span class="truth"{
        "" if first and first.label.name in truths else " hidden"
    }><u>underlined</u> where the label holds</span></p>
<pre class="text" tabindex="0" role="region" aria-label="The text; arrow keys go from character to character">{
        _spans(read.pieces, start["rows"][row])
    }</pre>
<p class="readout soft" aria-live="polite">Point at a character, or go through the text with the arrow keys.</p></div>
<script type="application/json">{json.dumps(data, separators=(",", ":"))}</script>
</div>"""


def _groups(read: Activations, units: Sequence[MeaningfulUnit]) -> list[dict[str, Any]]:
    """States and gates as bytes: the named units of each, and of states also the other units, as many as fit."""
    series = list(read.series(gates=True))
    named = {(unit.layer, unit.unit) for unit in units}
    states = {layer.name: set(layer.states) for layer in read.layers}
    share = _MOST_BYTES // (len(read) * sum(map(len, states.values())))
    groups = []
    for layer, state, values in series:
        is_state = state in states[layer]
        width = values.shape[1]
        chosen = {unit for of, unit in named if of == layer and unit < width}
        others = range(min(width, share - len(chosen))) if is_state else ()
        kept = sorted(chosen.union(others)) or [0]
        rows = values[:, kept].T.astype(np.float64)  # (units kept, T)
        scales = np.maximum(np.abs(rows).max(1), 1e-6)
        whole = np.rint(rows / scales[:, None] * _LEVELS).astype(np.int8)
        groups.append(
            {
                "layer": layer,
                "state": state,
                "name": f"{layer}, {'' if is_state else 'gate '}{state}",
                "units": kept,
                "scales": [round(float(scale), 4) for scale in scales],
                "rows": whole,
                "values": _packed(whole),
            }
        )
    return groups


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def _choice(unit: MeaningfulUnit, label: int, series: int) -> str:
    checked = " checked" if label == 0 else ""
    return (
        f'<label><input type="radio" name="unit"{checked} data-label="{label}" data-series="{series}" data-unit="{unit.unit}">'
        f'<span>{escape(unit.label.name)}</span><span class="r">r = {_signed(unit.r)}</span>'
        f"<small>{escape(unit.name)}</small></label>"
    )


def _spans(pieces: Sequence[str], values: np.ndarray) -> str:
    """One HTML element for each step, in the colours of the first unit, also for paper and for browsers without scripts."""
    made = []
    for piece, value in zip(pieces, values.tolist(), strict=True):
        classes = " ".join(name for name, holds in (("n", value < 0), ("e", piece == "\n")) if holds)
        shown = "".join(c if c.isprintable() or c in "\n\t" else "�" for c in piece)
        named = f' class="{classes}"' if classes else ""
        made.append(f'<span{named} style="--v:{abs(value) / _LEVELS:.2f}">{escape(shown)}</span>')
    return "".join(made)


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", MINUS)
