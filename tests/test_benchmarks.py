"""The benchmarks, at sizes that take no time: every subject runs, equal work has equal results, the sums come out right."""

from __future__ import annotations

import ctypes
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import __main__ as command
from benchmarks import language_model, summary
from benchmarks import peak as limits
from benchmarks.case import Case, Subject, make_subject
from benchmarks.options import BASELINE, OPTIONS, options
from benchmarks.peak import Peak
from benchmarks.plain import inference, training
from benchmarks.ragged import ragged, uniform_lengths
from benchmarks.rows import DisagreementError, Row, measure_case, with_peak
from benchmarks.sizes import RAGGED, Size
from benchmarks.steps import steps
from benchmarks.timing import Timing, measure
from llvmlite import binding as llvm
from torch.utils.flop_counter import FlopCounterMode

from ostinato.kernels.dispatch import backends_for

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")

PEAK = Peak(threads=1, one_thread_gflops=100.0, all_threads_gflops=200.0, copy_gbytes=10.0)
TINY = Size(3, 2, 4, 6)
SECTIONS = {training: TINY, inference: TINY, options: TINY, ragged: TINY, steps: Size(1, 1, 4, 6)}
BACKENDS = [each.name for each in backends_for("cpu")]
SUBJECTS = {
    "training": {"Ostinato", *(f"Ostinato, {name}" for name in BACKENDS), "torch.nn", "Python loop"},
    "inference": {
        *("Ostinato", *(f"Ostinato, {name}" for name in BACKENDS)),
        *("torch.nn", "Python loop", "ONNX Runtime"),
    },
    "ragged": {"full batch", "lengths=", "PackedSequence", "torch.nn, full batch", "torch.nn, PackedSequence"},
}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_subject_runs_and_equal_work_has_equal_results(section: Callable[..., Iterator[Case]]) -> None:
    seen = set()
    for case in section([SECTIONS[section]]):
        seen.add((case.cell, case.mode))
        rows = measure_case(case, PEAK, budget_s=0.0, rounds=1)  # compares the results
        assert [row.subject for row in rows] == [subject.name for subject in case.subjects]
        assert min(row.relative for row in rows if row.is_baseline) == 1.0
        if case.section in SUBJECTS:
            assert {row.subject for row in rows} == SUBJECTS[case.section]
        if case.section == "options":
            expected = {option.name for option in OPTIONS if case.mode == "training" or not option.training_only}
            assert expected < {row.subject for row in rows}
        for row in rows:
            assert row.gflops == pytest.approx(row.flops / row.timing.median_s / 1e9)
            assert row.share_of_peak == pytest.approx(row.gflops / 200.0)
    assert len(seen) == {"options": 2, "ragged": 6}.get(section.__name__, 3)


def test_all_that_can_be_compared_is_compared() -> None:
    for section in (training, inference, steps):
        for case in section([SECTIONS[section]], ["LSTM"]):
            free = {subject.name for subject in case.subjects if subject.same_as is None}
            assert free <= {"torch.nn", "Ostinato, bfloat16 weights"}


def test_subjects_that_do_other_work_are_not_timed() -> None:
    def call(value: float) -> Callable[[], torch.Tensor]:
        return lambda: torch.tensor([1.0, value])

    right = Subject("right", call(2.0), 1.0)
    for wrong in (2.1, math.nan):
        case = Case(
            "s", "LSTM", "inference", TINY, (right, Subject("wrong", call(wrong), 1.0, same_as="right")), ("right",)
        )
        with pytest.raises(DisagreementError, match="expected wrong to give what right gives"):
            measure_case(case, PEAK, 0.0, 1)


def test_a_training_step_gives_all_gradients_anew_and_counts_as_a_change_of_the_weights() -> None:
    (case,) = training([TINY], ["GRU"])
    subject = next(s for s in case.subjects if s.name == "torch.nn")
    assert subject.prepare is not None
    subject.prepare()
    first = subject.call().clone()
    subject.prepare()
    assert torch.equal(subject.call(), first)  # a gradient that adds up would be twice as large
    layer = torch.nn.GRU(2, 3)
    before = [p._version for p in layer.parameters()]
    values = [p.detach().clone() for p in layer.parameters()]
    made = make_subject("GRU", layer, lambda x: layer(x)[0], torch.randn(2, 1, 2), "training", 1.0)
    assert made.prepare is not None
    made.prepare()
    assert all(p._version > version for p, version in zip(layer.parameters(), before, strict=True))
    assert all(torch.equal(p, value) for p, value in zip(layer.parameters(), values, strict=True))
    made.call()
    assert all(p.grad is not None for p in layer.parameters())


