"""The benchmark of heads, masks and elapsed time, at sizes that tell nothing but that it runs."""

from __future__ import annotations

import pytest
from benchmarks import language


def test_each_cell_is_measured_beside_the_one_without(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, size in {"T": 3, "B": 2, "H": 16, "INPUTS": 4}.items():
        monkeypatch.setattr(language, name, size)
    language.main(budget_s=0.01)
    printed = capsys.readouterr().out
    assert all(name in printed for pair in language.PAIRS for name in pair)
    # Of GRU-D: 3 gates of 16 units, from 4 inputs, 4 masks and 16 units, and a decay from 4 times; of GRU without the last two.
    assert f"{(3 * 16 * (4 + 4 + 16) + 16 * 4) / (3 * 16 * (4 + 16)):.2f}" in printed
