"""Functions for the sections of every report: each makes HTML from an `Inspected`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from html import escape
from typing import Any

from ostinato.extras import needed
from ostinato.insight.flow import gradient_flow
from ostinato.insight.gates import saturation
from ostinato.insight.html.pages import number, picture, table
from ostinato.insight.jacobians import jacobian_spectrum, recurrent_radii
from ostinato.insight.parameter_table import parameters
from ostinato.insight.watched_plot import plot_watched
from ostinato.recipes.inspection.inspected import Inspected
from ostinato.recipes.watching import COST

with needed():
    import docstring_parser

_PROBED_STEPS = 4  # Jacobians that are measured for each layer
_MOST_EIGENVALUES = 2_500  # N, of a state; its eigenvalues take N^3, here some twenty seconds


def overview(run: Inspected) -> str:
    """What the model is, and the numbers that are asked for first."""
    tiles = run.tiles()
    if run.lines:
        tiles.append(("trained for", f"{run.lines[-1]['step']:,}", "steps"))
        tiles.append(("training took", f"{run.lines[-1]['elapsed_s']:,.0f}", "seconds"))
    tiles.append(("size", f"{sum(each.numel() for each in run.model.parameters()):,}", "parameters"))
    shown = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)} <small>{unit}</small></dd></div>"
        for name, value, unit in tiles
    )
    return f'<p class="soft">{escape(run.about)}</p><dl class="tiles">{shown}</dl>'


def findings(run: Inspected) -> str:
    """The findings of the doctor."""
    from ostinato.insight.diagnosis.doctor import doctor

    how, lengths = run.settings.training, getattr(run.batch, "lengths", None)
    compared, simpler = run.compared
    diagnosis = doctor(
        run.model,
        run.batch,
        next_batch=run.following,
        history=run.lines,
        clip_norm=how.clip_norm,
        lengths=lengths,
        figures=compared,
        baselines=simpler,
    )
    parts = [
        f'<div class="finding {each.severity}"><h3>{escape(each.severity)}: {escape(each.name)}</h3>'
        f"<p>{escape(each.evidence)} <span class='soft'>({escape(each.where)})</span></p>"
        f"<p><strong>What to do:</strong> {escape(each.remedy)}</p>"
        + (f"<p><strong>Tried:</strong> {escape(each.effect)}</p>" if each.effect else "")
        + "</div>"
        for each in diagnosis
    ]
    looked = len(diagnosis.checked)
    if not parts:
        parts.append(f'<p class="healthy">✓ Nothing found in {looked} checks.</p>')
    listed = f"<p>{escape(', '.join(diagnosis.checked))}.</p>"
    for reason in dict.fromkeys(diagnosis.unchecked.values()):
        names = ", ".join(name for name, why in diagnosis.unchecked.items() if why == reason)
        listed += f"<p>Not looked for, as {escape(reason)}: {escape(names)}.</p>"
    return "".join(parts) + f"<details><summary>What was looked for ({looked} checks)</summary>{listed}</details>"


def gradient(run: Inspected) -> str:
    """How far back the gradient reaches."""
    flow = gradient_flow(run.model, run.batch, run.loss)
    rows = []
    for layer in flow.layers:
        measured = len(layer.gain) - 1
        beyond = f"over {measured}" if layer.reach_steps is None else number(layer.reach_steps)
        rows.append((layer.name, layer.growth, layer.half_life_text, beyond, layer.method))
    words = "; ".join(f"in {layer.name} half of it is gone after {layer.half_life_text} steps" for layer in flow.layers)
    return (
        f"<p>How much of the gradient is left on its way back through the steps: {escape(words)}.</p>"
        + table(
            [
                ("layer", ""),
                ("mean factor of a step", "no unit"),
                ("half-life", "steps"),
                ("reach, to 1/1000", "steps"),
                ("measured", ""),
            ],
            rows,
            caption=f"Gradient flow at a loss of {flow.loss:.3f} nats/{run.item}",
        )
        + picture(flow.plot(), f"Gradient norms by step and gain by distance; {words}", "gradient")
    )


def saturated(run: Inspected) -> str:
    """Gates at their limits, and units that do nothing."""
    found = saturation(run.model, run.batch, run.loss)
    rows = [(gate.name, gate.gate, gate.kind, 100 * gate.low, 100 * gate.high, gate.mean) for gate in found.gates]
    units = [(unit.name, unit.units, len(unit.dead), len(unit.stuck)) for unit in found.units]
    return (
        "<p>A gate near 0 or 1 is shut or open whatever comes; little gradient passes through it.</p>"
        + picture(found.plot(), "Share of each gate's values near its lower and its upper end", "saturation")
        + table(
            [
                ("layer", ""),
                ("gate", ""),
                ("kind", ""),
                ("near its lower end", "% of values"),
                ("near 1", "% of values"),
                ("mean", "no unit"),
            ],
            rows,
            caption=f"Values within {found.margin:g} of their ends",
        )
        + table(
            [
                ("layer", ""),
                ("all", "units"),
                ("dead: a ReLU that is never on", "units"),
                ("stuck: never move", "units"),
            ],
            units,
            caption="Units that do nothing",
        )
    )


def over_training(run: Inspected) -> str:
    """Gradient flow, saturation and update ratios by step, if the run was watched."""
    history = run.watched
    if not history:
        return (
            "<p>This run was not watched while it trained. <code>--training.watch_every 100</code> keeps gradient flow, "
            "saturation and update ratios from every hundredth step; the two sections above show where they ended.</p>"
        )
    cost = run.of_lines(COST)[1][-1]
    words = f"Measurements while the run trained, all on the same few rows: {len(history):,}, in {cost:.1%} of the time"
    return f"<p>{escape(words)}.</p>" + picture(
        plot_watched(history), "Reach and growth of the gradient, saturation and update ratios by step", "watched"
    )


def spectrum(run: Inspected) -> str:
    """What a step does to small differences of the state."""
    parts = [
        (
            "<p>The Jacobian of a step says how small differences of the state grow or shrink in it. Inside the unit circle they "
            "shrink: the network forgets. Near it, the network remembers.</p>"
        )
    ]
    rows = []
    for place, trajectory in enumerate(run.trajectories):
        if trajectory.size > _MOST_EIGENVALUES:
            parts.append(
                f"<p>{escape(trajectory.name)} is left out: a state of {trajectory.size:,} numbers takes minutes.</p>"
            )
            continue
        found = jacobian_spectrum(trajectory, samples=max(1, min(_PROBED_STEPS, _MOST_EIGENVALUES // trajectory.size)))
        values = found.summary()
        rows.append(
            (
                found.name,
                len(found.steps),
                values["spectral radius"],
                values["largest singular value"],
                100 * values["share of singular values above 1"],
            )
        )
        parts.append(
            picture(found.plot(), f"Eigenvalues and singular values of steps of {found.name}", f"spectrum{place}")
        )
    if rows:
        parts.append(
            table(
                [
                    ("layer", ""),
                    ("measured on", "steps"),
                    ("spectral radius", "a step"),
                    ("largest singular value", "a step"),
                    ("singular values above 1", "%"),
                ],
                rows,
                caption="Means over the steps measured",
            )
        )
    radii = [
        (weight, gate, radius) for weight, gates in recurrent_radii(run.model).items() for gate, radius in gates.items()
    ]
    if radii:
        parts.append(
            table(
                [("weight", ""), ("gate", ""), ("spectral radius", "no unit")],
                radii,
                caption="Recurrent weights, gate by gate",
            )
        )
    return "".join(parts)


def parameter_counts(run: Inspected) -> str:
    """Where the parameters are, and what they cost."""
    how = run.settings.training
    found = parameters(run.model, T=run.steps, B=how.batch_size, optimizer=how.optimizer)
    rows = [(row.name, " x ".join(map(str, row.shape)), row.formula, row.count, row.note) for row in found.rows]
    pieces = [
        (
            piece.name,
            piece.kind,
            piece.whole,
            ", ".join(f"{letter} = {size:,}" for letter, size in piece.letters.items()),
            "not known" if piece.multiply_adds is None else piece.multiply_adds,
        )
        for piece in found.pieces
    ]
    batch = f"a batch of {found.B:,} rows and {found.T:,} steps"
    sums = [
        ("weights", found.weights_bytes / 1e6),
        ("gradients", found.gradients_bytes / 1e6),
        (f"states of {found.optimizer}", found.optimizer_bytes / 1e6),
        (f"activations of {batch}", found.activations_bytes / 1e6),
    ]
    return (
        f"<p>{found.count:,} parameters; {found.multiply_adds_per_step:,} multiply-adds for each step of each row, forward.</p>"
        + table(
            [("parameter", ""), ("shape", "rows x columns"), ("formula", ""), ("count", "numbers"), ("note", "")],
            rows,
            caption="Parameters",
        )
        + table(
            [("layer", ""), ("kind", ""), ("formula", ""), ("with", ""), ("forward", "multiply-adds a step")],
            pieces,
            caption="Layers",
        )
        + table([("memory in training", ""), ("size", "MB")], sums, caption="Memory")
    )


def settings_of_the_run(run: Inspected) -> str:
    """Every setting, by group, with what it is and in which unit."""
    parts = [f"<p>As the flags of <code>ostinato train {escape(run.settings.task)}</code> name them.</p>"]
    groups = {each.name: getattr(run.settings, each.name) for each in dataclasses.fields(run.settings)}
    single = {name: value for name, value in groups.items() if not dataclasses.is_dataclass(value)}
    parts.append(_settings("run", single, type(run.settings)))
    for name, group in groups.items():
        if dataclasses.is_dataclass(group):
            values = {each.name: getattr(group, each.name) for each in dataclasses.fields(group)}
            parts.append(_settings(name, values, type(group)))
    return "".join(parts)


def _settings(caption: str, values: Mapping[str, Any], described: type[Any]) -> str:
    """A table of settings, each with the help text of its flag."""
    documented = [docstring_parser.parse(kind.__doc__ or "") for kind in reversed(described.__mro__)]
    help = {each.arg_name: each.description or "" for document in documented for each in document.params}
    rows = [(name, _setting(value), " ".join(help[name].split())) for name, value in values.items()]
    return table([("setting", ""), ("value", ""), ("what it is", "")], rows, caption=caption)


def _setting(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