def test_flops_are_those_of_the_matrix_products() -> None:
    def counted(*shapes: tuple[int, int, int]) -> int:
        with FlopCounterMode(display=False) as counter:
            for rows, inner, columns in shapes:
                torch.mm(torch.ones(rows, inner), torch.ones(inner, columns))
        return counter.get_total_flops()

    size = Size(T=2, B=3, I=5, H=7)
    plain = counted((6, 5, 28), (6, 7, 28))
    assert size.flops(4, "inference") == plain
    assert size.flops(4, "training") == 3 * plain
    assert size.flops(4, "inference", row_steps=3) == plain / 2
    assert size.flops(4, "inference", proj_size=2) == counted((6, 5, 28), (6, 2, 28), (6, 7, 2))


def test_lengths_are_uniform_over_the_steps() -> None:
    for size in RAGGED:
        lengths = uniform_lengths(size)
        assert (int(lengths.min()), int(lengths.max())) == (1, size.T)
        assert float(lengths.float().mean()) == pytest.approx((size.T + 1) / 2, abs=0.1)


def test_a_round_has_every_subject_and_no_one_is_always_behind_the_same() -> None:
    order: list[str] = []
    subjects = [Subject(name, lambda name=name: order.append(name), 1.0) for name in "abc"]
    # Slow enough that a sample is one call and needs no other before it.
    timings = measure(subjects, dict.fromkeys("abc", 1.0), budget_s=0.0, rounds=30)
    assert {name: timing.samples for name, timing in timings.items()} == dict.fromkeys("abc", 30)
    calls = [name for n, name in enumerate(order) if n == 0 or order[n - 1] != name]
    before = {name: {calls[n - 1] for n, at in enumerate(calls) if at == name and n > 0} for name in "abc"}
    assert before == {"a": {"b", "c"}, "b": {"a", "c"}, "c": {"a", "b"}}


def test_what_takes_too_long_is_measured_once() -> None:
    calls: list[str] = []
    slow, fast = (Subject(name, lambda name=name: calls.append(name), 1.0) for name in ("slow", "fast"))
    timings = measure([slow, fast], {"slow": 11.0, "fast": 0.0}, budget_s=0.0)
    assert timings["slow"] == Timing(11.0, 11.0, 11.0, 1)
    assert timings["fast"].samples == 3
    assert "slow" not in calls


def test_quartiles() -> None:
    assert Timing.of([4.0, 1.0, 2.0, 3.0, 5.0]) == Timing(3.0, 2.0, 4.0, 5)


def row(section: str, cell: str, mode: Any, size: Size, subject: str, seconds: float, relative: float) -> Row:
    timing = Timing(seconds, seconds, seconds, 3)
    return Row(section, cell, mode, size, subject, "", timing, 1e9, 1 / seconds, 0.01 / seconds, relative, False)


def test_means_are_geometric_and_the_aims_look_at_the_worst_size_too() -> None:
    rows = [
        row("training", "LSTM", "training", TINY, "Ostinato", 1.0, 0.25),
        row("training", "LSTM", "training", replace(TINY, T=9), "Ostinato", 1.0, 1.0),
    ]
    (mean,) = summary.means(rows)
    assert (mean.relative, mean.best, mean.worst, mean.sizes) == (pytest.approx(0.5), 0.25, 1.0, 2)
    (verdict,) = summary.verdicts(rows)
    assert verdict.is_met
    assert verdict.measured == "2.00 x, slowest size 1.00"
    (verdict,) = summary.verdicts([rows[0], replace(rows[1], relative=1.01)])
    assert not verdict.is_met


@pytest.mark.parametrize(
    ("met", "missed"),
    [
        (
            row("steps", "LSTM", "inference", Size(1, 1, 128, 128), "Ostinato", 14e-6, 1.0),
            row("steps", "LSTM", "inference", Size(1, 1, 128, 128), "Ostinato", 16e-6, 1.0),
        ),
        (
            row("options", "options", "training", TINY, "layer norm", 1.0, 1.34),
            row("options", "options", "training", TINY, "zoneout", 1.0, 1.34),
        ),
        (
            row("ragged", "GRU", "training", TINY, "PackedSequence", 1.0, 0.6),
            row("ragged", "GRU", "training", TINY, "PackedSequence", 1.0, 0.7),
        ),
    ],
)
def test_aims(met: Row, missed: Row) -> None:
    assert [verdict.is_met for verdict in summary.verdicts([met])] == [True]
    assert [verdict.is_met for verdict in summary.verdicts([missed])] == [False]


