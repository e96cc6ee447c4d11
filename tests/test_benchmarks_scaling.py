"""How training scales: constants are found again, steps are those of `fit`, and the page is that of its results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.scaling import __main__ as command
from benchmarks.scaling import page as pages
from benchmarks.scaling.alone import alone
from benchmarks.scaling.networks import GIVEN
from benchmarks.scaling.results import comparisons, fitted_line, fitted_link, link, read, workload
from benchmarks.scaling.workers import WARM_STEPS, steps_s
from benchmarks.scaling.workloads import KINDS, VALIDATION_TOKENS

from ostinato.errors import ConfigError
from ostinato.insight.scaling import Link, predicted_step
from ostinato.training import Processes, make_fabric

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "benchmarks/results/scaling.json"
PAGE = ROOT / "docs/scaling_predicted.md"


def test_the_constants_of_a_line_and_of_a_link_are_found_again():
    assert fitted_line([6, 12, 24, 48], [0.02 + 0.003 * rows for rows in (6, 12, 24, 48)]) == pytest.approx(
        (0.02, 0.003)
    )
    # Where noise would make the fixed part negative it is none, and the slope that of the mean relative error.
    assert fitted_line([1, 2], [0.1, 0.3]) == pytest.approx((0.0, 1 / ((10 + 2 / 0.3) / 2)))
    for processes in (2, 4, 7):
        true = Link(3e-5, 1.7e9)
        exchanges = {str(size): true.all_reduce_s(size, processes) for size in (32, 2**12, 2**20, 2**24)}
        found = fitted_link(exchanges, processes)
        assert (found.latency_s, found.bytes_per_s) == (pytest.approx(3e-5), pytest.approx(1.7e9))
        assert not found.reduces_scatter  # as gloo


@pytest.mark.parametrize("name", ["characters", "forecast"])
def test_steps_are_those_of_a_run_and_what_is_done_alone_is_measured(tmp_path, name):
    prepared = KINDS[name].prepare(tmp_path)
    processes = Processes(make_fabric("cpu", "32-true"))
    took = steps_s(prepared, 2, processes, 2, tmp_path / "run")
    assert len(took) == 2
    assert all(each > 0 for each in took)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert lines == ""  # it ended before anything was evaluated or written
    assert WARM_STEPS > 1
    found = alone(prepared, 2, tmp_path)
    parameters = sum(each.numel() for each in prepared.model.parameters())
    assert (found["parameters"], found["tensors"]) == (parameters, len(list(prepared.model.parameters())))
    assert 12 * parameters < found["checkpoint_bytes"] < 12 * parameters + 10_000
    assert found["row_bytes"] >= 2 * 8 * prepared.items if name == "characters" else found["row_bytes"] > 0
    assert all(found[key] > 0 for key in ("update_s", "checkpoint_s", "reading_s", "validation_s"))
    assert (found["evaluation_s"] is None) == (name == "characters")


def test_the_page_that_is_committed_is_that_of_the_results(tmp_path):
    command.run(["--measure", "false", "--output", str(COMMITTED), "--page", str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text() == PAGE.read_text()
    assert "{{" not in PAGE.read_text()


def test_the_committed_comparison_is_the_model_and_no_copy_of_what_was_measured():
    found = read(COMMITTED)
    every = list(comparisons(found))
    assert {(each.strategy, each.processes) for each in every} == {("ddp", 2), ("fsdp", 2), ("ddp", 4)}
    assert {each.name for each in every} == set(KINDS)
    for each in every:
        world = {2: "two", 4: "many"}[each.processes]
        steps = [one["steps"][each.strategy][each.name][str(each.rows)]["median_s"] for one in found[world]]
        assert each.measured_s == max(steps)
        if each.strategy == "ddp":
            # By hand: computing beside others, an all-reduce of the gradient, one of four numbers.
            joined, gradient = link(found, world), 4 * workload(found, each.name).parameters
            exchange = joined.all_reduce_s(gradient, each.processes) + joined.all_reduce_s(32, each.processes)
            assert each.exchange_s == pytest.approx(exchange)
            assert each.predicted_s == pytest.approx(each.alone_s * each.slowdown + exchange)
            assert each.from_one_s == pytest.approx(
                each.alone_s * each.processes / found["machine"]["cores"] + exchange
            )


def test_where_waiting_is_half_of_a_step_is_found():
    of = workload(read(COMMITTED), "characters")
    at = pages._half(of, GIVEN[0], 48)
    before, after = (predicted_step(of, GIVEN[0], count, 48).efficiency for count in (at - 1, at))
    assert before > 0.5 >= after
    assert pages._half(of, Link(0.0, 1e15), 48) is None
    assert VALIDATION_TOKENS == 131_072


def test_times_and_sizes_have_the_unit_that_fits():
    assert [pages.time_of(each) for each in (2.5e-9, 31.42e-6, 0.99951, 0.25, 61.0)] == [
        "2.50 ns",
        "31.4 µs",
        "1 s",
        "250 ms",
        "61.0 s",
    ]
    assert [pages.size_of(each) for each in (32, 1536, 3.4e6, 1e12)] == ["32.0 B", "1.54 kB", "3.40 MB", "1 TB"]


def test_a_file_of_another_command_is_refused(tmp_path):
    (tmp_path / "other.json").write_text(json.dumps({"scores": 1}))
    with pytest.raises(ConfigError, match="expected results of `python -m benchmarks"):
        read(tmp_path / "other.json")
