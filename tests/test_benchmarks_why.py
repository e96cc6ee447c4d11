"""Planted causes: reasons find what an answer was made of, and answers fall without it."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks.why import MAKERS, Planted, found, learn, main, measure

from ostinato.recipes.reasons.asking import answered

ASKED = {"recordings": {"gradients": 40, "gates": 8}, "texts": {"gradients": 200, "gates": 20, "occlusion": 200}}


@pytest.fixture(scope="module", params=MAKERS)
def learnt(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Planted]:
    """A model that has learnt, and examples that it has not seen."""
    make = MAKERS[request.param]
    return learn(make(400, 0), tmp_path_factory.mktemp("planted")), make(200, 1)


def test_at_least_95_of_100_causes_are_found(learnt: tuple[Any, Planted]) -> None:
    trained, planted = learnt
    for method, count in ASKED[planted.kind].items():
        pairs = list(answered(trained, planted.part, method, limit=count))
        hits = found(planted, pairs)
        assert len(hits) == count
        assert sum(hits) >= 0.95 * count, method


@pytest.mark.parametrize("method", ["gradients", "occlusion", "gates"])
def test_without_what_is_named_answers_fall_further_than_at_random(learnt: tuple[Any, Planted], method: str) -> None:
    trained, planted = learnt
    _, fall, _ = measure(trained, planted, method, 8)
    assert fall.is_faithful
    assert fall.examples == 8
    assert fall.named[0] > 3 * max(fall.at_random[0], 0.1)


def test_what_the_decoy_says_is_not_taken_for_a_cause(learnt: tuple[Any, Planted]) -> None:
    trained, planted = learnt
    moved = Planted(planted.kind, planted.part, tuple((start + 1000, end) for start, end in planted.causes), 0)
    assert not any(found(moved, list(answered(trained, planted.part, "gradients", limit=10))))


def test_the_command_prints_shares(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--examples", "2", "--train", "40"]) == 0
    out = capsys.readouterr().out
    assert [line.partition(":")[0] for line in out.splitlines() if "causes" in line] == [
        f"{kind}, {method}" for kind in ("recordings", "texts") for method in ("gradients", "occlusion", "gates")
    ]
