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
    # Of a GRU: 3 gates of 16 units, from 4 inputs and 16 units, each forward, for the weight and for what it is multiplied with. Of
    # GRU-D also from 4 masks, and a decay from 4 times, for whose gradients nobody asks.
    gru, more = 3 * 16 * (4 + 16), 3 * 16 * 4 + 16 * 4
    assert f"{(3 * gru + 2 * more) / (3 * gru):.2f}" in printed
