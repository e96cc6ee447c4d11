"""The benchmark of elastic training, with one death: a run goes on by itself as a person would have gone on with it."""

from pathlib import Path

import pytest
from benchmarks import elastic
from benchmarks.elastic import Found, Kill, compare, main

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for workers in /proc")


def test_who_is_killed_is_replaced_and_all_is_as_if_a_person_had_resumed(tmp_path):
    found = compare(tmp_path, kills=1, steps=200, every=20, longest_s=0.5, seed=0)
    assert found.differences == []
    assert found.lines == 200 // 5 + 2
    (kill,) = found.kills
    assert kill.at_step >= kill.kept_step
    assert kill.kept_step % 20 == 0


@pytest.mark.parametrize(
    ("seconds", "differences", "status"), [(9.5, [], 0), (61.0, [], 1), (9.5, ["line 3: {} and {}"], 1)]
)
def test_it_fails_where_it_should(monkeypatch, capsys, seconds, differences, status):
    asked = {}

    def found(folder, **given):
        asked.update(given)
        return Found([Kill(1, 130, 100, seconds)], 62, differences)

    monkeypatch.setattr(elastic, "compare", found)
    assert main(["--kills=1"]) == status
    assert asked == {"kills": 1, "steps": 4000, "every": 100, "longest_s": 8.0, "seed": 0}
    out = capsys.readouterr().out
    assert f"| worker 1 | 130 | 100 | {seconds:.1f} s |" in out
    assert ("the same as resumed by hand" in out) == (not differences)