def test_aims_of_the_share_of_the_peak_and_of_linear_time() -> None:
    at = Size(64, 64, 512, 512)
    for share, met in ((0.81, True), (0.79, False)):
        measured = row("inference", "RNN", "inference", at, "Ostinato", 0.01 / share, 0.1)
        assert [verdict.is_met for verdict in summary.verdicts([measured])] == [True, met]
    for growth, met in ((1.1, True), (1.3, False)):
        pair = [
            row("ragged", "RNN", "training", size, "lengths=", s, 0.1)
            for size, s in zip(RAGGED[1:], (1.0, growth), strict=True)
        ]
        assert [verdict.is_met for verdict in summary.verdicts(pair)] == [True, True, met]


def test_the_peak_kernel_computes_its_chains() -> None:
    """A kernel that does less than is counted would report a peak that is not there."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    vectors = limits.Vectors.of_this_machine()
    engine = llvm.create_mcjit_compiler(
        llvm.parse_assembly(limits.source(vectors)), llvm.Target.from_default_triple().create_target_machine()
    )
    engine.finalize_object()
    kernel = limits._FUNCTION(engine.get_function_address("multiply_add"))
    sums = (ctypes.c_float * vectors.lanes)()
    kernel(2, 0.5, 1.0, ctypes.addressof(sums))
    assert list(sums) == [sum(n / 4 + 1.5 for n in range(vectors.chains))] * vectors.lanes


def test_the_peak_is_measured() -> None:
    peak = limits.measure_peak(sample_s=1e-4, samples=1, copied_bytes=1 << 20)
    assert peak.threads == torch.get_num_threads()
    assert min(peak.one_thread_gflops, peak.all_threads_gflops, peak.copy_gbytes) > 0


def test_shares_are_of_the_peak_that_is_measured_beside_them() -> None:
    (case,) = training([TINY], ["GRU"])
    rows = measure_case(with_peak(case, limits.MultiplyAdd(sample_s=1e-4)), PEAK, 0.0, 1)
    (peak,) = (row for row in rows if row.subject == "multiply-add peak")
    assert peak.share_of_peak == pytest.approx(1.0)
    for row in rows:
        assert row.share_of_peak == pytest.approx(row.gflops / peak.gflops)


def test_the_command_prints_tables_and_writes_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "measure_peak", lambda: PEAK)
    path = tmp_path / "new" / "results.json"
    command.run(
        ["--only", "steps", "--cells", "LSTM", "--sizes", "1x1x128x128", "--rounds", "1", "--output", str(path)]
    )
    printed = capsys.readouterr().out
    assert "The aims" in printed
    assert "at most 15 us" in printed
    written = json.loads(path.read_text(encoding="utf-8"))
    assert {"processor", "cores", "torch_threads", "versions"} <= written["machine"].keys()
    assert written["peak"]["all_threads_gflops"] == 200.0
    assert {row["size"]["H"] for row in written["rows"]} == {128}
    assert [path.name for path in path.parent.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--only", "trainig"],
            "--only expected some of training inference steps options ragged small busy, got 'trainig'",
        ),
        (["--sizes", "1x2x3x4"], "--sizes expected some of 50x50x128x128"),
        (["--only", "steps", "--sizes", "50x50x128x128"], "--sizes expected a size of one of the sections"),
        (["--round", "1"], "unknown argument --round; did you mean --rounds?"),
    ],
)
def test_a_slip_of_the_pen_is_answered_in_one_line(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", *words])
    assert command.main() == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_options_are_compared_with_the_plain_lstm() -> None:
    (case, _) = options([TINY], ["GRU"])
    assert case.baseline == (BASELINE,)
    assert {subject.name for subject in case.subjects} == {
        BASELINE,
        "plain GRU",
        "reset before",
        "reset before, reference",
    }


def test_the_training_of_a_language_model_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question; " * 40)
    sizes = ["--hidden_size", "8", "--batch_size", "2", "--chunk_length", "4", "--steps", "5", "--turns", "1"]
    language_model.run(["--data", str(text), "--cells", "GRU", *sizes])
    printed = capsys.readouterr().out
    for subject in ("torch.nn, plain loop", "ostinato train lm, 32-true", "ostinato train lm, precision auto"):
        assert subject in printed
    assert "the loop's own share of a step" in printed
