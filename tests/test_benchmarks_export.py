"""Exported layers are measured beside the layers, as float32 and as int8."""

from __future__ import annotations

import pytest
from benchmarks import export


def test_a_layer_is_measured_at_each_number_of_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"STEPS": 4, "INPUT": 8, "HIDDEN": 16, "ROUNDS": 1, "SAMPLE_S": 0.001}.items():
        monkeypatch.setattr(export, name, value)
    assert export.main(["--only", "LSTM, layer norm", "--int8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].split()[-5:] for line in lines] == [
        ["Scan", weights, "B", "=", rows] for rows in ("1", "32") for weights in ("float32", "int8")
    ]
    assert all("times ours" in line for line in lines)
