"""Runs of every release that there was are loaded by this one, and answer what they answered then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.releases import make

# The recordings of 0.1.0 have values that float32 holds exactly, for that version rounded before it scaled.
RUNS = sorted(folder.parent for folder in make.HERE.glob("*/*/model.safetensors"))


@pytest.mark.parametrize("run", RUNS, ids=[f"{run.parent.name}-{run.name}" for run in RUNS])
def test_a_run_of_an_earlier_release_answers_as_it_did(run: Path) -> None:
    said = json.loads((run / "answers.json").read_text(encoding="utf-8"))
    (file,) = run.glob("data.*")
    _assert_holds(make.answers(run, file), said)


def test_every_task_was_kept() -> None:
    assert {run.name for run in RUNS} == set(make.RUNS)


def _assert_holds(now: Any, then: Any) -> None:
    """All that was said is said still, numbers to five digits; more may be said."""
    if isinstance(then, dict):
        assert set(then) <= set(now)
        for key, value in then.items():
            _assert_holds(now[key], value)
    elif isinstance(then, list):
        assert len(now) == len(then)
        for mine, value in zip(now, then, strict=True):
            _assert_holds(mine, value)
    elif isinstance(then, float):
        assert now == pytest.approx(then, rel=1e-5, abs=1e-6)
    else:
        assert now == then
