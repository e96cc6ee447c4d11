"""The sections for a task that learns from examples: its figures, its pictures, its attention."""

from __future__ import annotations

from html import escape

from ostinato.data.sources.plain_file import open_plain
from ostinato.errors import RunError
from ostinato.insight.html.pages import picture, picture_of_svg, table
from ostinato.recipes.inspection.attention import attention_weights, plot_weights
from ostinato.recipes.inspection.inspected_task import InspectedTask, inspected_task
from ostinato.recipes.inspection.section import BEGIN, END, Section

_MOST_BYTES = 2_500_000  # of pictures, so that the page has a few megabytes at most
_MOST_ROWS = 3  # rows whose attention is drawn


def figures(run: InspectedTask) -> str:
    """The figures in the run's report, for each part of the data."""
    scores = run.report.get("scores")
    if not scores:
        raise RunError("the run has not come to its end; resume it")
    names = dict.fromkeys(name for each in scores.values() for name in each["figures"])
    rows = []
    for name in names:
        shown = [run.shown(name, value) for each in scores.values() if (value := each["figures"].get(name)) is not None]
        if len(shown) == len(scores):
            rows.append((name.replace("_", " "), shown[0][1] or "no unit", *(text for text, _ in shown)))
    losses = [each["loss"] for each in scores.values()]
    rows.append(("loss", f"nats/{run.item}", *("none" if loss is None else f"{loss:.4f}" for loss in losses)))
    rows.append(("size", "examples", *(f"{each['examples']:,}" for each in scores.values())))
    columns = [("figure", ""), ("unit", ""), *((part, "in that unit") for part in scores)]
    warnings = "".join(f"<p>{escape(line)}</p>" for each in scores.values() for line in each["warnings"])
    return table(columns, rows, caption="The best weights on data that they have not learnt from") + warnings


def pictures(run: InspectedTask) -> str:
    """The pictures that the run has drawn of its answers."""
    found, left, size = [], [], 0
    for file in sorted((run.run.path / "pictures").glob("*.svg")):
        with open_plain(file) as opened:
            drawn = opened.read(_MOST_BYTES + 1).decode(errors="replace")
        size += len(drawn)
        name = file.stem.replace("_", " ")
        if size > _MOST_BYTES:
            left.append(file.name)
            continue
        label = f"picture{len(found)}"
        found.append(f"<h3>{escape(name)}</h3>{picture_of_svg(drawn, name, label)}")
    if not found and not left:
        return "<p>The run has drawn none.</p>"
    rest = f"<p>Too large for this page: {escape(', '.join(left))}, in the folder of the run.</p>" if left else ""
    return "".join(found) + rest


def attention(run: InspectedTask) -> str:
    """Where the attention of the model looks, for some rows of the batch."""
    found = attention_weights(run.model, run.batch, run.loss)
    if not found:
        return "<p>This model has no attention.</p>"
    parts = [
        "<p>How much of each step of what is read goes into each step of the answer; dark is nothing, light is all.</p>"
    ]
    for at, (name, weights) in enumerate(found.items()):
        drawn = plot_weights(weights[:, :_MOST_ROWS])
        parts.append(f"<h3>{escape(name)}</h3>")
        parts.append(picture(drawn, f"Attention weights of {name}, for {_MOST_ROWS} examples", f"attention{at}"))
    return "".join(parts)


inspected = inspected_task
SECTIONS = (
    *BEGIN,
    Section("figures", "Figures", figures),
    Section("pictures", "Pictures", pictures),
    Section("attention", "Attention", attention),
    *END,
)
