import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ostinato.training import RunFolder
from ostinato.training.loop.metrics import Metrics


def test_both_records_hold_what_was_measured(tmp_path):
    run = RunFolder(tmp_path)
    metrics = Metrics(run)
    metrics.write(1, {"loss": 2.0, "sample": "def"})
    metrics.write(2, {"loss": 1.5})
    metrics.close()
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert lines == [{"step": 1, "loss": 2.0, "sample": "def"}, {"step": 2, "loss": 1.5}]
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in board.Scalars("loss")] == [(1, 2.0), (2, 1.5)]


def test_lines_after_the_state_that_is_resumed_are_removed(tmp_path):
    run = RunFolder(tmp_path)
    run.metrics_file.write_text('{"step": 1, "a": 1}\n{"step": 2, "a": 1}\n{"step": 3, "a": 1}\n{"step": 4, "a"')
    metrics = Metrics(run, step=2, lines=2)
    metrics.write(3, {"a": 9})
    metrics.close()
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert lines == [{"step": 1, "a": 1}, {"step": 2, "a": 1}, {"step": 3, "a": 9}]


def test_a_line_is_json_that_anybody_reads(tmp_path):
    """NaN, such as the accuracy on unknown words where all are known, is no JSON."""
    run = RunFolder(tmp_path)
    metrics = Metrics(run)
    metrics.write(1, {"loss": 2.0, "accuracy": float("nan"), "gradient_norm": float("inf")})
    metrics.close()
    assert run.metrics_file.read_text() == '{"step": 1, "loss": 2.0}\n'
