"""The page and its picture, made of the results alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.scaling.networks import GIVEN, IN_A_MACHINE, NVLINK
from benchmarks.scaling.results import MANY, Compared, comparisons, link, workload
from benchmarks.scaling.workloads import KINDS, VALIDATION_TOKENS
from ostinato.extras import needed
from ostinato.insight import plots
from ostinato.insight.scaling import Link, Workload, amdahl, fastest_processes, predicted_step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# With a word before each: screen readers take a header that is a formula alone for an empty one.
ALPHA, BETA, SIGMA = r"latency $\alpha$", r"bandwidth $\beta$", r"factor $\sigma$"
TEMPLATE = Path(__file__).with_name("page.md")
WORLDS = (1, 8, 64, 1000)
QUIET = 0.7  # load average, below which a measurement counts
CHECKPOINT_EVERY_S = 600.0  # training.checkpoint_every_s
EVERY = {
    "characters": 200,
    "words": 200,
    "forecast": 50,
}  # steps from an evaluation to the next; with `lm` as time allows
OPERATIONS_PER_S = 10e12
BATCH, STEPS = 20, 35
# Zaremba et al. 2014: embedding and output of 10,000 words, two layers; parameters in all, and those of the embedding.
ZAREMBA = {"small": (4_650_000, 2_000_000), "medium": (19_780_000, 6_500_000), "large": (66_020_000, 15_000_000)}


def write_page(found: Mapping[str, Any], path: Path) -> None:
    """Write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(found), encoding="utf-8")


