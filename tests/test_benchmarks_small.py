"""The sections `small` and `busy` at sizes that take no time: the same work, its table, and no neighbour that stays."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import __main__ as command
from benchmarks import ratios
from benchmarks.busy import busy, crowded, spinning
from benchmarks.case import Subject
from benchmarks.peak import Peak
from benchmarks.rows import Row, measure_case
from benchmarks.sizes import CALL, SMALL, SMALL_BIDIRECTIONAL, Size
from benchmarks.small import FLOOR, Empty, small, weighed
from benchmarks.timing import Timing, measure_in_rounds
from rich.console import Console

PEAK = Peak(threads=1, one_thread_gflops=100.0, all_threads_gflops=200.0, copy_gbytes=10.0)
TINY, STEP = Size(3, 2, 4, 6), Size(1, 2, 4, 6)


def test_layers_bidirectional_ones_cells_and_a_call_are_measured_in_both_modes() -> None:
    sizes = [TINY, STEP, SMALL_BIDIRECTIONAL[0], CALL]
    seen: Counter[str] = Counter()
    for case in small(sizes):
        rows = measure_case(case, PEAK, budget_s=0.0, rounds=1)  # compares the results
        floor = [FLOOR] if (case.size, case.mode) == (CALL, "training") else []
        assert [row.subject for row in rows] == ["Ostinato", "torch.nn", *floor]
        assert [row.timing.samples for row in rows] == [1] * len(rows)
        assert [row.subject for row in rows if row.is_baseline] == ["torch.nn"]
        compared = [subject.same_as for subject in case.subjects[:2]]
        assert compared == [None if "zoneout" in case.cell else "torch.nn"] * 2
        seen[case.cell] += 1
    # Two modes of three sizes, of the one that both ways are measured at, and of the one of one time step.
    assert seen == {
        **dict.fromkeys(("RNN", "LSTM", "GRU", "LSTM, zoneout and layer norm"), 6),
        **dict.fromkeys(("LSTM, bidirectional", "GRU, bidirectional"), 2),
        **dict.fromkeys(("RNNCell", "LSTMCell", "GRUCell"), 2),
        **dict.fromkeys((f"a layer's call: {cell}" for cell in ("RNN", "LSTM", "GRU")), 2),
    }
    assert set(SMALL_BIDIRECTIONAL) < set(SMALL)
    assert CALL not in SMALL


def test_inference_is_without_gradient_and_a_training_step_weighs_the_output() -> None:
    for case in small([STEP], ["GRU"]):
        assert case.within is not None
        with case.within():
            assert torch.is_grad_enabled() == (case.mode == "training")
            assert not torch.is_inference_mode_enabled()
    x = torch.ones(3, 2)
    assert torch.equal(weighed(torch.neg, x, "inference")(x), -x)
    forward = weighed(torch.neg, x, "training")
    assert torch.equal(forward(2 * x), 2 * forward(x))  # the weight is the same at every call
    assert len(forward(x).unique()) == x.numel()


@pytest.mark.parametrize(("cell", "given", "found"), [("RNN", 6, 2), ("LSTM", 7, 3), ("GRU", 6, 2)])
def test_the_floor_has_the_tensors_of_a_layer(
    cell: str, given: int, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The input, four parameters and the first states; the output and the last states."""
    counted: list[tuple[int, int]] = []
    apply = Empty.apply

    def noted(shapes: Any, *tensors: torch.Tensor) -> Any:
        outputs: Any = apply(shapes, *tensors)
        counted.append((len(tensors), len(outputs)))
        return outputs

    (case,) = small([CALL], [cell], ["training"])
    monkeypatch.setattr(Empty, "apply", noted)
    floor = case.subjects[-1]
    assert (floor.name, floor.call().shape) == (FLOOR, (1, 1, 32))
    assert counted == [(given, found)]


def test_rounds_end_with_the_budget_and_each_has_every_subject() -> None:
    subjects = [Subject(name, lambda: time.sleep(0.001), 1.0) for name in "ab"]
    first_s = dict.fromkeys("ab", 0.0)
    assert {t.samples for t in measure_in_rounds(subjects, first_s, 0.0, sample_s=0.0).values()} == {3}
    assert {t.samples for t in measure_in_rounds(subjects, first_s, 0.0, rounds=5, sample_s=0.0).values()} == {5}
    a, b = measure_in_rounds(subjects, first_s, 0.3, sample_s=0.0).values()
    assert a.samples == b.samples > 3


def test_a_call_is_repeated_for_as_long_as_a_sample_lasts() -> None:
    calls: list[int] = []
    subject = Subject("a", lambda: (calls.append(0), time.sleep(0.002))[0], 1.0)
    measure_in_rounds([subject], {"a": 0.0}, 0.0, rounds=1, sample_s=0.02)
    few = len(calls)
    measure_in_rounds([subject], {"a": 0.0}, 0.0, rounds=1, sample_s=0.1)
    assert len(calls) - few > few