def page(found: Mapping[str, Any]) -> str:
    """The text, of the file of results."""
    parts = {
        "when": _when(found),
        "constants": _table(_constants(found)),
        "threads": _table(_threads(found)),
        "exchanges": _table(_exchanges(found)),
        "comparisons": _table(_compared(found)),
        "verdict": _verdict(list(comparisons(found))),
        "links": _table(_links()),
        "weak": _table(_weak(found)),
        "strong": _table(_strong(found)),
        "rest": _table(_rest(found)),
        "accelerators": _table(_accelerators()),
        "numbers": time_of(GIVEN[0].all_reduce_s(32, WORLDS[-1])),
        "serial": _table(_serial(found)),
        "stops": _stops(found),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, content in parts.items():
        text = text.replace("{{" + name + "}}", content)
    return text


def told_comparisons(found: Mapping[str, Any]) -> list[str]:
    """A line for each comparison, for a person at a terminal."""
    return [
        f"{each.name:10} {each.strategy:4} {each.processes} processes of {each.rows:2} rows: predicted "
        f"{time_of(each.predicted_s)}, measured {time_of(each.measured_s)}, ratio {each.ratio:.2f} "
        f"(of one process alone {each.from_one_s / each.measured_s:.2f})"
        for each in comparisons(found)
    ]


def time_of(seconds: float) -> str:
    """With the unit that fits, two or three digits: "31.4 µs", "2.7 ms", "1.41 s"."""
    for scale, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if seconds * scale < 999.5:
            return f"{_short(seconds * scale)} {unit}"
    return f"{_short(seconds)} s"


def size_of(count: float) -> str:
    """Bytes, in decimal units."""
    for scale, unit in ((1, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB")):
        if count / scale < 999.5:
            return f"{_short(count / scale)} {unit}"
    return f"{_short(count / 1e12)} TB"


def _short(number: float) -> str:
    """Three digits, none behind the point from 100 on."""
    digits = 0 if number >= 99.95 or number == 0 else 1 if number >= 9.995 else 2
    return f"{number:,.{digits}f}".removesuffix(".00")


def _table(rows: Iterable[Sequence[str]]) -> str:
    head, *others = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _when(found: Mapping[str, Any]) -> str:
    here = found["machine"]
    versions = ", ".join(f"{name} {here['versions'][name]}" for name in ("python", "ostinato", "torch"))
    told = f"Measured on {found['day']}: {here['processor']}, {here['cores']} cores, {versions}, gloo."
    if found["load"] < QUIET:
        return told
    return (
        f"{told} **Other work ran beside it** (load average {found['load']:.1f}): all times are too long, and what is predicted is "
        "farther from what is measured than on a quiet machine."
    )


def _kinds(found: Mapping[str, Any]) -> Iterator[tuple[str, Workload, Mapping[str, Any]]]:
    for name in KINDS:
        yield name, workload(found, name), found["one"][0]["alone"][name]


def _constants(found: Mapping[str, Any]) -> Iterator[list[str]]:
    heads = ["N", "gradient", "rows", "step, fixed", "a row", "line", "update", "checkpoint", "reading a row", "bytes"]
    yield ["", *heads, "validation"]
    for name, of, alone in _kinds(found):
        steps = found["one"][0]["steps"]["alone"][name]
        off = max(abs((of.fixed_s + int(rows) * of.row_s) / each["median_s"] - 1) for rows, each in steps.items())
        rate = alone["checkpoint_bytes"] / alone["checkpoint_s"]
        yield [
            of.name,
            f"{of.parameters:,}",
            size_of(of.sent),
            f"{min(map(int, steps))} to {max(map(int, steps))}",
            time_of(of.fixed_s),
            time_of(of.row_s),
            f"{off:.0%}",
            time_of(of.update_s),
            f"{size_of(rate)}/s",
            time_of(alone["reading_s"]),
            size_of(alone["row_bytes"]),
            f"{1 / of.validation_s:,.0f} {_items(name)}/s",
        ]


def _items(name: str) -> str:
    return "steps" if name == "forecast" else "tokens"


def _threads(found: Mapping[str, Any]) -> Iterator[list[str]]:
    yield ["", "rows", "one thread", "two threads", "times as fast"]
    for name, of, alone in _kinds(found):
        one, two = (found["one"][0]["threads"][name][threads] for threads in ("1", "2"))
        yield [of.name, str(alone["rows"]), time_of(one), time_of(two), f"{one / two:.2f}"]


def _exchanges(found: Mapping[str, Any]) -> Iterator[list[str]]:
    sizes = list(found["two"][0]["exchanges"])
    yield ["processes", ALPHA, BETA, *(f"{_binary(int(size))}: measured, predicted" for size in sizes)]
    for world in ("two", "many"):
        fitted, each = link(found, world), found[world]
        cells = []
        for size in sizes:
            worst = max(one["exchanges"][size] for one in each)
            cells.append(f"{time_of(worst)}, {time_of(fitted.all_reduce_s(int(size), len(each)))}")
        yield [str(len(each)), time_of(fitted.latency_s), f"{size_of(fitted.bytes_per_s)}/s", *cells]


def _binary(size: int) -> str:
    for power, unit in ((20, "MiB"), (10, "KiB")):
        if size >= 2**power:
            return f"{size >> power} {unit}"
    return f"{size} B"


def _compared(found: Mapping[str, Any]) -> Iterator[list[str]]:
    heads = ["P", "rows each", "alone", "exchange", "predicted from one", SIGMA, "predicted", "measured"]
    yield ["", *heads, "predicted / measured"]
    for each in comparisons(found):
        yield [
            f"{KINDS[each.name].title}, {each.strategy.upper()}",
            str(each.processes),
            str(each.rows),
            time_of(each.alone_s),
            time_of(each.exchange_s),
            time_of(each.from_one_s),
            f"{each.slowdown:.2f}",
            time_of(each.predicted_s),
            time_of(each.measured_s),
            f"{each.ratio:.2f}",
        ]


def _verdict(every: Sequence[Compared]) -> str:
    """What the comparison says, of its own numbers."""

    def spread(which: Sequence[Compared]) -> str:
        ratios = sorted(each.ratio for each in which)
        return f"from {ratios[0]:.2f} to {ratios[-1]:.2f}" if len(ratios) > 1 else f"{ratios[0]:.2f}"

    ddp, fsdp = ([each for each in every if each.strategy == name] for name in ("ddp", "fsdp"))
    two, many = ([each for each in ddp if (each.processes == MANY) == is_many] for is_many in (False, True))
    worst = max(every, key=lambda each: abs(math.log(each.ratio)))
    return (
        f"Predicted over measured is {spread(two)} for DDP of two processes, {spread(many)} for four on two cores, and "
        f"{spread(fsdp)} for FSDP. The farthest off is {KINDS[worst.name].title} with {worst.strategy.upper()}, "
        f"{worst.processes} processes of {worst.rows} rows ({worst.ratio:.2f}). "
        "Below 1 a step takes longer than the model says. FSDP has work that the model does not know: shares are tensors of "
        "another kind, whose every operation costs, which shows where a model is small."
    )


def _links() -> Iterator[list[str]]:
    yield ["", ALPHA, f"{BETA}, each way", "source"]
    for each in GIVEN:
        yield [each.name, time_of(each.latency_s), f"{size_of(each.bytes_per_s)}/s", each.source]


def _default_rows(name: str) -> int:
    return 64 if name == "forecast" else 48


def _weak(found: Mapping[str, Any]) -> Iterator[list[str]]:
    networks = [each for each in GIVEN if each is not NVLINK]
    yield [
        "",
        "P",
        "batch",
        "sent a step, by each",
        *(each.name for each in networks),
        "FSDP, 100 Gbit/s",
        "and halving",
    ]
    for name, of, _ in _kinds(found):
        rows = _default_rows(name)
        for processes in WORLDS:
            steps = [predicted_step(of, each, processes, rows) for each in networks]
            fsdp = predicted_step(of, networks[1], processes, rows, "fsdp")
            halved = predicted_step(of, replace(networks[1], algorithm="halving"), processes, rows)
            yield [
                of.name,
                f"{processes:,}",
                f"{processes * rows:,}",
                size_of(steps[0].sent_bytes),
                *(f"{time_of(step.total_s)} ({step.efficiency:.0%})" for step in (*steps, fsdp, halved)),
            ]


def _strong(found: Mapping[str, Any]) -> Iterator[list[str]]:
    yield ["", "batch", "P = 8", "P = batch", *(f"{each.name}: best P, speed-up" for each in GIVEN)]
    free = Link(0.0, 1e30)
    for name, of, _ in _kinds(found):
        rows = _default_rows(name)
        one = predicted_step(of, free, 1, rows).total_s
        cells = []
        for each in GIVEN:
            best = fastest_processes(of, each, rows, most=IN_A_MACHINE if each is NVLINK else rows)
            cells.append(f"{best}, {one / predicted_step(of, each, best, rows / best).total_s:.1f}")
        without = [f"{one / predicted_step(of, free, p, rows / p).total_s:.1f}" for p in (8, rows)]
        yield [of.name, str(rows), *(f"{each} without a network" for each in without), *cells]


def _rest(found: Mapping[str, Any]) -> Iterator[list[str]]:
    yield ["", "P", "input, all processes", "of a step", "checkpoint", "written in", "of the time, every 10 minutes"]
    for name, of, alone in _kinds(found):
        rows = _default_rows(name)
        for processes in WORLDS:
            step = predicted_step(of, GIVEN[1], processes, rows)
            rate = processes * rows * alone["row_bytes"] / step.total_s
            yield [
                of.name,
                f"{processes:,}",
                f"{size_of(rate)}/s",
                f"{rows * alone['reading_s'] / step.total_s:.1%}",
                size_of(of.checkpoint_bytes),
                time_of(of.checkpoint_s),
                f"{of.checkpoint_s / (of.checkpoint_s + CHECKPOINT_EVERY_S):.2%}",
            ]


def _accelerators() -> Iterator[list[str]]:
    yield ["", "P", "sent a step, by each", *(each.name for each in GIVEN)]
    for name in ZAREMBA:
        of = _zaremba(name)
        for processes in WORLDS[1:]:
            cells, sent = [], 0.0
            for each in GIVEN:
                step = predicted_step(of, each, processes, BATCH)
                sent = step.sent_bytes
                is_there = each is not NVLINK or processes <= IN_A_MACHINE
                cells.append(f"{time_of(step.total_s)} ({step.compute_s / step.total_s:.0%})" if is_there else "")
            yield [name, f"{processes:,}", size_of(sent), *cells]


def _zaremba(name: str) -> Workload:
    """A model of the paper on an accelerator that is given."""
    parameters, embedding = ZAREMBA[name]
    row_s = 6 * (parameters - embedding) * STEPS / OPERATIONS_PER_S
    return Workload(parameters, 0.0, row_s, items=STEPS, name=f"Zaremba, {name}")


def _serial(found: Mapping[str, Any]) -> Iterator[list[str]]:
    heads = ["batch", "fixed part of a step, the update in it", "share of a step", "an evaluation", "shared"]
    yield ["", *heads, "share f of a run", "at most, P = 8", "64", "any"]
    for name, of, alone in _kinds(found):
        rows, every = _default_rows(name), EVERY[name]
        whole = every * (of.fixed_s + rows * of.row_s)
        own = alone["evaluation_s"]
        evaluation_s = of.validation_s * VALIDATION_TOKENS if own is None else own
        serial = every * of.fixed_s + of.checkpoint_s
        share = serial / (whole + evaluation_s + of.checkpoint_s)
        yield [
            of.name,
            str(rows),
            f"{time_of(of.fixed_s)}, {time_of(of.update_s)}",
            f"{every * of.fixed_s / whole:.1%}",
            time_of(evaluation_s),
            "by rows" if own is None else "by batches",
            f"{share:.1%}",
            *(f"{amdahl(share, processes):.1f}" for processes in (8, 64)),
            f"{1 / share:.0f}" if share else "no limit",
        ]


def _stops(found: Mapping[str, Any]) -> str:
    """Where waiting is as long as computing."""
    told = ["Waiting is longer than computing, with as many rows for each as one has by default and rings of DDP, from"]
    lines = []
    for name, of, _ in _kinds(found):
        cells = []
        for each in GIVEN[:-1]:
            at = _half(of, each, _default_rows(name))
            cells.append(
                f"{at:,} processes ({each.name})" if at else f"no number of processes up to 100,000 ({each.name})"
            )
        lines.append(f"- {of.name}: {', '.join(cells)}.")
    return "\n".join(
        [
            *told,
            "",
            *lines,
            "",
            "Bytes hardly grow with P, latency grows with it. What helps, in the order in which we would try it:",
        ]
    )


def _half(of: Workload, each: Link, rows: int) -> int | None:
    """The fewest processes that wait longer than they compute."""
    low, high = 1, 100_000
    if predicted_step(of, each, high, rows).efficiency > 0.5:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if predicted_step(of, each, middle, rows).efficiency > 0.5:
            low = middle
        else:
            high = middle
    return high


def figure(found: Mapping[str, Any]) -> Figure:
    """Left: predicted beside measured. Right: the share of P times the speed of one, at as many rows for each process, over P."""
    with needed():
        from matplotlib.lines import Line2D

    made, (left, right) = plots.figure(10.0, 4.6, columns=2)
    every = list(comparisons(found))
    colours = dict(zip(KINDS, plots.COLOURS, strict=False))
    signs: dict[tuple[str, int], tuple[str, Literal["full", "none"]]] = {
        ("ddp", 2): ("o", "full"),
        ("ddp", MANY): ("o", "none"),
        ("fsdp", 2): ("^", "full"),
    }
    for each in every:
        sign, fill = signs[each.strategy, each.processes]
        x, y = each.measured_s * 1e3, each.predicted_s * 1e3
        left.plot(x, y, sign, color=colours[each.name], fillstyle=fill, markersize=7, markeredgewidth=1.6)
    both = [seconds * 1e3 for each in every for seconds in (each.measured_s, each.predicted_s)]
    ends = (0.8 * min(both), 1.25 * max(both))
    left.plot(ends, ends, color=plots.GREY, linewidth=1, zorder=1)
    for axis, set_scale in ((left.xaxis, left.set_xscale), (left.yaxis, left.set_yscale)):
        set_scale("log")
        axis.set_ticks(
            [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if ends[0] < tick < ends[1]]
        )
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    plots.name_axes(left, "measured step, ms", "predicted step, ms", f"2 processes, and {MANY}, on 2 cores")
    names = {("ddp", 2): "DDP, 2", ("ddp", MANY): f"DDP, {MANY}", ("fsdp", 2): "FSDP, 2"}
    handles = [Line2D([], [], color=colour, linewidth=3, label=_plain(name)) for name, colour in colours.items()]
    for which, (sign, fill) in signs.items():
        label = names[which]
        handles.append(Line2D([], [], color=plots.GREY, marker=sign, fillstyle=fill, linestyle="", label=label))
    below: dict[str, Any] = {"fontsize": 8, "frameon": False, "loc": "upper center", "bbox_to_anchor": (0.5, -0.15)}
    left.legend(handles=handles, ncols=2, **below)

    counts = [2**power for power in range(11)]
    shown = [(_plain(name), of, _default_rows(name), colours[name]) for name, of, _ in _kinds(found)]
    medium = _zaremba("medium")
    shown.append((f"{medium.name}, 10 TFLOP/s", medium, BATCH, plots.COLOURS[3]))
    styles: dict[Literal["-", "--"], Link] = {"-": GIVEN[2], "--": GIVEN[0]}
    for _, of, rows, colour in shown:
        for style, each in styles.items():
            shares = [100 * predicted_step(of, each, count, rows).efficiency for count in counts]
            right.plot(counts, shares, style, color=colour, linewidth=1.8)
    right.set_xscale("log", base=2)
    right.set_xticks([1, 8, 64, 512])
    right.xaxis.set_major_formatter("{x:g}")
    right.set_ylim(0, 104)
    plots.name_axes(
        right, "processes, with default rows each", "% of P times the speed of one", "On paper, DDP by a ring"
    )
    handles = [Line2D([], [], color=colour, linewidth=3, label=name) for name, _, _, colour in shown]
    handles += [Line2D([], [], color=plots.GREY, linestyle=style, label=each.name) for style, each in styles.items()]
    right.legend(handles=handles, ncols=2, **below)
    return made


def _plain(name: str) -> str:
    return {"characters": "lm, characters", "words": "lm, words"}.get(name, name)