def test_a_busy_machine_is_measured_with_each_number_of_threads_beside_each_number_of_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.busy.SAMPLE_S", 0.0)
    before = torch.get_num_threads()
    settings = []
    for case in busy([TINY], threads=(1, 2), neighbours=(0, 1)):
        rows = measure_case(case, PEAK, budget_s=0.0, rounds=1)
        assert [row.subject for row in rows] == ["Ostinato", "torch.nn"]
        assert {row.setting for row in rows} == {case.setting}
        settings.append((case.mode, case.setting))
    assert torch.get_num_threads() == before
    each = [f"threads {n}, neighbours {beside}" for n in (1, 2) for beside in (0, 1)]
    assert settings == [(mode, setting) for mode in ("inference", "training") for setting in each]
    assert len(list(busy())) == 40
    assert not list(busy(cells=["GRU"]))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_neighbours_end_whatever_happens(error: type[BaseException]) -> None:
    before, started = torch.get_num_threads(), []
    with pytest.raises(error), crowded(before + 1, 2, "inference") as neighbours:  # noqa: PT012
        assert torch.get_num_threads() == before + 1
        started += neighbours
        assert [process.poll() for process in started] == [None, None]
        raise error
    assert [process.returncode for process in started] == [-signal.SIGKILL] * 2
    assert torch.get_num_threads() == before


def test_a_neighbour_whose_parent_is_gone_ends_by_itself() -> None:
    with spinning(1) as (neighbour,):
        assert neighbour.stdin is not None
        neighbour.stdin.close()  # as the system does when a process ends, even one that is killed
        assert neighbour.wait(timeout=30) == 0


def row(subject: str, seconds: float, relative: float, **about: Any) -> Row:
    timing = Timing(seconds, seconds * 0.9, seconds * 1.1, 7)
    about = {"section": "small", "cell": "GRU", "mode": "inference", "size": TINY} | about
    return Row(
        **about, subject=subject, backend="compiled" if subject == "Ostinato" else "", timing=timing, flops=1.0,
        gflops=1.0, share_of_peak=0.1, relative=relative, is_baseline=subject == "torch.nn",
    )  # fmt: skip


def shown(rows: list[Row]) -> str:
    console = Console(width=140)
    with console.capture() as capture:
        ratios.show(console, rows)
    return capture.get()


def test_a_table_has_every_ratio_the_worst_and_the_geometric_mean() -> None:
    at = [row("Ostinato", 2e-5, 0.25), row("torch.nn", 8e-5, 1.0)]
    slower = [row("Ostinato", 4e-5, 2.0, size=STEP), row("torch.nn", 2e-5, 1.0, size=STEP)]
    printed = shown(at + slower)
    line = next(line for line in printed.splitlines() if str(TINY) in line)
    assert [cell.strip() for cell in line.strip("│ ").split("│")] == [
        *(str(TINY), "compiled", "20.0 us", "18.0 us .. 22.0 us", "80.0 us", "72.0 us .. 88.0 us", "7", "4.00"),
    ]
    assert f"worst 0.50 ({STEP}), geometric mean 1.41" in printed
    busy_rows = [row(r.subject, r.timing.median_s, r.relative, section="busy", setting="threads 4") for r in at]
    printed = shown(busy_rows)
    assert "worst 4.00 (threads 4)" in printed
    assert "18 us .. 22 us" in printed


def test_the_line_of_a_call_has_both_modes_and_the_floor() -> None:
    about = {"cell": "a layer's call: GRU", "size": CALL}
    rows = [row("Ostinato", 2e-5, 0.5, **about), row("torch.nn", 4e-5, 1.0, **about)]
    about["mode"] = "training"
    rows += [row(name, s, 1.0, **about) for name, s in (("Ostinato", 2e-4), ("torch.nn", 1e-4), (FLOOR, 5e-5))]
    printed = shown(rows)
    assert "T = 1, B = 1, H = 32: a layer's call" in printed
    lines = [line for line in printed.splitlines() if "us" in line]
    assert ["20.0 us" in lines[0], "200 us" in lines[0], "40.0 us" in lines[1], "100 us" in lines[1]] == [True] * 4
    assert "empty autograd.Function, as many tensors" in lines[2]
    assert "50.0 us" in lines[2]


def test_the_command_gives_the_section_its_share_of_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    budgets = []

    def measured(case: Any, peak: Peak, budget_s: float, rounds: int | None) -> list[Row]:
        budgets.append((case.section, budget_s))
        return measure_case(case, peak, 0.0, 1)

    monkeypatch.setattr(command, "measure_peak", lambda: PEAK)
    monkeypatch.setattr(command, "measure_case", measured)
    words = ["--only", "small", "--cells", "RNN", "--sizes", "1x1x32x32", "--budget_s", "4"]
    command.run([*words, "--output", str(tmp_path / "results.json")])
    assert budgets == [("small", pytest.approx(0.6))] * 2
    assert "a layer's call" in capsys.readouterr().out
